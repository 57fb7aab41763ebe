//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// One decision from many PostgreSQL databases.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked (a decision was made, nothing is wrong with the files, the service stopped as asked)
  1  it was refused: errors in the files, a flow that gave no decision, databases that disagree with the graph
  2  the command line makes no sense
  3  a database could not be reached (check --db)
  4  the service could not start: the address is taken, PostgreSQL's programs are missing";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the flows over HTTP, on your own databases.
    Serve(Serve),
    /// Serve the shipped purchasing flow on a private PostgreSQL server with sample data.
    Demo(Demo),
    /// Check graph, rules and configuration; with --db also against the databases.
    Check(Check),
    /// Make one decision and print it.
    Run(Run),
}

/// The files every command reads.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// A flow file, or a directory of them; may be repeated.
    #[arg(long = "graph", value_name = "PATH", default_value = "graph.yaml")]
    pub graphs: Vec<PathBuf>,
    /// The service configuration [default: config/service.yaml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Variables for those that the environment does not set [default: .env, where it exists].
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// `tributary serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The files to serve.
    #[command(flatten)]
    pub files: Files,
    /// The address to listen at, such as 0.0.0.0:8080; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

/// `tributary demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The files to serve.
    #[command(flatten)]
    pub files: Files,
    /// The address to listen at; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
    /// Where the private server keeps its data and logs.
    #[arg(long, value_name = "DIRECTORY", default_value = ".tributary")]
    pub state_dir: PathBuf,
}

/// `tributary check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The files to check.
    #[command(flatten)]
    pub files: Files,
    /// Also prepare every query on its database, and check columns, parameters and types against mappings and rules.
    #[arg(long)]
    pub db: bool,
    /// With --db: check again every so many seconds, and end when the databases no longer agree.
    #[arg(long, value_name = "SECONDS", requires = "db", value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `tributary run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The files to decide by.
    #[command(flatten)]
    pub files: Files,
    /// The flow to decide, where the files hold several.
    #[arg(long, value_name = "NAME")]
    pub flow: Option<String>,
    /// An input; may be repeated.
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// All inputs as one JSON object; `-` reads it from standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "inputs")]
    pub json: Option<String>,
    /// How to print the decision and what goes wrong.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// For whom to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON document.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Right;
use crate::http::batch::Shard;
use crate::types::{DomainName, IdempotencyKey};

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
  1  it was refused: errors in the files, a flow that gave no decision, databases that disagree with the graph,
     tests that fail
  2  the command line makes no sense
  3  a database could not be reached (check --db, doctor)
  4  the service could not start: the address is taken, PostgreSQL's programs are missing
  5  decisions change (replay)
  141  the output was cut off, by a pipe that closed";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the flows over HTTP, on your own databases.
    Serve(Serve),
    /// Answer for the nodes of one domain over HTTP, for services that decide (config/README.md, "Domains that are services").
    Domain(Domain),
    /// Serve the shipped purchasing flow, or others, on a private PostgreSQL server with sample data.
    Demo(Demo),
    /// Check graph, rules and configuration; with --db also against the databases.
    Check(Check),
    /// Examine each domain's database: can it be reached, does it let us in, do the queries use indexes, may the role only read.
    Doctor(Doctor),
    /// Make one decision and print it; say why, what if, and at which value it would be another.
    Run(Run),
    /// Offer the flows as tools of the Model Context Protocol on standard input and output, to a client that starts this command.
    Mcp(Mcp),
    /// Decide records again with the graph and rules of today, and tell what changes.
    Replay(Replay),
    /// Verify that decision records are complete and unchanged.
    Records(Records),
    /// Send the events of effects to a webhook or to NATS, in order and at least once (config/README.md, "Events").
    Relay(Relay),
    /// Run flow tests without databases.
    Test(Test),
    /// Evaluate an expression of the rule language.
    Eval(Eval),
    /// Print the rules of the flows, for people who review them.
    Rules(Rules),
    /// Draw a flow, or one decision of it.
    Graph(Graph),
    /// Print the contract of the flows, as `GET /openapi.json` does but without asking the databases.
    Openapi(Openapi),
    /// Print the JSON Schema of a kind of file, for editors, or the tables of records or of effects.
    Schema(Schema),
    /// Make a token for a caller of the flows.
    Token(Token),
    /// Print completions for a shell: `tributary completions bash > /etc/bash_completion.d/tributary`.
    Completions(Completions),
    /// Print the manual page: `tributary man > /usr/share/man/man1/tributary.1`.
    Man,
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

impl Command {
    /// How it prints what it finds.
    pub fn format(&self) -> Format {
        match self {
            Self::Check(arguments) => arguments.format,
            Self::Doctor(arguments) => arguments.format,
            Self::Run(arguments) => arguments.format,
            Self::Replay(arguments) => arguments.format,
            Self::Test(arguments) => arguments.format,
            Self::Eval(arguments) => arguments.format(),
            Self::Rules(arguments) => arguments.format.of_errors(),
            Self::Records(Records { command: RecordsCommand::Verify(arguments) }) => arguments.format,
            _ => Format::Text,
        }
    }
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

/// `tributary domain`.
#[derive(Debug, Args)]
pub struct Domain {
    /// The domain, as the graph names it.
    #[arg(value_name = "DOMAIN", value_parser = DomainName::parse)]
    pub domain: DomainName,
    /// How to serve it.
    #[command(flatten)]
    pub serve: Serve,
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
    /// Decide every input of a file (a JSON array, or a JSON object a line; `-` reads standard input) and print a line each.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["inputs", "json", "set", "flip", "record_test", "format"])]
    pub batch: Option<PathBuf>,
    /// With --batch: decide only the inputs of this shard, 0/8 to 7/8 for eight processes. An input belongs to one shard by its
    /// content. Lines keep their index, by which the outputs of all shards can be merged.
    #[arg(long, value_name = "K/N", requires = "batch")]
    pub shard: Option<Shard>,
    /// With --batch: write the lines to a file, which is there once the batch has ended, instead of standard output.
    #[arg(long, short, value_name = "FILE", requires = "batch")]
    pub output: Option<PathBuf>,
    /// Also print why: what each node did, which rules fired and why the others did not, where each field comes from.
    #[arg(long)]
    pub explain: bool,
    /// Decide as if a fact had another value; may be repeated.
    #[arg(long, value_name = "FACT=VALUE")]
    pub set: Vec<String>,
    /// Search the value of a number (such as `inventory_levels.available_qty`) at which the outcome changes. Databases are asked
    /// where a query depends on it. Of several facts, up to four, it also searches the smallest change of all of them together.
    #[arg(long, value_name = "FACT")]
    pub flip: Vec<String>,
    /// With --flip: search for a change of this field of the answer, such as `purchase_order.approval_status`.
    #[arg(long, value_name = "FIELD", requires = "flip")]
    pub flip_field: Option<String>,
    /// Write the decision once: its effect, and its answer with this key (such as a UUID), both in one transaction. A run with a key
    /// that was used before prints the stored answer, and writes nothing. Without a key nothing is written. In a batch, each input may
    /// have a key of its own as its member `Idempotency-Key`.
    #[arg(long, value_name = "KEY", value_parser = IdempotencyKey::parse, conflicts_with_all = ["batch", "set", "flip", "record_test"])]
    pub key: Option<IdempotencyKey>,
    /// Write the decision as a test that `tributary test` runs without databases.
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    pub record_test: Option<PathBuf>,
    /// How to print the decision and what goes wrong.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `tributary replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Files of decision records; `-` reads standard input.
    #[arg(required = true, value_name = "RECORDS")]
    pub records: Vec<PathBuf>,
    /// The files to decide by.
    #[command(flatten)]
    pub files: Files,
    /// Print only the sums, not every decision that changes.
    #[arg(long)]
    pub summary: bool,
    /// How to print what changes: text, or one JSON document.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `tributary records`.
#[derive(Debug, Args)]
pub struct Records {
    /// What to do with the records.
    #[command(subcommand)]
    pub command: RecordsCommand,
}

/// What to do with records.
#[derive(Debug, Subcommand)]
pub enum RecordsCommand {
    /// Name the first line that was changed, removed or moved, by the digests of `records.chain`.
    Verify(Verify),
}

/// `tributary records verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The file that the service writes. The older files beside it (FILE.1, FILE.2, ...) are verified with it.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The public key of `records.signing_key`, in PEM (`openssl pkey -in KEY -pubout`), to verify the seals of older files.
    #[arg(long, value_name = "PEM")]
    pub public_key: Option<PathBuf>,
    /// How to print what was verified.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `tributary relay`.
#[derive(Debug, Args)]
pub struct Relay {
    /// The files of the flows whose effects write the events.
    #[command(flatten)]
    pub files: Files,
}

/// `tributary mcp`.
#[derive(Debug, Args)]
pub struct Mcp {
    /// The files to decide by.
    #[command(flatten)]
    pub files: Files,
}

/// `tributary test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Test files, or directories with `*.test.yaml` in them.
    #[arg(default_value = "tests/flows", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Run only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Also write the results as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Fail where less than this part of rules and branches is covered.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub min_coverage: Option<u8>,
    /// The service configuration, whose limits hold [default: config/service.yaml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print the results and what is wrong with the files.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `tributary eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// The expression, as in rules and graphs, such as 'round(price * 1.2, 2)'.
    #[arg(value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub expression: String,
    /// A fact; may be repeated. The value is a number, true, false, null, a text in quotes, a list, JSON for a row or rows, or
    /// another expression without facts: --set 'since=date("2026-01-31")' --set 'lines=[{"qty": 2}, {"qty": 3}]'.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// A flow file, or a directory of them, whose constants and functions the expression may use; may be repeated.
    #[arg(long = "graph", value_name = "PATH")]
    pub graphs: Vec<PathBuf>,
    /// The flow, where the files hold several.
    #[arg(long, value_name = "NAME", requires = "graphs")]
    pub flow: Option<String>,
    /// The moment that `now()` is, such as 2026-01-31T08:00:00Z [default: the clock of the machine].
    #[arg(long, value_name = "TIMESTAMP")]
    pub at: Option<String>,
    /// The zone whose day `today()` is, such as Europe/Berlin [default: `time_zone` of the service].
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// The service configuration, whose limits hold [default: config/service.yaml, where it exists].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// How to print the value and what is wrong.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

impl Eval {
    /// How it prints.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// `tributary rules`.
#[derive(Debug, Args)]
pub struct Rules {
    /// The files of the flows.
    #[command(flatten)]
    pub files: Files,
    /// Only this flow [default: all].
    #[arg(long, value_name = "NAME")]
    pub flow: Option<String>,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = RulesFormat::Text)]
    pub format: RulesFormat,
    /// Where to write them [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How rules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesFormat {
    /// For people.
    Text,
    /// For documents.
    Markdown,
    /// For machines: one JSON document, whose schema `tributary schema rules` prints.
    Json,
}

impl RulesFormat {
    /// How errors are printed.
    pub fn of_errors(self) -> Format {
        if self == Self::Json { Format::Json } else { Format::Text }
    }
}

/// `tributary graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// The files to draw.
    #[command(flatten)]
    pub files: Files,
    /// The flow to draw, where the files hold several.
    #[arg(long, value_name = "NAME")]
    pub flow: Option<String>,
    /// In which language [default: by the ending of the output file, else mermaid].
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,
    /// Where to write it [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Draw a decision on record: what ran, how long, which way it ended. A file of records, whose first is taken, or a file, a colon and a line.
    #[arg(long, value_name = "RECORD")]
    pub explain_of: Option<String>,
}

/// `tributary openapi`.
#[derive(Debug, Args)]
pub struct Openapi {
    /// The files of the flows.
    #[command(flatten)]
    pub files: Files,
}

/// `tributary schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Of which files.
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// What there are schemas of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Flow files, such as graph.yaml.
    Graph,
    /// The service configuration, config/service.yaml.
    Service,
    /// Flow tests, `*.test.yaml`.
    Tests,
    /// The rules of flows, as `tributary rules --format json` prints them.
    Rules,
    /// The contract by which a service answers for a domain, as an OpenAPI document.
    Contract,
    /// The table of `records: { to: table }`, as SQL.
    Records,
    /// The tables of effects, as SQL.
    Effects,
}

/// `tributary doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The files whose domains are examined.
    #[command(flatten)]
    pub files: Files,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `tributary token`.
#[derive(Debug, Args)]
pub struct Token {
    /// What to call it, such as the name of the caller; logs name it so.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A flow that it may ask; may be repeated [default: all].
    #[arg(long = "flow", value_name = "FLOW")]
    pub flows: Vec<String>,
    /// What it lets its caller do; may be repeated [default: decide].
    #[arg(long = "right", value_name = "RIGHT", value_parser = PossibleValuesParser::new(Right::WORDS))]
    pub rights: Vec<String>,
}

/// `tributary completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// The language of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    /// Boxes and arrows with their places.
    Json,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// For documents.
    Svg,
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

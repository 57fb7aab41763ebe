//! `tributary completions` and `tributary man`: what a package installs beside the program, made from the command line itself.

use std::io::Write;

use clap::CommandFactory;

use super::Exit;
use crate::app::cli::{Cli, Completions};

/// Prints the completions of a shell.
pub(super) fn completions(arguments: &Completions) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "tributary", &mut text);
    std::io::stdout().write_all(&text)?;
    Ok(Exit::Success)
}

/// Prints the manual: the page of the program, and a section for each command.
pub(super) fn manual() -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    let command = Cli::command();
    let page = clap_mangen::Man::new(command.clone());
    page.render(&mut text)?;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name().to_owned();
        writeln!(text, ".SH \"TRIBUTARY {}\"", name.to_uppercase())?;
        let page = clap_mangen::Man::new(command.clone().bin_name(format!("tributary {name}")));
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
    }
    std::io::stdout().write_all(&text)?;
    Ok(Exit::Success)
}

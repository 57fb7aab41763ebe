//! The program as its users call it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// The program in `directory`, with only these variables in its environment.
pub fn program(directory: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.current_dir(directory).env_clear().env("RUST_LOG", "warn").stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs the program; returns its exit code, standard output and standard error.
pub fn run(directory: &Path, environment: &[(String, String)], arguments: &[&str]) -> (i32, String, String) {
    read(program(directory, environment).args(arguments).output().expect("the program runs"))
}

/// The exit code and the texts of an output.
pub fn read(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// Parses JSON.
pub fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

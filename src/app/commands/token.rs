//! `tributary token`: a new token, and what to write into the file of tokens.

use std::io::Write;

use super::Exit;
use crate::app::cli::Token;
use crate::config::new_token;
use crate::types::FlowName;

/// Prints only the token to standard output, so that it can be piped to a file. The entry goes to standard error.
pub(super) fn execute(arguments: &Token) -> anyhow::Result<Exit> {
    for flow in &arguments.flows {
        if let Err(error) = FlowName::parse(flow) {
            crate::app::stderr::error(&format!("--flow: {error}"))?;
            return Ok(Exit::Refused);
        }
    }
    let mut rights = arguments.rights.clone();
    rights.sort();
    rights.dedup();
    let rights = if rights.is_empty() { "decide".to_owned() } else { rights.join(", ") };
    let (token, digest) = new_token();
    let flows = if arguments.flows.is_empty() { "all".to_owned() } else { format!("[{}]", arguments.flows.join(", ")) };
    let mut stderr = std::io::stderr().lock();
    // A JSON text is a YAML one, whatever the name holds.
    let name = serde_json::to_string(&arguments.name)?;
    writeln!(
        stderr,
        "# the token is on standard output and nowhere else; this belongs into the file of `http.tokens`:"
    )?;
    writeln!(stderr, "  - name: {name}\n    sha256: {digest}\n    flows: {flows}\n    rights: [{rights}]")?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(Exit::Success)
}

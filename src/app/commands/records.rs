//! `tributary records`: whether decision records are complete and unchanged.

use std::io::Write;

use super::{Exit, plural};
use crate::app::cli::{Format, RecordsCommand, Verify};
use crate::records::{PublicKey, Verified, verify};

pub(super) fn execute(command: &RecordsCommand) -> anyhow::Result<Exit> {
    let RecordsCommand::Verify(Verify { file, public_key, format }) = command;
    let key = public_key.as_deref().map(PublicKey::read).transpose()?;
    let outcome = verify(file, key.as_ref());
    let mut stdout = std::io::stdout().lock();
    match (&outcome, format) {
        (Ok(verified), Format::Json) => writeln!(stdout, "{}", serde_json::json!({ "verified": verified }))?,
        (Ok(verified), Format::Text) => writeln!(stdout, "{}", summary(verified, key.is_some()))?,
        (Err(broken), Format::Json) => writeln!(stdout, "{}", serde_json::json!({ "broken": broken.to_string() }))?,
        (Err(broken), Format::Text) => writeln!(std::io::stderr(), "error: {broken}")?,
    }
    Ok(if outcome.is_ok() { Exit::Success } else { Exit::Refused })
}

fn summary(verified: &Verified, has_key: bool) -> String {
    let Verified { files, records, torn, seals, first, last } = *verified;
    let count = |count: u64, word: &str| plural(usize::try_from(count).unwrap_or(usize::MAX), word);
    let mut text = format!("{} in {} are unchanged", count(records, "record"), plural(files, "file"));
    if last > 0 {
        text += &format!(": lines {first} to {last} of the chain");
    }
    if first > 1 {
        text += "; older lines are not there";
    }
    if torn > 0 {
        text += &format!("; a crash cut off {}", count(torn, "line"));
    }
    if seals > 0 {
        let held = if has_key { "verified" } else { "not verified: name the key with --public-key" };
        text += &format!("; {} {held}", count(seals, "seal"));
    }
    text
}

//! `.env` files: quoting, escapes and `export` as `dotenvy` reads them, and the line of each variable.
//!
//! `dotenvy` would replace `$NAME` by a variable of the process, or by nothing where it is not set. Therefore every `$` is
//! hidden from it, and [`super::interpolate`] replaces references. The text that diagnostics show has no values.

use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Diagnostics, Source, Span};

/// Replaces a `$` that may start a reference while `dotenvy` reads.
const DOLLAR: char = '\u{E000}';
/// Replaces a literal `$`, which is escaped or in single quotes.
const LITERAL_DOLLAR: char = '\u{E001}';
/// The most lines a quoted value may have.
const MAX_LINES: usize = 200;

/// A variable of the file.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) span: Span,
}

/// Reads all assignments of a file called `file`.
pub(super) fn read(file: &str, text: &str) -> (Vec<Assignment>, Diagnostics) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut read = Vec::new();
    let mut refused = Vec::new();
    let mut at = 0;
    while let Some(first) = lines.get(at) {
        match entry(&lines, at) {
            Ok((used, assignments)) => {
                read.extend(assignments.into_iter().map(|assignment| (at, assignment)));
                at += used;
            }
            Err(reason) => {
                refused.push((at, first.len(), reason));
                at += 1;
            }
        }
    }
    let source = shown(file, &lines, &read);
    let mut errors: Diagnostics =
        refused.into_iter().map(|(line, _, reason)| syntax_error(&source, line, reason)).collect();
    let mut assignments: Vec<Assignment> = Vec::new();
    for (line, (name, value)) in read {
        let span = line_span(&source, line);
        if let Some(first) = assignments.iter().find(|assignment| assignment.name == name) {
            let message = format!("{name} is set twice in this file");
            let diagnostic = Diagnostic::error("duplicate-variable", &span, message);
            errors.push(diagnostic.label("again here").related(first.span.clone(), "first here"));
            continue;
        }
        assignments.push(Assignment { name, value, span });
    }
    (assignments, errors)
}

/// Why a line is not an assignment.
#[derive(Clone, Copy)]
enum Reason {
    Syntax,
    OpenQuote,
}

/// The assignments (none for a comment) that start on line `at`, and how many lines they take.
fn entry(lines: &[&str], at: usize) -> Result<(usize, Vec<(String, String)>), Reason> {
    let first = lines.get(at).copied().unwrap_or("");
    if let Some(assignments) = parse(first) {
        return Ok((1, assignments));
    }
    let value = first.split_once('=').map_or("", |(_, value)| value.trim_start());
    if !value.starts_with(['"', '\'']) {
        return Err(Reason::Syntax);
    }
    let mut chunk = first.to_owned();
    for (count, line) in lines.iter().skip(at + 1).take(MAX_LINES).enumerate() {
        if is_assignment(line) {
            break;
        }
        chunk.push('\n');
        chunk.push_str(line);
        if let Some(assignments) = parse(&chunk) {
            return Ok((count + 2, assignments));
        }
    }
    let closed = value.len() > 1 && value.trim_end().ends_with(value.get(..1).unwrap_or("\""));
    Err(if closed { Reason::Syntax } else { Reason::OpenQuote })
}

/// Whether a line looks like the next variable rather than the rest of a quoted value (a line of base64 may end in `=`).
fn is_assignment(line: &str) -> bool {
    let line = line.trim_start();
    let Some((name, value)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else {
        return false;
    };
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !value.is_empty()
        && !value.starts_with('=')
}

fn parse(chunk: &str) -> Option<Vec<(String, String)>> {
    let single_quoted = chunk.split_once('=').is_some_and(|(_, value)| value.trim_start().starts_with('\''));
    let mut hidden = chunk.replace("\\$", &LITERAL_DOLLAR.to_string());
    let dollar = if single_quoted { LITERAL_DOLLAR } else { DOLLAR };
    hidden = hidden.replace('$', &dollar.to_string());
    let assignments: Result<Vec<_>, _> = dotenvy::from_read_iter(hidden.as_bytes()).collect();
    let shown =
        |value: String| value.replace(&format!("{LITERAL_DOLLAR}{{"), "$${").replace([DOLLAR, LITERAL_DOLLAR], "$");
    Some(assignments.ok()?.into_iter().map(|(name, value)| (name, shown(value))).collect())
}

/// The file without its secrets, line by line.
fn shown(file: &str, lines: &[&str], read: &[(usize, (String, String))]) -> Arc<Source> {
    let text: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let names = read.iter().filter(|(first, _)| *first == at).map(|(_, (name, _))| name);
            match names.into_iter().next() {
                Some(name) => format!("{name}=***"),
                None if line.trim().is_empty() => String::new(),
                None if line.trim_start().starts_with('#') => "# ...".to_owned(),
                None => "***".to_owned(),
            }
        })
        .collect();
    Source::new(file, text.join("\n"))
}

fn line_span(source: &Arc<Source>, line: usize) -> Span {
    let start: usize = source.text().split_inclusive('\n').take(line).map(str::len).sum();
    let length = source.text().get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
    source.span(start..start + length)
}

fn syntax_error(source: &Arc<Source>, line: usize, reason: Reason) -> Diagnostic {
    let (message, help) = match reason {
        Reason::Syntax => {
            ("this line does not set a variable", "write NAME=value, and a value with spaces, `#` or quotes in quotes")
        }
        Reason::OpenQuote => ("a quote is opened here and not closed", "close it on the same line"),
    };
    Diagnostic::error("dotenv-syntax", line_span(source, line), message).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_dotenv_files_write_them() {
        let text = "\u{feff}# comment\nA=1\r\nexport B=\"two words\" # why\nC='${A} $x'\nD=\"${A} \\${A} $5\"\n\nE=\nF=$${A}\n\
                    G=\"-----BEGIN\nab==\n-----END\"\nH=it#s\nI=a\\ b\n";
        let (assignments, errors) = read(".env", text);
        assert!(errors.is_empty(), "{errors}");
        let read: Vec<(&str, &str, usize)> = assignments
            .iter()
            .map(|assignment| (&*assignment.name, &*assignment.value, assignment.span.position().line))
            .collect();
        assert_eq!(
            read,
            [
                ("A", "1", 2),
                ("B", "two words", 3),
                ("C", "$${A} $x", 4),
                ("D", "${A} $${A} $5", 5),
                ("E", "", 7),
                ("F", "$${A}", 8),
                ("G", "-----BEGIN\nab==\n-----END", 9),
                ("H", "it#s", 12),
                ("I", "a b", 13),
            ]
        );
    }

    #[test]
    fn a_broken_line_is_reported_without_its_text() {
        let text =
            "A=1\nOMS_DB_PASSWORD=hunter2 hunter3\nhunter4\nB='hunter5\nC=2\nC=3\n=hunter6\nOMS_DB_PASWORD=hunter7\n";
        let (assignments, errors) = read(".env", text);
        assert_eq!(assignments.len(), 3);
        let text = format!("{errors}\n{errors:?}");
        assert!(!text.contains("hunter"), "{text}");
        insta::assert_snapshot!(errors);
    }
}

//! Comments that silence a warning: `// allow: code -- why` in rules, `# allow: code -- why` in YAML. They stand on the warning's
//! line, in the comment above it, or above the rule or outcome that it is about. Errors cannot be allowed. An `allow` that silences
//! nothing is reported.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, Place, Severity};
use super::nearest::nearest;
use super::source::{Source, Span};

/// The comment style of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// `// ...`
    Slashes,
    /// `# ...`
    Hash,
}

/// One `allow`.
struct Allow {
    /// The line that it applies to, from 1.
    line: usize,
    /// The code it names.
    code: String,
    place: Range<usize>,
    silences: bool,
}

impl Diagnostics {
    /// Without the warnings that are allowed in these files, and with a warning for each `allow` that silences nothing. `known` are
    /// the codes of warnings.
    #[must_use]
    pub fn without_allowed(self, files: &[(Arc<Source>, Comments)], known: &[&str]) -> Self {
        let mut left = self;
        let mut seen: HashSet<&str> = HashSet::new();
        for (source, comments) in files {
            if !seen.insert(source.name()) {
                continue;
            }
            let mut allows = Allows::of(source, *comments);
            left = left.into_iter().filter(|diagnostic| !allows.silence(diagnostic, source)).collect();
            let idle_ones = allows.all.into_iter().filter(|allow| !allow.silences);
            left.extend(idle_ones.map(|allow| idle(source, &allow.code, allow.place, known)));
        }
        left
    }
}

/// The allows of a file.
struct Allows {
    all: Vec<Allow>,
    by_line: HashMap<usize, Vec<usize>>,
}

impl Allows {
    fn of(source: &Source, comments: Comments) -> Self {
        let lines: Vec<&str> = source.text().split_inclusive('\n').collect();
        let all = allows(&lines, comments);
        let mut by_line: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, allow) in all.iter().enumerate() {
            by_line.entry(allow.line).or_default().push(index);
        }
        Self { all, by_line }
    }

    /// Whether an allow applies to a warning: to its line, or to the construct around it.
    fn silence(&mut self, warning: &Diagnostic, source: &Arc<Source>) -> bool {
        let Place::Span(span) = &warning.place else { return false };
        if self.all.is_empty() || warning.severity != Severity::Warning {
            return false;
        }
        let mut silenced = false;
        // A warning about a table is allowed in the graph.
        let here = |span: &&Span| span.source().name() == source.name();
        for line in [Some(span), warning.about.as_ref()].into_iter().flatten().filter(here).map(Span::line) {
            for index in self.by_line.get(&line).into_iter().flatten() {
                if let Some(allow) = self.all.get_mut(*index).filter(|allow| allow.code == warning.code) {
                    (allow.silences, silenced) = (true, true);
                }
            }
        }
        silenced
    }
}

fn idle(source: &Arc<Source>, code: &str, range: Range<usize>, known: &[&str]) -> Diagnostic {
    let span = source.span(range);
    if known.contains(&code) {
        let message = format!("nothing here is warned of as `{code}`");
        return Diagnostic::warning("idle-allow", span, message).help("delete it");
    }
    let help = nearest(code, known.iter().copied())
        .map_or_else(|| format!("the warnings are: {}", known.join(", ")), |meant| format!("did you mean `{meant}`?"));
    Diagnostic::warning("idle-allow", span, format!("there is no warning `{code}`")).help(help)
}

fn mark(comments: Comments) -> &'static str {
    match comments {
        Comments::Slashes => "//",
        Comments::Hash => "#",
    }
}

fn is_comment(line: &str, comments: Comments) -> bool {
    line.trim_start().starts_with(mark(comments))
}

/// The allows of a file. A comment mark after an odd number of quotes may be part of a text and is ignored. An allow on a line of
/// its own applies to the next line that is not a comment.
fn allows(lines: &[&str], comments: Comments) -> Vec<Allow> {
    let mut found: Vec<Allow> = Vec::new();
    let mut offset = 0;
    // The first allow whose line is not known yet.
    let mut waiting = 0;
    for (line, text) in (1..).zip(lines) {
        if !is_comment(text, comments) {
            found.iter_mut().skip(waiting).for_each(|allow| allow.line = line);
        }
        if let Some((at, rest)) = comment(text, comments) {
            let codes = codes(rest, offset + at).into_iter();
            found.extend(codes.map(|(code, place)| Allow { line, code, place, silences: false }));
        }
        if !is_comment(text, comments) {
            waiting = found.len();
        }
        offset += text.len();
    }
    found
}

/// The text after `allow:` in the comment of a line, and its offset.
fn comment(line: &str, comments: Comments) -> Option<(usize, &str)> {
    let mark = mark(comments);
    for (at, _) in line.match_indices(mark) {
        let before = line.get(..at)?;
        let quoted = before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1;
        let begins = before.is_empty() || before.ends_with(char::is_whitespace);
        let rest = line.get(at + mark.len()..)?;
        let text = rest.trim_start();
        if let (true, false, Some(codes)) = (begins, quoted, text.strip_prefix("allow:")) {
            return Some((line.len() - codes.len(), codes));
        }
    }
    None
}

/// The codes of `a, b -- why`.
fn codes(text: &str, offset: usize) -> Vec<(String, Range<usize>)> {
    let list = text.split("--").next().unwrap_or("").trim_end();
    let is_letter = |c: char| c.is_ascii_lowercase();
    let mut codes = Vec::new();
    let mut at = 0;
    // A code has single dashes only; two begin the reason.
    for part in list.split(',') {
        let code = part.trim();
        let start = offset + at + (part.len() - part.trim_start().len());
        if code.starts_with(is_letter) {
            codes.push((code.to_owned(), start..start + code.len()));
        }
        at += part.len() + 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["never-fires", "unused-fact"];

    fn left(text: &str, warnings: &[(&'static str, usize)]) -> Vec<String> {
        let source = Source::new("rules.grl", text);
        let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let found: Diagnostics = warnings
            .iter()
            .map(|(code, line)| Diagnostic::warning(code, source.span(starts[*line - 1]..starts[*line - 1]), "warned"))
            .collect();
        let left = found.without_allowed(&[(source, Comments::Slashes)], &KNOWN);
        left.iter().map(|warning| format!("{} {}", warning.code, warning.message)).collect()
    }

    #[test]
    fn an_allow_silences_its_line_or_the_one_below_and_nothing_else() {
        for text in [
            "rule A // allow: never-fires\nrule B",
            "// allow: never-fires -- it is for next year\nrule A",
            "// allow: unused-fact, never-fires\n// more words\nrule A // x",
        ] {
            let line = text.lines().position(|line| line.starts_with("rule A")).unwrap() + 1;
            let both = [("never-fires", line), ("unused-fact", line)];
            let all = left(text, &both);
            assert!(!all.iter().any(|left| left.starts_with("never-fires")), "{text}: {all:?}");
        }
        assert_eq!(left("// allow: never-fires\nrule A\nrule B", &[("never-fires", 3)]).len(), 2);
    }

    #[test]
    fn an_allow_that_silences_nothing_is_reported_with_the_nearest_code() {
        assert_eq!(
            left("// allow: never-fires\nrule A", &[]),
            ["idle-allow nothing here is warned of as `never-fires`"]
        );
        assert_eq!(left("// allow: never-fire\nrule A", &[]), ["idle-allow there is no warning `never-fire`"]);
        assert_eq!(left("x = \"// allow: never-fires\";", &[]), Vec::<String>::new());
        assert_eq!(left("// we allow: nothing\n// allowing", &[]), Vec::<String>::new());
    }
}

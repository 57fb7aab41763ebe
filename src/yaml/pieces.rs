//! The place in the file of each part of a scalar's text.
//!
//! A flow scalar loses its quotes, its escapes and the folding of its lines; a block scalar loses its indentation. Here
//! the text and the file are compared to map one to the other. Should they differ (tests show that they do not), the parts
//! found before are correct, and the rest is approximate.

use super::scalar::Style;

/// (offset in `text`, offset in the file) of the start of each part that was copied unchanged. `raw` is the scalar as
/// the file has it at `base`.
pub(super) fn align(text: &str, raw: &str, base: usize, style: Style) -> Vec<(usize, usize)> {
    let mut walk = Walk { text, raw, base, at: 0, file: 0, pieces: Vec::new() };
    if matches!(style, Style::SingleQuoted | Style::DoubleQuoted) {
        walk.file = 1;
    }
    walk.mark();
    while walk.at < text.len() && walk.step(style) {}
    walk.pieces
}

struct Walk<'a> {
    text: &'a str,
    raw: &'a str,
    base: usize,
    /// How far the text is read.
    at: usize,
    /// How far the file is read, from `base`.
    file: usize,
    pieces: Vec<(usize, usize)>,
}

impl Walk<'_> {
    /// Starts a part here.
    fn mark(&mut self) {
        self.pieces.push((self.at, self.base + self.file));
    }

    fn text_rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn raw_rest(&self) -> &str {
        self.raw.get(self.file..).unwrap_or("")
    }

    /// One character, escape, or run of white space. False where the two differ.
    fn step(&mut self, style: Style) -> bool {
        let (Some(wanted), Some(found)) = (self.text_rest().chars().next(), self.raw_rest().chars().next()) else {
            return false;
        };
        match style {
            Style::DoubleQuoted if found == '\\' => self.escape(wanted),
            Style::Literal | Style::Folded if wanted.is_ascii_whitespace() || found.is_ascii_whitespace() => self.gap(),
            _ if is_blank(found) && self.breaks_line() => self.fold(),
            Style::SingleQuoted if wanted == '\'' => {
                self.at += 1;
                self.file += 2;
                self.mark();
                true
            }
            _ if wanted == found => {
                self.at += wanted.len_utf8();
                self.file += found.len_utf8();
                true
            }
            _ => false,
        }
    }

    /// `\n`, `\x41`, `\u00e9`, ..., or a line break after a `\`.
    fn escape(&mut self, wanted: char) -> bool {
        let length = match self.raw_rest().as_bytes().get(1) {
            Some(b'\n' | b'\r') => {
                let after = self.raw_rest().get(1..).unwrap_or("");
                self.file += 1 + after.len() - after.trim_start_matches([' ', '\t', '\n', '\r']).len();
                self.mark();
                return true;
            }
            Some(b'x') => 4,
            Some(b'u') => 6,
            Some(b'U') => 10,
            Some(_) => 2,
            None => return false,
        };
        self.mark();
        self.at += wanted.len_utf8();
        self.file += length;
        self.mark();
        true
    }

    /// Whether the white space here has a line break.
    fn breaks_line(&self) -> bool {
        self.raw_rest().chars().take_while(|c| is_blank(*c)).any(|c| c == '\n' || c == '\r')
    }

    /// Line breaks in a flow scalar: one becomes a space, several lose the first.
    fn fold(&mut self) -> bool {
        let rest = self.raw_rest();
        let run = rest.get(..rest.len() - rest.trim_start_matches(is_blank).len()).unwrap_or("");
        let breaks = run.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let length = run.len();
        self.mark();
        self.at += if breaks > 1 { breaks - 1 } else { 1 };
        self.file += length;
        self.mark();
        true
    }

    /// White space in a block scalar, with the indentation that the file has beyond it.
    fn gap(&mut self) -> bool {
        let blank = |rest: &str| rest.len() - rest.trim_start_matches(is_blank).len();
        let (text, raw) = (blank(self.text_rest()), blank(self.raw_rest()));
        self.mark();
        self.at += text;
        self.file += raw;
        self.mark();
        text > 0
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

//! Files, places in them, and text cut out of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::secrets;

/// A text file: its name in messages and its text.
#[derive(PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
    /// The keys whose values may be shown; `None` for all but secrets.
    keys: Option<Vec<String>>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Source {
    /// A file of this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Self::with(name.into(), text.into(), None)
    }

    /// A YAML file that may hold secrets by mistake: excerpts show only the values of `keys`.
    pub fn guarded<K: Into<String>>(
        name: impl Into<String>,
        text: impl Into<String>,
        keys: impl IntoIterator<Item = K>,
    ) -> Arc<Self> {
        Self::with(name.into(), text.into(), Some(keys.into_iter().map(Into::into).collect()))
    }

    fn with(name: String, text: String, keys: Option<Vec<String>>) -> Arc<Self> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Self { name, text, line_starts, keys })
    }

    /// Its name, as messages show it: the path as the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text as a message may show it: each secret in it is covered with as many `*`.
    pub fn shown(&self) -> String {
        secrets::excerpt(&self.text, self.keys.as_deref())
    }

    /// The line and column of the byte at `offset`.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }

    /// The span of these bytes, limited to the text and to whole characters.
    pub fn span(self: &Arc<Self>, range: Range<usize>) -> Span {
        let start = self.floor(range.start);
        let end = self.floor(range.end).max(start);
        Span { source: Arc::clone(self), start, end }
    }

    fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// All of it, as a snippet.
    pub fn snippet(self: &Arc<Self>) -> Snippet {
        Snippet { source: Arc::clone(self), text: Arc::from(self.text.as_str()), pieces: Arc::from([(0, 0)]) }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

/// A range of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

impl Span {
    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The bytes.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range()).unwrap_or("")
    }

    /// The line it starts in, from 1.
    pub fn line(&self) -> usize {
        self.source.line_starts.partition_point(|start| *start <= self.start).max(1)
    }

    /// Where it starts.
    pub fn position(&self) -> Position {
        self.source.position(self.start)
    }

    /// From the start of this one to the end of `other` (in the same file).
    #[must_use]
    pub fn to(&self, other: &Self) -> Self {
        Self { source: Arc::clone(&self.source), start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// As `file:line:column`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}..{}", self.end - self.start)
    }
}

/// A text from a file, such as an expression in a YAML scalar, without quotes, escapes, folding and indentation. The place of each
/// of its bytes in the file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    source: Arc<Source>,
    text: Arc<str>,
    /// (offset in the text, offset in the file) of each stretch that was copied unchanged, in order, the first at 0.
    pieces: Arc<[(usize, usize)]>,
}

impl Snippet {
    /// `text` from `source`; `pieces` are (offset in the text, offset in the file) where each unchanged stretch starts.
    pub fn new(source: Arc<Source>, text: impl AsRef<str>, pieces: impl Into<Arc<[(usize, usize)]>>) -> Self {
        Self { source, text: Arc::from(text.as_ref()), pieces: pieces.into() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file it came from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// A part of the text.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let text = self.text.get(range.clone()).unwrap_or("");
        let first = self.pieces.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
        let last = self.pieces.partition_point(|(start, _)| *start < range.end).max(first);
        let within = self.pieces.get(first..last).unwrap_or_default().iter();
        let pieces: Vec<(usize, usize)> = within
            .map(|(start, file)| (start.saturating_sub(range.start), file + range.start.saturating_sub(*start)))
            .collect();
        Self::new(Arc::clone(&self.source), text, pieces)
    }

    /// The place of these bytes of the text in the file.
    pub fn span(&self, range: Range<usize>) -> Span {
        let start = self.offset(range.start);
        let end = if range.end > range.start { self.offset(range.end - 1) + 1 } else { start };
        let end = (end..=self.source.text.len()).find(|at| self.source.text.is_char_boundary(*at)).unwrap_or(end);
        self.source.span(start..end)
    }

    fn offset(&self, at: usize) -> usize {
        let piece = self.pieces.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        self.pieces.get(piece).map_or(0, |(start, file)| file + at.saturating_sub(*start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("a.grl", "rule\n  größe = 1;\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        let at = source.text().find('=').unwrap();
        assert_eq!(source.position(at), Position { line: 2, column: 9 });
        assert_eq!(source.span(7..14).text(), "größe");
        assert_eq!(source.span(900..901).position().line, 3);
    }

    #[test]
    fn a_snippet_leads_back_to_the_file() {
        let source = Source::new("graph.yaml", "when: |\n    a &&\n    bb\n");
        let snippet = Snippet::new(Arc::clone(&source), "a &&\nbb\n", [(0, 12), (5, 21)]);
        assert_eq!(snippet.span(5..7).text(), "bb");
        assert_eq!(snippet.span(0..1).to_string(), "graph.yaml:2:5");
    }
}

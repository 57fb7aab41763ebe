//! An XML document as a tree, with the places of its texts. Entities other than those of XML itself are refused, and so are document
//! types.

use std::ops::Range;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::diagnostics::{Diagnostic, Source};

/// The most elements within each other.
const DEEPEST: usize = 64;

/// An element.
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    /// The place of its start tag.
    pub(super) at: Range<usize>,
    /// Its own text: stretches of it, each with its place in the file.
    pub(super) text: Vec<(String, usize)>,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// The root element of `source`.
pub(super) fn root(source: &Arc<Source>) -> Result<Element, Box<Diagnostic>> {
    let mut reader = Reader::from_str(source.text());
    let mut open: Vec<Element> = Vec::new();
    loop {
        let start = position(&reader);
        let event = reader.read_event().map_err(|error| {
            let at = usize::try_from(reader.error_position()).unwrap_or(start);
            refused(source, at..at + 1, format!("the XML cannot be read: {error}"), "export the model once more")
        })?;
        let at = start..position(&reader);
        let closed = match event {
            Event::Start(tag) => {
                if open.len() >= DEEPEST {
                    return Err(refused(
                        source,
                        at,
                        "the elements are nested too deep".to_owned(),
                        "export the model once more",
                    ));
                }
                open.push(element(&tag, at));
                None
            }
            Event::Empty(tag) => Some(element(&tag, at)),
            Event::End(_) => open.pop(),
            Event::Text(_) => {
                add(&mut open, source.text().get(at.clone()).unwrap_or("").to_owned(), at.start);
                None
            }
            Event::CData(_) => {
                let inside = at.start + "<![CDATA[".len()..at.end.saturating_sub("]]>".len());
                add(&mut open, source.text().get(inside.clone()).unwrap_or("").to_owned(), inside.start);
                None
            }
            Event::GeneralRef(reference) => {
                let name = AsRef::<str>::as_ref(&*reference).to_owned();
                let Some(character) = character(&name) else {
                    return Err(refused(
                        source,
                        at,
                        format!("there is no entity `&{name};`"),
                        "write the character itself",
                    ));
                };
                add(&mut open, character.to_string(), at.start);
                None
            }
            Event::DocType(_) => {
                return Err(refused(source, at, "a document type is not read".to_owned(), "delete the DOCTYPE"));
            }
            Event::Eof => {
                let what = if open.is_empty() { "the file has no element" } else { "the file ends within an element" };
                return Err(refused(source, at, what.to_owned(), "export the model once more"));
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
        };
        if let Some(closed) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => return Ok(closed),
            }
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn element(tag: &BytesStart<'_>, at: Range<usize>) -> Element {
    let attributes = tag.attributes().flatten().map(|attribute| {
        let name = attribute.key.local_name().as_ref().to_owned();
        (name, unescaped(&attribute.value))
    });
    let name = tag.local_name().as_ref().to_owned();
    Element { name, attributes: attributes.collect(), at, text: Vec::new(), children: Vec::new() }
}

fn add(open: &mut [Element], text: String, at: usize) {
    if let Some(element) = open.last_mut() {
        element.text.push((text, at));
    }
}

/// The character of a reference.
fn character(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// The value of an attribute. References that are unknown stay as they are: names with them are found nowhere.
fn unescaped(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        match behind.split_once(';').and_then(|(name, after)| Some((character(name)?, after))) {
            Some((character, after)) => {
                out.push(character);
                rest = after;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

pub(super) fn refused(source: &Arc<Source>, at: Range<usize>, message: String, help: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::error("bad-table", source.span(at), message).help(help))
}

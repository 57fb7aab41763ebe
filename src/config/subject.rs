//! The subject of an event in NATS, made from a template.
//!
//! Dots separate the tokens of a subject. Those of `{type}` and `{aggregatetype}` stay; an `{aggregateid}` is one token. Every
//! character that a token may not have, and every one beyond ASCII, is percent-encoded, and an empty token is `_`.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What a token may not have.
const REFUSED: &AsciiSet = &CONTROLS.add(b' ').add(b'.').add(b'*').add(b'>').add(b'%');

/// A template that is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Type,
    AggregateType,
    AggregateId,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// A brace opens or closes nothing.
    #[error("the subject has a `{{` or `}}` without its partner")]
    Brace,
    /// There is no such part.
    #[error("the subject may have `{{type}}`, `{{aggregatetype}}` and `{{aggregateid}}`, and not `{{{0}}}`")]
    Unknown(String),
    /// A token is empty, or has a character that it may not have.
    #[error("the subject consists of tokens between dots, without blanks, `*` and `>`")]
    Token,
}

impl SubjectTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn parse(template: &str) -> Result<Self, SubjectError> {
        let (mut parts, mut rest) = (Vec::new(), template);
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(SubjectError::Brace)?;
            parts.push(Part::Text(text.to_owned()));
            parts.push(match name {
                "type" => Part::Type,
                "aggregatetype" => Part::AggregateType,
                "aggregateid" => Part::AggregateId,
                other => return Err(SubjectError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self(parts);
        if template.texts().any(|text| text.contains('}')) {
            return Err(SubjectError::Brace);
        }
        let is_refused = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
        let sample = template.render("x", "x", "x");
        if template.texts().any(|text| text.contains(is_refused)) || sample.split('.').any(str::is_empty) {
            return Err(SubjectError::Token);
        }
        Ok(template)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
    }

    /// The subject of an event.
    pub fn render(&self, kind: &str, aggregate_type: &str, aggregate_id: &str) -> String {
        let tokens = |text: &str| text.split('.').map(token).collect::<Vec<_>>().join(".");
        let rendered = self.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Type => tokens(kind),
            Part::AggregateType => tokens(aggregate_type),
            Part::AggregateId => token(aggregate_id),
        });
        rendered.collect()
    }
}

fn token(text: &str) -> String {
    if text.is_empty() { "_".to_owned() } else { utf8_percent_encode(text, REFUSED).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_subject_that_nats_accepts() {
        let template = SubjectTemplate::parse("shop.{aggregatetype}.{aggregateid}.{type}").unwrap();
        for (kind, aggregate_type, id, expected) in [
            ("order.placed", "order", "PROD-1", "shop.order.PROD-1.order.placed"),
            ("placed", "a b", "x.y *>", "shop.a%20b.x%2Ey%20%2A%3E.placed"),
            ("", "..", "", "shop._._._._._"),
            ("größer", "50%", "\u{1}", "shop.50%25.%01.gr%C3%B6%C3%9Fer"),
        ] {
            assert_eq!(template.render(kind, aggregate_type, id), expected);
        }
    }

    #[test]
    fn a_template_that_makes_no_subject_is_refused() {
        for (template, expected) in [
            ("", SubjectError::Token),
            ("a..b", SubjectError::Token),
            (".{type}", SubjectError::Token),
            ("a b", SubjectError::Token),
            ("events.>", SubjectError::Token),
            ("{type", SubjectError::Brace),
            ("type}", SubjectError::Brace),
            ("{id}", SubjectError::Unknown("id".to_owned())),
        ] {
            assert_eq!(SubjectTemplate::parse(template), Err(expected), "{template}");
        }
    }
}

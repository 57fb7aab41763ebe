//! Fills facts into a request.
//!
//! In path and query all but the unreserved characters of RFC 3986 are percent-encoded, so a fact is always one value there.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Body, Piece, Rendered, Request, Text, Unfit};
use crate::types::Value;

/// What is encoded in a fact: all but the unreserved characters.
const FACT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What is encoded in the graph's own text, which may have delimiters and percent signs.
const WRITTEN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

const IN_PATH: &str = "a value in the path";
const IN_SEGMENT: &str = "a name in the path";
const IN_QUERY: &str = "a value in the query";
const IN_HEADER: &str = "a value of visible ASCII in a header";
const IN_BODY: &str = "a value in the body";

/// Text of the graph, for a path or a query.
pub(in crate::graph) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, WRITTEN).to_string()
}

/// Whether a segment leads to another directory, also where a server decodes it before it divides the path.
pub(in crate::graph) fn leads_elsewhere(segment: &str) -> bool {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|part| matches!(part, "." | ".."))
}

impl Request {
    /// The request with these parameters.
    ///
    /// # Errors
    /// [`Unfit`], for a parameter that its place cannot hold.
    pub fn render(&self, params: &[Value]) -> Result<Rendered, Unfit> {
        let params = Params(params);
        let mut target = String::new();
        for segment in &self.path {
            target.push('/');
            target.push_str(&params.segment(segment)?);
        }
        let mut separator = '?';
        for parameter in &self.parameters {
            for value in params.values(parameter.value.as_ref())? {
                target.push(separator);
                target.push_str(&parameter.name);
                if let Some(value) = value {
                    target.push('=');
                    target.push_str(&value);
                }
                separator = '&';
            }
        }
        let header = |(name, text): &(String, Text)| Ok((name.clone(), params.header(text)?));
        let headers = self.headers.iter().map(header).collect::<Result<_, Unfit>>()?;
        let body = self.body.as_ref().map(|body| json(&params.body(body)?)).transpose()?;
        Ok(Rendered { method: self.method, target, headers, body })
    }
}

/// The values of the parameters.
struct Params<'a>(&'a [Value]);

impl<'a> Params<'a> {
    fn get(&self, place: usize, expected: &'static str) -> Result<&'a Value, Unfit> {
        self.0.get(place).ok_or(Unfit { number: place + 1, expected, found: "nothing" })
    }

    /// The text of a single value.
    fn text(&self, place: usize, expected: &'static str) -> Result<Cow<'a, str>, Unfit> {
        text(self.get(place, expected)?).map_err(|found| Unfit { number: place + 1, expected, found })
    }

    fn segment(&self, segment: &Text) -> Result<String, Unfit> {
        let encoded = self.encoded(segment, IN_PATH)?;
        let last = segment.iter().rev().find_map(Piece::fact);
        match last.filter(|_| encoded.is_empty() || leads_elsewhere(&encoded)) {
            Some(place) => Err(Unfit { number: place + 1, expected: IN_SEGMENT, found: "empty text, `.` or `..`" }),
            None => Ok(encoded),
        }
    }

    /// The values of a parameter of the query, of which a list has several.
    fn values(&self, value: Option<&Text>) -> Result<Vec<Option<String>>, Unfit> {
        let Some(value) = value else { return Ok(vec![None]) };
        if let [Piece::Fact(place)] = &**value
            && let Value::List(items) = self.get(*place, IN_QUERY)?
        {
            let unfit = |found| Unfit { number: place + 1, expected: IN_QUERY, found };
            if items.is_empty() {
                // Without a value many services leave out the restriction, and answer with everything.
                return Err(unfit("an empty list"));
            }
            let item = |item| text(item).map(|text| Some(encode(&text))).map_err(unfit);
            return items.iter().map(item).collect();
        }
        Ok(vec![Some(self.encoded(value, IN_QUERY)?)])
    }

    fn encoded(&self, text: &Text, expected: &'static str) -> Result<String, Unfit> {
        let mut encoded = String::new();
        for piece in text {
            match piece {
                Piece::Written(written) => encoded.push_str(written),
                Piece::Fact(place) => encoded.push_str(&encode(&self.text(*place, expected)?)),
            }
        }
        Ok(encoded)
    }

    fn header(&self, text: &Text) -> Result<String, Unfit> {
        let mut value = String::new();
        for piece in text {
            match piece {
                Piece::Written(written) => value.push_str(written),
                Piece::Fact(place) => {
                    let unfit = |found| Unfit { number: place + 1, expected: IN_HEADER, found };
                    let text = self.text(*place, IN_HEADER)?;
                    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                        return Err(unfit("text with other characters"));
                    }
                    value.push_str(&text);
                }
            }
        }
        // The reader of a header drops spaces at its ends.
        let last = text.iter().rev().find_map(Piece::fact).filter(|_| value.trim() != value);
        last.map_or(Ok(value), |place| {
            Err(Unfit { number: place + 1, expected: IN_HEADER, found: "text that begins or ends with a space" })
        })
    }

    fn body(&self, body: &Body) -> Result<Value, Unfit> {
        Ok(match body {
            Body::Map(members) => {
                let member = |(name, body): &(_, Body)| Ok((Arc::clone(name), self.body(body)?));
                Value::map(members.iter().map(member).collect::<Result<Vec<_>, Unfit>>()?)
            }
            Body::List(items) => {
                Value::list(items.iter().map(|item| self.body(item)).collect::<Result<Vec<_>, Unfit>>()?)
            }
            Body::Fact(place) => self.get(*place, IN_BODY)?.clone(),
            Body::Literal(value) => value.clone(),
        })
    }
}

impl Piece {
    pub(in crate::graph) fn fact(&self) -> Option<usize> {
        match self {
            Self::Fact(place) => Some(*place),
            Self::Written(_) => None,
        }
    }
}

/// The text of a single value, or what it is instead.
fn text(value: &Value) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Value::Null => Err("null"),
        Value::List(_) => Err("a list"),
        Value::Map(_) => Err("a map"),
        Value::Text(text) => Ok(Cow::Borrowed(text)),
        Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::Date(_) | Value::Timestamp(_) => {
            Ok(Cow::Owned(value.to_string()))
        }
    }
}

fn json(body: &Value) -> Result<String, Unfit> {
    serde_json::to_string(body).map_err(|_| Unfit { number: 1, expected: IN_BODY, found: "what JSON cannot hold" })
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, FACT).to_string()
}

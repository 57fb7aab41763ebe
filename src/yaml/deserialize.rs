//! A node becomes a typed value, or all complaints about it at once.
//!
//! Serde stops at the first error. So what it stumbles over is noted, with its place, and then taken away or replaced by
//! something harmless, and the node is read again, until nothing new is found. A value that was mended so is never
//! given out.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use serde_yaml::{Mapping, Number, Value};

use super::complaint::{Complaint, list};
use super::marked::{Kind, Marked};
use super::scalar::ScalarKind;
use crate::diagnostics::{Diagnostic, Diagnostics, Span, nearest};

/// The most complaints about one node; more would help nobody.
const MAX_COMPLAINTS: usize = 100;

/// Makes a `T` of `node`.
///
/// The complaints have the codes `unknown-key`, `missing-key`, `unknown-word`, `wrong-type` and `invalid-value`. They
/// never repeat a value, which may be a secret; the message of a type's own check (`serde::de::Error::custom`) is given
/// as it is. For places to be found, `T` must not use `serde(flatten)` or `serde(untagged)`.
///
/// `None` where anything was complained of.
pub fn deserialize<T: DeserializeOwned>(node: &Marked, diagnostics: &mut Diagnostics) -> Option<T> {
    let mut reading = Reading { node, value: to_value(node), found: Diagnostics::new(), mended: Vec::new() };
    let outcome = reading.run::<T>();
    diagnostics.extend(reading.found);
    outcome
}

/// A step from a node to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

type Path = Vec<Step>;

struct Reading<'a> {
    node: &'a Marked,
    /// The node as serde sees it, mended where it had to be.
    value: Value,
    found: Diagnostics,
    /// Where values were replaced.
    mended: Vec<Path>,
}

impl Reading<'_> {
    fn run<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            let (path, complaint) = match read::<T>(&self.value) {
                Ok(value) => return self.found.is_empty().then_some(value),
                Err((path, complaint @ Complaint::Unexpected { .. })) => {
                    let words = self.known_words::<T>(&path);
                    (path, words.unwrap_or(complaint))
                }
                Err(error) => error,
            };
            let fresh = self.is_fresh(&path, &complaint);
            if fresh {
                self.report(&path, &complaint);
            } else if self.found.is_empty() {
                // Nothing was mended, so this cannot be an echo.
                self.report(&path, &complaint);
                return None;
            }
            if self.found.counts().0 >= MAX_COMPLAINTS
                || self.mended.len() >= 10 * MAX_COMPLAINTS
                || !self.mend::<T>(path, &complaint)
            {
                return None;
            }
        }
    }

    /// Whether this is about the file, not about what was put in its place.
    fn is_fresh(&self, path: &Path, complaint: &Complaint) -> bool {
        let below_mended = self.mended.iter().any(|mended| path.starts_with(mended));
        let about_mended = !matches!(complaint, Complaint::UnknownKey { .. } | Complaint::MissingKey { .. })
            && self.mended.iter().any(|mended| mended.starts_with(path));
        !below_mended && !about_mended
    }

    /// Makes serde pass the place; false where that cannot be done.
    fn mend<T: DeserializeOwned>(&mut self, mut path: Path, complaint: &Complaint) -> bool {
        match complaint {
            Complaint::UnknownKey { key, .. } => {
                if let Some(mapping) = self.at(&path).and_then(Value::as_mapping_mut)
                    && mapping.remove(key.as_str()).is_some()
                {
                    return true;
                }
            }
            Complaint::MissingKey { key } => path.push(Step::Key(key.clone())),
            _ => {}
        }
        let known = if let Complaint::UnknownWord { known } = complaint { known.first() } else { None };
        loop {
            if self.mended.contains(&path) {
                // It was mended before, and that did not help.
            } else if self.replace::<T>(&path, known) {
                self.mended.push(path);
                return true;
            }
            if path.pop().is_none() {
                return false;
            }
        }
    }

    /// Puts something at `path` that serde does not mind, if anything is.
    fn replace<T: DeserializeOwned>(&mut self, path: &Path, known: Option<&String>) -> bool {
        let word = known.map(|word| Value::String(word.clone()));
        let harmless = [
            Value::Null,
            Value::String(String::new()),
            Value::Number(Number::from(0)),
            Value::Number(Number::from(1)),
            Value::Bool(false),
            Value::Sequence(Vec::new()),
            Value::Mapping(Mapping::new()),
        ];
        for candidate in word.into_iter().chain(harmless) {
            self.put(path, candidate);
            let passes = match read::<T>(&self.value) {
                Ok(_) => true,
                Err((next, complaint)) => {
                    let missing = matches!(complaint, Complaint::MissingKey { .. });
                    let about_keys = missing || matches!(complaint, Complaint::UnknownKey { .. });
                    if next.starts_with(path) {
                        // A mapping that lacks keys can be filled in the same way.
                        missing && &next == path
                    } else {
                        about_keys || !path.starts_with(&next)
                    }
                }
            };
            if passes {
                return true;
            }
        }
        false
    }

    fn put(&mut self, path: &Path, value: Value) {
        match path.split_last() {
            None => self.value = value,
            Some((last, parent)) => match (self.at(parent), last) {
                (Some(Value::Mapping(mapping)), Step::Key(key)) => {
                    mapping.insert(Value::String(key.clone()), value);
                }
                // Serde takes nothing for an empty mapping.
                (Some(nothing @ Value::Null), Step::Key(key)) => {
                    let entry = (Value::String(key.clone()), value);
                    *nothing = Value::Mapping(Mapping::from_iter([entry]));
                }
                (Some(Value::Sequence(items)), Step::Item(index)) => {
                    if let Some(item) = items.get_mut(*index) {
                        *item = value;
                    }
                }
                _ => {}
            },
        }
    }

    fn at(&mut self, path: &[Step]) -> Option<&mut Value> {
        path.iter().try_fold(&mut self.value, |value, step| match step {
            Step::Key(key) => value.as_mapping_mut()?.get_mut(key.as_str()),
            Step::Item(index) => value.as_sequence_mut()?.get_mut(*index),
        })
    }

    /// The words of an enumeration that was given something else than a word: serde lists them only for a wrong word.
    fn known_words<T: DeserializeOwned>(&mut self, path: &Path) -> Option<Complaint> {
        let kept = self.at(path)?.clone();
        self.put(path, Value::String(String::new()));
        let answer = read::<T>(&self.value).err();
        self.put(path, kept);
        let (next, complaint) = answer?;
        (&next == path && matches!(complaint, Complaint::UnknownWord { .. })).then_some(complaint)
    }

    fn report(&mut self, path: &Path, complaint: &Complaint) {
        let place = Place::find(self.node, path);
        let diagnostic = match complaint {
            Complaint::UnknownKey { key, known } => unknown_key(&place, key, known),
            Complaint::MissingKey { key } => {
                let owner = place.name.as_deref().unwrap_or("the file");
                Diagnostic::error("missing-key", place.head, format!("{owner} has no `{key}`"))
                    .label(format!("`{key}` is required here"))
            }
            Complaint::UnknownWord { known } => unknown_word(&place, known),
            Complaint::Unexpected { expected, wrong_type } => unexpected(&place, expected, *wrong_type),
            Complaint::Other { message } => {
                let message = place.name.iter().chain([message]).map(String::as_str).collect::<Vec<_>>().join(": ");
                Diagnostic::error("invalid-value", place.value, message)
            }
        };
        self.found.push(diagnostic);
    }
}

/// Where a path leads, as far as the file goes.
struct Place<'a> {
    node: &'a Marked,
    /// The value.
    value: Span,
    /// What stands for it in a message about something it lacks: its key, or its first line.
    head: Span,
    /// What to call it: its key in backticks, or the number of the item.
    name: Option<String>,
}

impl<'a> Place<'a> {
    fn find(root: &'a Marked, path: &Path) -> Self {
        let mut place = Self { node: root, value: root.head(), head: root.head(), name: None };
        for step in path {
            let next = match step {
                Step::Key(key) => place
                    .node
                    .entry(key)
                    .map(|entry| (entry.value(), entry.value().head(), entry.key_span().clone(), format!("`{key}`"))),
                Step::Item(index) => place.node.items().get(*index).map(|item| {
                    let owner = place.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
                    (item, item.head(), item.head(), format!("item {}{owner}", index + 1))
                }),
            };
            let Some((node, value, head, name)) = next else {
                break;
            };
            place = Self { node, value, head, name: Some(name) };
        }
        place
    }

    fn named(&self) -> &str {
        self.name.as_deref().unwrap_or("this")
    }
}

fn unknown_key(place: &Place<'_>, key: &str, known: &[String]) -> Diagnostic {
    let span = place.node.entry(key).map_or_else(|| place.head.clone(), |entry| entry.key_span().clone());
    let owner = place.name.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    let help = match nearest(key, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "no key is allowed here".to_owned(),
        None => format!("known here: {}", list(known)),
    };
    Diagnostic::error("unknown-key", span, format!("unknown key `{key}`{owner}")).label("not a known key").help(help)
}

fn unknown_word(place: &Place<'_>, known: &[String]) -> Diagnostic {
    let message = format!("{} must be {}", place.named(), list(known));
    let written = place.node.as_text().unwrap_or("");
    let meant = nearest(written, known.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
    Diagnostic::error("unknown-word", &place.value, message).maybe_help(meant)
}

fn unexpected(place: &Place<'_>, expected: &str, wrong_type: bool) -> Diagnostic {
    let message = format!("{} must be {expected}", place.named());
    if !wrong_type {
        return Diagnostic::error("invalid-value", &place.value, message);
    }
    let kind = place.node.scalar().map(super::scalar::Scalar::kind);
    let help = match kind {
        Some(ScalarKind::Boolean(_) | ScalarKind::Integer | ScalarKind::Decimal) if expected == "text" => {
            Some("write it in quotes to make it text".to_owned())
        }
        _ => None,
    };
    Diagnostic::error("wrong-type", &place.value, message)
        .label(format!("this is {}", place.node.describe()))
        .maybe_help(help)
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, (Path, Complaint)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut path: Path = error.path().iter().filter_map(step).collect();
        let complaint = Complaint::read(&error.inner().to_string());
        // The path of an unknown key leads to the key; what is wrong is the mapping.
        if let Complaint::UnknownKey { key, .. } = &complaint
            && path.last() == Some(&Step::Key(key.clone()))
        {
            path.pop();
        }
        (path, complaint)
    })
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn to_value(node: &Marked) -> Value {
    match node.kind() {
        Kind::Sequence(items) => Value::Sequence(items.iter().map(to_value).collect()),
        Kind::Mapping(entries) => Value::Mapping(
            entries.iter().map(|entry| (Value::String(entry.key().to_owned()), to_value(entry.value()))).collect(),
        ),
        Kind::Scalar(scalar) => match scalar.kind() {
            ScalarKind::Null => Value::Null,
            ScalarKind::Boolean(value) => Value::Bool(value),
            ScalarKind::Text => Value::String(scalar.text().to_owned()),
            ScalarKind::Integer | ScalarKind::Decimal => Value::Number(number(scalar)),
        },
    }
}

fn number(scalar: &super::scalar::Scalar) -> Number {
    let float = || Number::from(scalar.decimal().map_or(f64::NAN, |number| number.to_f64()));
    match scalar.wide_integer() {
        Some(integer) => i64::try_from(integer)
            .map(Number::from)
            .or_else(|_| u64::try_from(integer).map(Number::from))
            .unwrap_or_else(|_| float()),
        None => float(),
    }
}

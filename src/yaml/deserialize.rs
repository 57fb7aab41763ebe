//! A node becomes a typed value, or all errors in it are reported at once.
//!
//! The schema of the type finds what does not fit. `serde_yaml` makes the value of the rest, where types make checks of their
//! own; what such a check refuses is reported and left out, until no check refuses anything.

use schemars::JsonSchema;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny};
use serde_path_to_error::Segment;
use serde_yaml::Value;

use super::check::{Tree, check, schema_of};
use super::marked::Marked;
use super::place::Place;
use crate::diagnostics::{Diagnostic, Diagnostics};

/// The most errors of checks that are reported for one node.
const MAX_ERRORS: usize = 100;

/// A value that is read from the tree itself, with its places and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Any {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::from(true)
    }
}

/// Makes a `T` of `node`. The errors have the codes `unknown-key`, `missing-key`, `unknown-word`, `wrong-type` and
/// `invalid-value`. Their messages repeat no value; the message of a type's own check (`serde::de::Error::custom`) is given
/// as it is.
///
/// `None` where there is an error.
pub fn deserialize<T: DeserializeOwned + JsonSchema + 'static>(
    node: &Marked,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    read(node, diagnostics).map(|(value, _)| value)
}

/// The value of `node` as `serde_yaml` has it, without what is null, checked as [`deserialize`] does for a `T`.
pub fn checked<T: DeserializeOwned + JsonSchema + 'static>(
    node: &Marked,
    diagnostics: &mut Diagnostics,
) -> Option<Value> {
    read::<T>(node, diagnostics).map(|(_, value)| value)
}

fn read<T: DeserializeOwned + JsonSchema + 'static>(
    node: &Marked,
    diagnostics: &mut Diagnostics,
) -> Option<(T, Value)> {
    let mut found = Diagnostics::new();
    let tree = check(&schema_of::<T>(), &Place::root(node), &mut found);
    let value = tree.and_then(|tree| read_tree(tree, node, &mut found)).filter(|_| found.is_empty());
    diagnostics.extend(found);
    value
}

fn read_tree<T: DeserializeOwned>(mut tree: Tree, node: &Marked, found: &mut Diagnostics) -> Option<(T, Value)> {
    for _ in 0..MAX_ERRORS {
        let value = tree.to_value();
        let error = match serde_path_to_error::deserialize(&value) {
            Ok(read) => return Some((read, value)),
            Err(error) => error,
        };
        let path: Vec<&Segment> = error.path().iter().collect();
        let place = place_of(&tree, &path, Place::root(node))?;
        let message = place.name.iter().cloned().chain([error.inner().to_string()]).collect::<Vec<_>>().join(": ");
        found.push(Diagnostic::error("invalid-value", place.value, message));
        if remove(&mut tree, &path) != Removed::Done {
            return None;
        }
    }
    None
}

/// Where `path` leads in the file; `None` where a placeholder stands there, whose refusal says nothing new.
fn place_of<'a>(tree: &Tree, path: &[&Segment], place: Place<'a>) -> Option<Place<'a>> {
    match (tree, path) {
        (Tree::Placeholder(_), _) => None,
        (Tree::Map(fields), [Segment::Map { key }, rest @ ..]) => match place.node.entry(key) {
            Some(entry) => {
                let field = fields.iter().find(|field| field.key == *key)?;
                place_of(&field.value, rest, place.at_key(entry))
            }
            None => Some(place),
        },
        (Tree::List(items), [Segment::Seq { index }, rest @ ..]) => {
            let (at, item) = items.get(*index)?;
            place_of(item, rest, place.at_item(*at)?)
        }
        _ => Some(place),
    }
}

#[derive(PartialEq, Eq)]
enum Removed {
    Done,
    /// What holds it has to be removed in its place.
    Required,
}

/// Takes away what `path` leads to, or the innermost value around it that may be missing.
fn remove(tree: &mut Tree, path: &[&Segment]) -> Removed {
    match (tree, path) {
        (Tree::Map(fields), [Segment::Map { key }, rest @ ..]) => {
            let Some(at) = fields.iter().position(|field| field.key == *key) else { return Removed::Required };
            let Some(field) = fields.get_mut(at) else { return Removed::Required };
            if remove(&mut field.value, rest) == Removed::Done {
                return Removed::Done;
            }
            if field.is_required {
                return Removed::Required;
            }
            fields.remove(at);
            Removed::Done
        }
        (Tree::List(items), [Segment::Seq { index }, rest @ ..]) => {
            let Some((_, item)) = items.get_mut(*index) else { return Removed::Required };
            if remove(item, rest) != Removed::Done {
                items.remove(*index);
            }
            Removed::Done
        }
        _ => Removed::Required,
    }
}

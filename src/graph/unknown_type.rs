//! The error of a name that is no type.

use crate::diagnostics::{Diagnostic, nearest};
use crate::types::type_meant_by;
use crate::yaml::Marked;

/// The error of the name at `place`, which is `list` and `element`. `known` are the types of elements, and `is_type` knows all types.
pub(super) fn unknown_type(
    (list, element): (&str, &str),
    known: &[&str],
    is_type: impl Fn(&str) -> bool,
    place: &Marked,
) -> Diagnostic {
    let name = format!("{list}{element}");
    let near = || nearest(element, known.iter().copied()).map(|meant| format!("{list}{meant}"));
    let meant = type_meant_by(&name).or_else(near).filter(|meant| is_type(meant));
    let help = meant.map_or_else(
        || format!("the types are: {}; and `list of` each", known.join(", ")),
        |meant| format!("did you mean `{meant}`?"),
    );
    Diagnostic::error("unknown-type", place.head(), format!("there is no type `{name}`")).help(help)
}

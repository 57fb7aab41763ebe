//! What arguments must be, and what is said of those that are not.

use crate::grl::error::EvalErrorKind;
use crate::grl::pattern::pattern;
use crate::types::{Type, Value};

/// What an argument must be.
#[derive(Debug, Clone, Copy)]
pub(in crate::grl) enum Takes {
    Anything,
    /// What can be written as text: neither a list nor a map.
    Single,
    Number,
    Whole,
    Text,
    /// A text of a certain form.
    Form(&'static Form),
    /// A constant pattern of texts.
    Pattern,
    Date,
    Timestamp,
    DateOrTimestamp,
    TextOrMoment,
    TextOrList,
    List,
    Numbers,
    Conditions,
    /// A list of values that have an order.
    Sortable,
    /// A value that has an order, of the type of those before it.
    Ordered,
    /// An element of the list that is the first argument.
    Element,
    Json,
    Key,
    /// A fact, which may be unset.
    Fact,
}

/// A text of a form of its own, such as a time zone. A constant one is read when the file is.
#[derive(Debug)]
pub(in crate::grl) struct Form {
    /// What it is, for messages.
    pub(super) expected: &'static str,
    /// Whether it must be constant.
    pub(super) constant: bool,
    /// Whether the text has the form, given the types of the arguments before it.
    pub(super) fits: fn(&str, &[Type]) -> bool,
}

impl Takes {
    /// What is said of an argument of type `ty`, and of this value if it is constant, where it does not fit: completes
    /// "`sum` ...". `before` are the types of the arguments before it.
    pub(in crate::grl) fn refuses(self, ty: &Type, constant: Option<&Value>, before: &[Type]) -> Option<String> {
        let any = *ty == Type::Any;
        let number = ty.may_be_number();
        let ordered = |ty: &Type| ty.may_be_number() || matches!(ty, Type::Text | Type::Date | Type::Timestamp);
        let of =
            |fits: &dyn Fn(&Type) -> bool| element(ty).is_some_and(|element| element == Type::Any || fits(&element));
        let (fits, expected) = match self {
            Self::Anything | Self::Fact => (true, ""),
            Self::Single => (
                !matches!(ty, Type::List(_) | Type::Map(_)),
                "single values (a list becomes a text by `join(list, \", \")`)",
            ),
            Self::Number => (number, "a number"),
            Self::Whole => (number, "a whole number"),
            Self::Text => (any || *ty == Type::Text, "a text"),
            Self::Form(form) => return form.refuses(ty, constant, before),
            Self::Pattern => match constant {
                Some(Value::Text(text)) => {
                    return pattern(text).err().map(|reason| format!("takes a pattern; {reason}"));
                }
                _ => (false, "a pattern, written as a text"),
            },
            Self::Date => (any || *ty == Type::Date, "a date"),
            Self::Timestamp => (any || *ty == Type::Timestamp, "a timestamp"),
            Self::DateOrTimestamp => (any || matches!(ty, Type::Date | Type::Timestamp), "a date or a timestamp"),
            Self::TextOrMoment => {
                (any || matches!(ty, Type::Text | Type::Timestamp | Type::Date), "a text or a timestamp")
            }
            Self::TextOrList => (any || matches!(ty, Type::Text | Type::List(_)), "a text or a list"),
            Self::List => (any || matches!(ty, Type::List(_)), "a list"),
            Self::Numbers => (of(&Type::may_be_number), "a list of numbers"),
            Self::Conditions => (of(&|ty| *ty == Type::Boolean), "a list of conditions"),
            Self::Sortable => {
                (of(&ordered), "a list of numbers, texts, dates or timestamps (a column of rows has a dot before it)")
            }
            Self::Ordered => match before.iter().find(|known| **known != Type::Any) {
                Some(first) if ordered(ty) && !ty.comparable_with(first) => {
                    return Some(format!("cannot order {first} and {ty}"));
                }
                _ => (ordered(ty), "numbers, texts, dates or timestamps"),
            },
            Self::Element => match before.first().and_then(element) {
                _ if matches!(ty, Type::List(_)) => (false, "single values (lists are joined by `concatenate(a, b)`)"),
                Some(known) if !known.comparable_with(ty) => {
                    return Some(format!("takes elements of type {known}, as the list has; this is {ty}"));
                }
                _ => (true, ""),
            },
            Self::Json => (of(&|_| false), "a JSON document (a column of a row has a dot before it)"),
            Self::Key => (any || *ty == Type::Text, "a key as a text"),
        };
        (!fits).then(|| format!("takes {expected}; this is {ty}"))
    }

    /// Whether a list with a null in it is an error.
    pub(in crate::grl) fn refuses_null_elements(self) -> bool {
        matches!(self, Self::Sortable | Self::Numbers | Self::Conditions)
    }
}

impl Form {
    /// The error of a text that has another form.
    pub(super) fn refused(&self, operator: &'static str, text: &str) -> EvalErrorKind {
        EvalErrorKind::Type { operator, expected: self.expected, found: quoted(text) }
    }

    fn refuses(&self, ty: &Type, constant: Option<&Value>, before: &[Type]) -> Option<String> {
        let expected = self.expected;
        match constant {
            Some(Value::Text(text)) if (self.fits)(text, before) => None,
            Some(Value::Text(text)) => Some(format!("takes {expected}; this is {}", quoted(text))),
            None if *ty == Type::Any || *ty == Type::Text => {
                self.constant.then(|| format!("takes {expected}, written as a text; this is not known before it runs"))
            }
            _ => Some(format!("takes {expected}; this is {ty}")),
        }
    }
}

/// A text in a message: its beginning, if it is long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// The type of the elements of a list, or of what may be one.
pub(super) fn element(ty: &Type) -> Option<Type> {
    match ty {
        Type::Any => Some(Type::Any),
        Type::List(element) => Some(element.as_ref().clone()),
        _ => None,
    }
}

//! Reads the rows of an answer.
//!
//! Only the declared members are read. Each has the declared type, or the whole answer is an error that names its place and not
//! its value. Two members of one name are an error: which of them counts, parsers do not agree about.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Expected, Member, Misfit, Request};
use crate::graph::input::without_bom;
use crate::types::{FieldName, MemberName, Members, Record, Type, Value};

impl Request {
    /// The rows in `answer`, which is a whole JSON text: maps of the declared columns, and at most one row more than the node
    /// takes.
    ///
    /// # Errors
    /// [`Misfit`]: the first thing that is not as declared.
    pub fn rows(&self, answer: &[u8]) -> Result<Vec<Value>, Misfit> {
        self.read(answer).map_err(|misfit| {
            let place = if misfit.place.is_empty() { "/".to_owned() } else { misfit.place };
            Misfit { place, ..misfit }
        })
    }

    fn read(&self, answer: &[u8]) -> Result<Vec<Value>, Misfit> {
        let mut json = document(answer)?;
        for (depth, name) in self.answer.iter().enumerate() {
            let place = || pointer(self.answer.iter().take(depth));
            let members = members(json).map_err(|reason| Misfit::at(place(), reason))?;
            let member = find(&members, name).map_err(|reason| Misfit::at(place(), reason))?;
            json = member.ok_or_else(|| Misfit::at(pointer(self.answer.iter().take(depth + 1)), "is absent"))?;
        }
        let place = || pointer(self.answer.iter());
        match (Json::of(json), self.rows) {
            (Json::Null, _) => Ok(Vec::new()),
            (Json::List, _) => {
                let items: Vec<&RawValue> = parsed(json).map_err(|reason| Misfit::at(place(), reason))?;
                let within = |(number, row): (usize, _)| {
                    self.row(row).map_err(|misfit| misfit.within(&format!("{}/{number}", place())))
                };
                items.into_iter().take(self.max_rows().saturating_add(1)).enumerate().map(within).collect()
            }
            (Json::Object, Expected::AtMostOne) => {
                self.row(json).map(|row| vec![row]).map_err(|misfit| misfit.within(&place()))
            }
            (other, Expected::AtMostOne) => {
                Err(Misfit::at(place(), format!("must be an object or a list of objects, not {}", other.name())))
            }
            (other, Expected::AtMost(_)) => {
                Err(Misfit::at(place(), format!("must be a list of objects, not {}", other.name())))
            }
        }
    }

    /// Rows that a file gives in place of an answer, with the types of the columns.
    ///
    /// # Errors
    /// The column that is missing, unknown, or not of its type.
    pub fn declared(&self, rows: &Value) -> Result<Value, String> {
        match rows {
            Value::List(rows) => rows.iter().map(|row| self.declared(row)).collect::<Result<_, _>>().map(Value::List),
            Value::Map(row) => {
                if let Some((stray, _)) = row.iter().find(|(name, _)| !self.names.contains(name)) {
                    return Err(format!("has `{stray}`, which is not a column of the request"));
                }
                let value = |(name, column): (&FieldName, &Member)| {
                    let value = row.get(name).ok_or_else(|| format!("has no value for column `{name}`"))?;
                    column.declared(value).map_err(|reason| format!("has `{name}`, which {reason}"))
                };
                let values = self.names.iter().zip(&self.columns).map(value).collect::<Result<Vec<_>, _>>()?;
                Ok(Value::Map(Arc::new(Record::new(Arc::clone(&self.names), values))))
            }
            other => Ok(other.clone()),
        }
    }

    fn row(&self, json: &RawValue) -> Result<Value, Misfit> {
        let members = members(json).map_err(|reason| Misfit::at(String::new(), reason))?;
        let values = self.columns.iter().map(|column| column.read(&members)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::Map(Arc::new(Record::new(Arc::clone(&self.names), values))))
    }
}

impl Member {
    /// Its value in a row of these members.
    fn read(&self, row: &[(MemberName<'_>, &RawValue)]) -> Result<Value, Misfit> {
        let mut inner;
        let mut around = row;
        let mut found = None;
        for (depth, name) in self.at.iter().enumerate() {
            let place = |depth| pointer(self.at.iter().take(depth));
            if let Some(json) = found {
                inner = members(json).map_err(|reason| Misfit::at(place(depth), reason))?;
                around = &inner;
            }
            let member = find(around, name).map_err(|reason| Misfit::at(place(depth), reason))?;
            match member.map(|json| (json, Json::of(json))) {
                None | Some((_, Json::Null)) if self.is_optional => return Ok(Value::Null),
                None => return Err(Misfit::at(place(depth + 1), "is absent")),
                Some((_, Json::Null)) => return Err(Misfit::at(place(depth + 1), "must not be null")),
                Some((json, _)) => found = Some(json),
            }
        }
        let json = found.ok_or_else(|| Misfit::at(String::new(), "is absent"))?;
        self.value(json).map_err(|reason| Misfit::at(pointer(self.at.iter()), reason))
    }

    fn value(&self, json: &RawValue) -> Result<Value, String> {
        let is_object = Json::of(json) == Json::Object;
        if is_object && self.ty != Type::Any {
            return Err(format!("must be of type {}, not an object", self.ty));
        }
        let parsed: serde_json::Value = parsed(json)?;
        if self.ty == Type::Any {
            refuse_twins(json)?;
        }
        self.of_type(&parsed)
    }

    fn of_type(&self, json: &serde_json::Value) -> Result<Value, String> {
        if !self.is_optional && matches!(self.ty, Type::List(_)) && has_null(json) {
            return Err(format!("must be of type {}, without null", self.ty));
        }
        self.ty.read(json).map_err(|found| format!("must be of type {}, not {found}", self.ty))
    }

    fn declared(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Null if !self.is_optional => Err("must not be null".to_owned()),
            value => self.of_type(&serde_json::to_value(value).map_err(|error| error.to_string())?),
        }
    }
}

impl Misfit {
    /// What is wrong at this place.
    pub fn at(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }

    fn within(self, place: &str) -> Self {
        Self { place: format!("{place}{}", self.place), ..self }
    }
}

/// What a JSON value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Json {
    Null,
    Boolean,
    Number,
    Text,
    List,
    Object,
}

impl Json {
    fn of(json: &RawValue) -> Self {
        match json.get().as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::List,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// The whole answer, whose syntax is checked.
fn document(answer: &[u8]) -> Result<&RawValue, Misfit> {
    let whole = |reason: String| Misfit::at(String::new(), reason);
    let text = std::str::from_utf8(without_bom(answer)).map_err(|_| whole("is not JSON: invalid UTF-8".to_owned()))?;
    match text.trim_start().bytes().next() {
        None => Err(whole("is empty, not JSON".to_owned())),
        Some(b'<') => Err(whole("is HTML or XML, not JSON".to_owned())),
        Some(_) => serde_json::from_str(text).map_err(|error| whole(format!("is not JSON: {error}"))),
    }
}

/// A value whose syntax was checked with the whole: only its depth and its escapes may be wrong.
fn parsed<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(json.get()).map_err(|error| {
        let error = error.to_string();
        format!("cannot be read: {}", error.split(" at line ").next().unwrap_or_default())
    })
}

fn members(json: &RawValue) -> Result<Vec<(MemberName<'_>, &RawValue)>, String> {
    match Json::of(json) {
        Json::Object => parsed(json).map(|Members(members)| members),
        other => Err(format!("must be an object, not {}", other.name())),
    }
}

fn find<'a>(members: &[(MemberName<'_>, &'a RawValue)], name: &str) -> Result<Option<&'a RawValue>, String> {
    let mut found = members.iter().filter(|(MemberName(known), _)| known == name).map(|(_, json)| *json);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(format!("has two members `{name}`")),
        (first, None) => Ok(first),
    }
}

/// Refuses two members of one name anywhere in `json`, which is not nested too deeply.
fn refuse_twins(json: &RawValue) -> Result<(), String> {
    match Json::of(json) {
        Json::Object => {
            let members = members(json)?;
            let mut names: Vec<&str> = members.iter().map(|(MemberName(name), _)| &**name).collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err("has an object with two members of one name".to_owned());
            }
            members.iter().try_for_each(|(_, json)| refuse_twins(json))
        }
        Json::List => parsed::<Vec<&RawValue>>(json)?.into_iter().try_for_each(refuse_twins),
        _ => Ok(()),
    }
}

fn has_null(json: &serde_json::Value) -> bool {
    json.is_null() || json.as_array().is_some_and(|items| items.iter().any(has_null))
}

fn pointer<'a>(names: impl Iterator<Item = &'a Box<str>>) -> String {
    names.flat_map(|name| ["/".to_owned(), name.replace('~', "~0").replace('/', "~1")]).collect()
}

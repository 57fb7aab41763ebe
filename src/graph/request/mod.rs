//! What a node asks of a REST interface: a request that is made of facts, and the rows in the answer. Nothing here connects.
//!
//! A fact is encoded as the value of the place where it stands and never becomes a part of the request's structure (`render`).
//! An answer is read against the declared columns, and whatever does not fit them is an error with its place (`answer`).

mod answer;
mod render;

use std::fmt;
use std::sync::Arc;

use crate::types::{FieldName, Type, Value};

pub(super) use render::{escaped, leads_elsewhere};

/// A request and what its answer holds. Made once, when its flow is compiled.
#[derive(Debug)]
pub struct Request {
    pub(super) method: Method,
    /// The segments of the path, without the slash before each.
    pub(super) path: Vec<Text>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) headers: Vec<(String, Text)>,
    pub(super) body: Option<Body>,
    /// The members that lead to the rows.
    pub(super) answer: Box<[Box<str>]>,
    pub(super) columns: Box<[Member]>,
    /// The names of the columns, shared by all rows.
    pub(super) names: Arc<[FieldName]>,
    pub(super) rows: Expected,
    /// Whether status 404 is an answer without a row.
    pub(super) may_find_nothing: bool,
    /// The request as the graph wrote it.
    pub(super) written: Box<str>,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// May change something.
    Post,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
        })
    }
}

/// How many rows an answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// An object, or a list of at most one.
    AtMostOne,
    /// A list.
    AtMost(usize),
}

/// Text with facts in it.
pub(super) type Text = Box<[Piece]>;

/// A part of a [`Text`].
#[derive(Debug)]
pub(super) enum Piece {
    /// Text of the graph, encoded for its place.
    Written(String),
    /// A parameter, by its position.
    Fact(usize),
}

/// A parameter of the query of a URL: `name`, or `name=value`.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its name, encoded.
    pub(super) name: String,
    pub(super) value: Option<Text>,
}

/// The template of a body.
#[derive(Debug)]
pub(super) enum Body {
    /// Named members.
    Map(Vec<(FieldName, Body)>),
    /// Elements.
    List(Vec<Body>),
    /// A parameter, by its position.
    Fact(usize),
    /// What stands for itself.
    Literal(Value),
}

/// Where a row has the value of a column.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) ty: Type,
    /// The members that lead to it within the row.
    pub(super) at: Box<[Box<str>]>,
    /// Whether it may be absent or null.
    pub(super) is_optional: bool,
}

/// A request with its facts filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded; it begins with a slash.
    pub target: String,
    /// Names and values of headers: visible ASCII and spaces.
    pub headers: Vec<(String, String)>,
    /// The body: JSON.
    pub body: Option<String>,
}

/// Why a fact cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter ${number} takes {expected}, not {found}")]
pub struct Unfit {
    /// The number of the parameter, from 1.
    pub number: usize,
    /// What its place takes.
    pub expected: &'static str,
    /// What was given; never the value.
    pub found: &'static str,
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Misfit {
    /// Where: a JSON pointer (RFC 6901) into the answer, of names that the graph declares; `/` for the whole answer.
    pub place: String,
    /// What it must be and what it is; never a value.
    pub reason: String,
}

impl Request {
    /// Its method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether it may be sent again where it is not known if it was carried out.
    pub fn is_idempotent(&self) -> bool {
        self.method == Method::Get
    }

    /// Whether an answer of this status means that there is no row.
    pub fn finds_nothing(&self, status: u16) -> bool {
        status == 404 && self.may_find_nothing
    }

    /// As the graph wrote it, such as `GET /scores/{customer_id}`, with its headers and body below.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The most rows that its node takes.
    pub fn max_rows(&self) -> usize {
        match self.rows {
            Expected::AtMostOne => 1,
            Expected::AtMost(most) => most,
        }
    }
}

//! The one statement that stands for many: a query whose parameters come from lists.
//!
//! ```sql
//! SELECT tributary_batch.ord, tributary_rows.*
//! FROM unnest((SELECT $1::"pg_catalog"."int4"[]), (SELECT $2::"pg_catalog"."text"[])) WITH ORDINALITY
//!   AS tributary_batch (p1, p2, ord)
//! CROSS JOIN LATERAL (
//! <the query, with tributary_batch.p1 for $1>
//! ) AS tributary_rows (c1, c2, c3)
//! ```
//!
//! Where the query orders its rows they are numbered inside (`row_number() OVER ()`), since nothing promises that a join
//! keeps an order. The lists stand in selects of their own, so that PostgreSQL does not count them when it plans: where it
//! does, a plan for the few keys at hand looks cheaper than the one that it keeps, and it plans each short batch anew, which
//! takes longer than the batch itself. Types are those that PREPARE found for the query alone, and what PREPARE then says of
//! this statement must agree with it, column by column.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio_postgres::Statement;
use tokio_postgres::types::{Kind, Type as PgType};

use super::template::Template;
use crate::postgres::codec::Codec;
use crate::postgres::statements::{Bound, Plan};
use crate::postgres::words;

/// A query in its wrapping.
#[derive(Debug)]
pub(super) struct Wrapped {
    /// What PREPARE said of the query alone.
    pub(super) plan: Arc<Plan>,
    pub(super) text: String,
    /// Whether the second column numbers the rows.
    pub(super) numbered: bool,
}

impl Wrapped {
    /// Wraps the query of `template`; `None` where its parameters cannot come from lists.
    pub(super) fn of(template: &Template, plan: &Arc<Plan>) -> Option<Self> {
        let types: Vec<&PgType> = plan.param_types().collect();
        if template.params() != types.len() || !types.iter().all(|ty| unnests(ty)) {
            return None;
        }
        let numbered = template.ordered;
        let arrays =
            comma_separated(types.iter().zip(1..).map(|(ty, number)| format!("(SELECT ${number}::{}[])", quoted(ty))));
        let params = comma_separated((1..=types.len()).map(|number| format!("p{number}")));
        let columns = comma_separated((1..=plan.column_types().len()).map(|number| format!("c{number}")));
        let inner = template.with(|number| format!("tributary_batch.p{number}"));
        let mut text = String::from("SELECT tributary_batch.ord, tributary_rows.* FROM unnest(");
        // Writing to a String cannot fail.
        let written = if numbered {
            write!(
                text,
                "{arrays}) WITH ORDINALITY AS tributary_batch ({params}, ord) CROSS JOIN LATERAL (SELECT row_number() \
                 OVER (), tributary_inner.* FROM (\n{inner}\n) AS tributary_inner) AS tributary_rows (n, {columns})"
            )
        } else {
            write!(
                text,
                "{arrays}) WITH ORDINALITY AS tributary_batch ({params}, ord) CROSS JOIN LATERAL (\n{inner}\n) AS \
                 tributary_rows ({columns})"
            )
        };
        written.ok()?;
        Some(Self { plan: Arc::clone(plan), text, numbered })
    }

    /// How many columns stand before the query's own.
    pub(super) fn extra(&self) -> usize {
        1 + usize::from(self.numbered)
    }

    /// Whether PREPARE says of the wrapped query what it said of the query alone.
    pub(super) fn agrees(&self, statement: &Statement) -> bool {
        let lists = statement.params().iter().map(|ty| match ty.kind() {
            Kind::Array(element) => Some(element.oid()),
            _ => None,
        });
        let expected = std::iter::repeat_n(PgType::INT8.oid(), self.extra());
        let expected = expected.chain(self.plan.column_types().map(PgType::oid));
        lists.eq(self.plan.param_types().map(|ty| Some(ty.oid())))
            && statement.columns().iter().map(|column| column.type_().oid()).eq(expected)
    }

    /// The lists of parameters: the first of each of `keys`, the second of each, ...
    pub(super) fn bind(&self, keys: &[&[Bound]]) -> Option<Vec<Bound>> {
        self.plan.param_types().enumerate().map(|(index, ty)| list(ty.oid(), keys, index)).collect()
    }
}

/// An array of one dimension in PostgreSQL's binary format (`array_recv`).
fn list(oid: u32, keys: &[&[Bound]], index: usize) -> Option<Bound> {
    let mut out = BytesMut::new();
    out.put_i32(1);
    out.put_i32(1);
    out.put_u32(oid);
    out.put_i32(i32::try_from(keys.len()).ok()?);
    out.put_i32(1);
    for key in keys {
        match key.get(index)?.bytes() {
            None => out.put_i32(-1),
            Some(bytes) => {
                out.put_i32(i32::try_from(bytes.len()).ok()?);
                out.put_slice(bytes);
            }
        }
    }
    Some(Bound::of(out))
}

/// Whether values of `ty` can stand in a list. An array within an array would be taken apart.
fn unnests(ty: &PgType) -> bool {
    let plain = matches!(ty.kind(), Kind::Simple | Kind::Enum(_)) && *ty != PgType::UNKNOWN;
    plain && !matches!(Codec::of(ty), None | Some(Codec::Array { .. }))
}

fn quoted(ty: &PgType) -> String {
    format!("{}.{}", words::quoted(ty.schema()), words::quoted(ty.name()))
}

fn comma_separated(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

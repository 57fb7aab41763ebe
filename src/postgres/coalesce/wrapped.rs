//! The statement that stands for several: a query whose parameters come from lists.
//!
//! ```sql
//! SELECT tributary_batch.tributary_ord, tributary_rows.*
//! FROM ROWS FROM (pg_catalog.unnest((SELECT $1::"pg_catalog"."int4"[])), pg_catalog.unnest((SELECT $2::...)))
//!   WITH ORDINALITY AS tributary_batch (tributary_p1, tributary_p2, tributary_ord)
//! CROSS JOIN LATERAL (
//! <the query, with tributary_batch.tributary_p1 for $1>
//! ) AS tributary_rows
//! ```
//!
//! A query that orders its rows has them numbered inside (`row_number() OVER () AS tributary_n`), because a join does not
//! keep an order. Each list stands in a select of its own, so that PostgreSQL does not count its elements when it plans:
//! otherwise the plan for the few keys at hand looks cheaper than the generic plan, and each short batch is planned again,
//! which takes longer than the batch.
//!
//! The statement answers what the query alone would answer, also while tables change:
//! - The columns of the query keep their names. They are expanded by `*` and never renamed by position, so the columns of
//!   both statements change together: PostgreSQL refuses to execute either one after a change of names, types or their order
//!   (0A000, "cached plan must not change result type"). A list of names here would hide such a change.
//! - Both statements are compared column by column after PREPARE, names and types ([`Wrapped::agrees`]). They differ where a
//!   table changed between the two, and both are then prepared again. They also differ where the query returns a parameter
//!   without a name (`SELECT $1::int`), which takes its name from this statement.
//! - LATERAL resolves a name that the query's own tables lack in `tributary_batch`. All names there have the prefix
//!   `tributary_`, and a query that contains the prefix is never wrapped. Functions are qualified, so that `search_path` cannot
//!   replace them.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio_postgres::Statement;
use tokio_postgres::types::{Kind, Type as PgType};

use super::template::Template;
use crate::postgres::codec::Codec;
use crate::postgres::statements::{Bound, Plan};
use crate::postgres::words;

/// The column that holds the place of the parameters in the lists, from 1.
const ORD: &str = "tributary_ord";
/// The column that numbers the rows of a query that orders them.
const NUMBER: &str = "tributary_n";

/// A query in its wrapping.
#[derive(Debug)]
pub(in crate::postgres) struct Wrapped {
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
        let arrays = comma_separated(
            types
                .iter()
                .zip(1..)
                .map(|(ty, number)| format!("pg_catalog.unnest((SELECT ${number}::{}[]))", quoted(ty))),
        );
        let params = comma_separated((1..=types.len()).map(|number| format!("tributary_p{number}")));
        let inner = template.with(|number| format!("tributary_batch.tributary_p{number}"));
        let mut text = format!("SELECT tributary_batch.{ORD}, tributary_rows.* FROM ROWS FROM (");
        // Writing to a String cannot fail.
        let written = if numbered {
            write!(
                text,
                "{arrays}) WITH ORDINALITY AS tributary_batch ({params}, {ORD}) CROSS JOIN LATERAL (SELECT \
                 pg_catalog.row_number() OVER () AS {NUMBER}, tributary_inner.* FROM (\n{inner}\n) AS tributary_inner) \
                 AS tributary_rows"
            )
        } else {
            write!(
                text,
                "{arrays}) WITH ORDINALITY AS tributary_batch ({params}, {ORD}) CROSS JOIN LATERAL (\n{inner}\n) AS \
                 tributary_rows"
            )
        };
        written.ok()?;
        Some(Self { plan: Arc::clone(plan), text, numbered })
    }

    /// How many columns stand before the query's own.
    pub(super) fn extra(&self) -> usize {
        1 + usize::from(self.numbered)
    }

    /// Whether PREPARE describes the wrapped query as it described the query alone: parameters, columns and their names.
    pub(super) fn agrees(&self, statement: &Statement) -> bool {
        let lists = statement.params().iter().map(|ty| match ty.kind() {
            Kind::Array(element) => Some(element.oid()),
            _ => None,
        });
        let added = [ORD, NUMBER].into_iter().take(self.extra()).map(|name| (name, PgType::INT8.oid()));
        let expected = added.chain(self.plan.columns().map(|(name, ty)| (name, ty.oid())));
        lists.eq(self.plan.param_types().map(|ty| Some(ty.oid())))
            && statement.columns().iter().map(|column| (column.name(), column.type_().oid())).eq(expected)
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

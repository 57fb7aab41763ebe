//! The wrapped form of a query, which takes lists of parameters and answers several queries with one statement.
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
//! The rows of a query that orders them are numbered (`row_number() OVER () AS tributary_n`), because a join does not keep their
//! order. Each list is in a select of its own, so that the planner does not know its length. Otherwise the plan for a short list
//! looks cheaper than the generic plan, and PostgreSQL plans each short batch again, which takes longer than the batch.
//!
//! The wrapped query gives the same rows as the query, also while tables change:
//! - The columns of the query keep their names. They are expanded by `*` and never renamed by position, so the columns of
//!   both statements change together: PostgreSQL refuses to execute either one after a change of names, types or their order
//!   (0A000, "cached plan must not change result type"). A list of names here would hide such a change.
//! - Both statements are compared column by column after PREPARE, names and types ([`Wrapped::matches_statement`]). They differ where a
//!   table changed between the two, and both are then prepared again. They also differ where the query returns a parameter
//!   without a name (`SELECT $1::int`), which takes its name from this statement.
//! - LATERAL resolves a name that the query's own tables do not have in `tributary_batch`. All names there have the prefix
//!   `tributary_`, and a query that contains the prefix is never wrapped. Functions are qualified, so that `search_path` has no
//!   effect on them.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio_postgres::Statement;
use tokio_postgres::types::{Kind, Type as PgType};

use super::template::Template;
use crate::postgres::codec::Codec;
use crate::postgres::sql;
use crate::postgres::statements::{Bound, Plan};

/// The column with the ordinal number of the parameters in the lists, from 1.
const ORD: &str = "tributary_ord";
/// The column that numbers the rows of a query that orders them.
const NUMBER: &str = "tributary_n";

/// The wrapped form of a query.
#[derive(Debug)]
pub(in crate::postgres) struct Wrapped {
    /// The plan of the query itself.
    pub(super) plan: Arc<Plan>,
    pub(super) text: String,
    /// Whether the second column numbers the rows.
    pub(super) numbered: bool,
}

impl Wrapped {
    /// Wraps the query of `template`; `None` where its parameters cannot come from lists.
    pub(super) fn of(template: &Template, plan: &Arc<Plan>) -> Option<Self> {
        let types: Vec<&PgType> = plan.param_types().collect();
        if template.params() != types.len() || !types.iter().all(|ty| can_unnest(ty)) {
            return None;
        }
        let numbered = template.ordered;
        let arrays = comma_separated(
            types
                .iter()
                .zip(1..)
                .map(|(ty, number)| format!("pg_catalog.unnest((SELECT ${number}::{}[]))", qualified_name(ty))),
        );
        let params = comma_separated((1..=types.len()).map(|number| format!("tributary_p{number}")));
        let inner = template.with(|number| format!("tributary_batch.tributary_p{number}"));
        let rows = if numbered {
            format!(
                "SELECT pg_catalog.row_number() OVER () AS {NUMBER}, tributary_inner.* FROM (\n{inner}\n) AS tributary_inner"
            )
        } else {
            format!("\n{inner}\n")
        };
        let text = format!(
            "SELECT tributary_batch.{ORD}, tributary_rows.* FROM ROWS FROM ({arrays}) WITH ORDINALITY AS tributary_batch \
             ({params}, {ORD}) CROSS JOIN LATERAL ({rows}) AS tributary_rows"
        );
        Some(Self { plan: Arc::clone(plan), text, numbered })
    }

    /// The number of columns before those of the query.
    pub(super) fn extra(&self) -> usize {
        1 + usize::from(self.numbered)
    }

    /// Whether `statement`, the wrapped query, has the same parameters, columns and names as the query itself.
    pub(super) fn matches_statement(&self, statement: &Statement) -> bool {
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

/// Whether values of `ty` can be elements of a list. `unnest` would expand nested arrays.
fn can_unnest(ty: &PgType) -> bool {
    let plain = matches!(ty.kind(), Kind::Simple | Kind::Enum(_)) && *ty != PgType::UNKNOWN;
    plain && !matches!(Codec::of(ty), None | Some(Codec::Array { .. }))
}

fn qualified_name(ty: &PgType) -> String {
    format!("{}.{}", sql::quote_identifier(ty.schema()), sql::quote_identifier(ty.name()))
}

fn comma_separated(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

//! The types that every other floor uses.
//!
//! Checked names ([`NodeId`], [`DomainName`], [`FlowName`]), the values that pass from a column to a
//! JSON answer ([`Value`], [`Decimal`]), the types they are checked against ([`Type`]) and the clock of one decision
//! ([`Clock`]). Nothing here does I/O, knows YAML, SQL or HTTP, or imports another floor.

mod clock;
mod decimal;
mod digest;
mod foreign;
mod invisible;
mod key;
mod members;
mod milliseconds;
mod moment;
mod names;
mod occasional;
mod ty;
mod typed;
mod value;

pub use clock::{Clock, Deadline};
pub use decimal::{Decimal, DecimalError, Rounding};
pub use digest::{Digest, hex};
pub use foreign::type_meant_by;
pub use invisible::invisible_characters;
pub use key::{IdempotencyKey, KeyError};
pub use members::{MemberName, Members, from_unique_json};
pub use milliseconds::Milliseconds;
pub use moment::{MomentError, parse_moment};
pub use names::{DomainName, FlowName, NameError, NodeId, check_name, continues_name, starts_name};
pub use occasional::Occasional;
pub use ty::{Field, FieldName, Shape, Type};
pub use value::{Record, Value};

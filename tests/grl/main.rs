//! The rule language as its users meet it: files in, facts or complaints out.

mod agreement;
mod limits;
mod lints;
mod mutations;
mod purchasing;
mod reader;
mod reference;
mod refused;

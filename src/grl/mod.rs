//! The rule language.
//!
//! The lexer and the parsers (`parse_rule`, `parse_expression`) make a syntax tree of GRL text; `check` resolves names and types;
//! `compile` makes a [`Ruleset`] of the nodes of `program`, which `evaluate` evaluates. rust-rule-engine schedules the compiled
//! rules (`engine`) and never sees their text. `enclosure` evaluates them over intervals of numbers. Text that could be read in
//! two ways, or that belongs to another dialect, is refused with its place. Names come from a [`Scope`], values from [`Facts`];
//! nothing here knows graphs, rows or files.

mod ast;
mod canonical;
mod check;
mod check_comparison;
mod check_parts;
mod compile;
mod cursor;
mod define;
mod definitions;
mod enclosure;
mod engine;
mod error;
mod evaluate;
mod expression;
mod facts;
mod finite;
mod fold;
mod foreign;
mod functions;
mod interval;
mod lexer;
mod limits;
mod links;
mod lint;
mod names;
mod operators;
mod parse_expression;
mod parse_rule;
mod pattern;
mod program;
mod proof;
mod read;
mod rule;
mod ruleset;
mod run;
mod scope;
mod sides;
mod table;
mod text;
mod token;
mod trace;
mod unknown;

pub use canonical::canonical;
pub use definitions::{Constant, Definitions, OwnFunction};
pub use enclosure::OverBox;
pub use engine::{Engine, Engines, Evaluation};
pub use error::{EvalError, EvalErrorKind, RuleError};
pub use expression::{Expression, ExpressionKind};
pub use facts::{FactRef, Facts, Lookup, Origin, Owner, overlap};
pub use finite::{Makers, Outside};
pub use interval::{Branches, Interval, Part, Stop};
pub use lexer::refuse_invisible;
pub use limits::Limits;
pub use read::{Term, heads, term};
pub use ruleset::{LocalFact, RuleInfo, Ruleset};
pub use scope::{OwnerKind, Scope, ScopeError};
pub use sides::{RuleSides, Sides, Surely};
pub use table::{Domain, Hit, HitPolicy, Table, TableText};
pub use text::RuleText;
pub use trace::{Assignment, Beginning, Failed, Firing, Idle, Operand, Reason, RulesTrace, Write};
pub use unknown::{Doubt, Unknowns};

#[cfg(test)]
mod tests;

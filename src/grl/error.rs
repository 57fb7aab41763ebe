//! Errors of running rules and expressions.

use super::ast::At;
use crate::diagnostics::{Snippet, Span};
use crate::types::{Decimal, FieldName};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{} `{}`: {kind}", place(span), text(span))]
pub struct EvalError {
    /// The part of the expression.
    pub span: Span,
    /// What happened.
    pub kind: EvalErrorKind,
}

/// What happened in an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalErrorKind {
    /// Null cannot be computed with, ordered, or taken for true or false.
    #[error("{operand} is null, which {operator} does not take: `!= null` tests for it, and `coalesce` replaces it")]
    Null {
        /// The operator or function.
        operator: &'static str,
        /// The operand, as it is written.
        operand: String,
    },
    /// The value is of a type the operator does not take.
    #[error("{operator} takes {expected}, not {found}")]
    Type {
        /// The operator or function.
        operator: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: String,
    },
    /// A divisor is zero.
    #[error("division by zero")]
    DivisionByZero,
    /// An exact result has more digits than a number may have.
    #[error("the result of {operator} has more than {} digits", Decimal::MAX_DIGITS)]
    TooManyDigits {
        /// The operator or function.
        operator: &'static str,
    },
    /// There is no such number: the root or the logarithm of a negative number, the logarithm of zero.
    #[error("no real number is the result of {operator}")]
    Undefined {
        /// The operator or function.
        operator: &'static str,
    },
    /// A result lies outside the calendar, or an argument outside what the function takes.
    #[error("the result of {operator} is out of range")]
    OutOfRange {
        /// The operator or function.
        operator: &'static str,
    },
    /// A text has become too long.
    #[error("the result of {operator} is longer than {limit} bytes")]
    TooLong {
        /// The function.
        operator: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A list has become too long.
    #[error("the result of {operator} has more than {limit} elements")]
    TooManyElements {
        /// The operator or function.
        operator: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A function of the graph has no value.
    #[error("in `{function}`: {kind}")]
    Inside {
        /// The function.
        function: String,
        /// What happened in it.
        kind: Box<EvalErrorKind>,
    },
    /// There is no time left.
    #[error("it was not done in time")]
    OutOfTime,
    /// A JSON document has no such key.
    #[error("the JSON of `{of}` has no key `{key}`; `get` reads a key that may be missing")]
    NoKey {
        /// The document, or the part of it, as it is written.
        of: FieldName,
        /// The key.
        key: FieldName,
    },
    /// A row has no such column.
    #[error("the query did not select `{fact}`")]
    Missing {
        /// The fact, as it is written.
        fact: String,
    },
}

/// Why an evaluation failed. None of its facts is kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// A rule's condition or statement has no value.
    #[error("rule `{rule}`: {source}")]
    Rule {
        /// The rule.
        rule: String,
        /// Why not.
        #[source]
        source: EvalError,
    },
    /// Rules still fire after the last pass.
    #[error("after {cycles} passes these rules still fire: {}", rules.join(", "))]
    Cycles {
        /// The limit.
        cycles: usize,
        /// The rules that fired in the last pass.
        rules: Vec<String>,
    },
    /// The evaluation took too long.
    #[error("the rules were not done within {limit_ms} ms; the last to be tried was `{rule}`")]
    Timeout {
        /// The limit in milliseconds.
        limit_ms: u128,
        /// The rule that was tried last.
        rule: String,
    },
    /// Rows of a table match that its hit policy does not let match together.
    #[error("{}", rows_message(policy, rows, places, fact.as_deref()))]
    Rows {
        /// The hit policy.
        policy: &'static str,
        /// The two rows.
        rows: [String; 2],
        /// Their places.
        places: [String; 2],
        /// The result that is not the same, where the others may be.
        fact: Option<String>,
    },
    /// rust-rule-engine itself failed.
    #[error("the rule engine failed: {message}")]
    Engine {
        /// What it said.
        message: String,
    },
}

impl RuleError {
    /// The rule that caused it, if it was one.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule { rule, .. } | Self::Timeout { rule, .. } => Some(rule),
            Self::Cycles { rules, .. } => rules.first().map(String::as_str),
            Self::Rows { rows: [first, _], .. } => Some(first),
            Self::Engine { .. } => None,
        }
    }
}

fn rows_message(
    policy: &str,
    [first, second]: &[String; 2],
    [here, there]: &[String; 2],
    fact: Option<&str>,
) -> String {
    let differ = fact.map(|fact| format!(" and give different values of `{fact}`")).unwrap_or_default();
    format!("`{first}` ({here}) and `{second}` ({there}) both match{differ}; the hit policy of the table is {policy}")
}

fn place(span: &Span) -> String {
    format!("{}:{}", span.source().name(), span.position().line)
}

fn text(span: &Span) -> String {
    let words: Vec<&str> = span.text().split_whitespace().collect();
    let text = words.join(" ");
    if text.chars().count() > 80 { format!("{}...", text.chars().take(77).collect::<String>()) } else { text }
}

/// An [`EvalError`] without its file: what happened, and where in the snippet.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) at: At,
    /// Boxed to keep results small: every part of an expression returns one.
    pub(super) kind: Box<EvalErrorKind>,
}

impl Fault {
    pub(super) fn new(at: &At, kind: EvalErrorKind) -> Self {
        Self { at: at.clone(), kind: Box::new(kind) }
    }

    /// The error of a call of `function` in which this happened. That there is no time left stays what it is.
    pub(super) fn inside(self, function: &str, at: &At) -> Self {
        match *self.kind {
            EvalErrorKind::OutOfTime => Self { at: at.clone(), ..self },
            _ => Self::new(at, EvalErrorKind::Inside { function: function.to_owned(), kind: self.kind }),
        }
    }

    pub(super) fn in_snippet(self, snippet: &Snippet) -> EvalError {
        EvalError { span: snippet.span(self.at), kind: *self.kind }
    }
}

//! The syntax tree of a rule file. Names and types are not checked yet.

use std::ops::Range;

use crate::types::Value;

/// A range of bytes in the snippet.
pub(super) type At = Range<usize>;

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) name_at: At,
    pub(super) description: Option<String>,
    pub(super) salience: i32,
    pub(super) no_loop: bool,
    /// Whether it stands for `let fact = expression;`.
    pub(super) is_let: bool,
    /// The first moment at which it can fire: the text and its place.
    pub(super) effective: Option<(String, At)>,
    /// The moment from which it no longer fires.
    pub(super) expires: Option<(String, At)>,
    pub(super) when: Expr,
    pub(super) then: Vec<Statement>,
}

/// One statement of a `then`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    /// `target = value;`, also with `+=` and `-=`.
    Assign { target: Path, operator: Assign, value: Expr, at: At },
    /// `Log(values);`
    Log { values: Vec<Expr>, at: At },
}

impl Statement {
    pub(super) fn at(&self) -> At {
        match self {
            Self::Assign { at, .. } | Self::Log { at, .. } => at.clone(),
        }
    }
}

/// How a statement assigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assign {
    Set,
    Add,
    Subtract,
    /// `+=` of a fact that is a list, or may be one: the order counts.
    Append,
}

impl Assign {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Set => "=",
            Self::Add | Self::Append => "+=",
            Self::Subtract => "-=",
        }
    }

    /// The verb for messages; `None` if it takes other types than numbers.
    pub(super) fn verb(self) -> Option<&'static str> {
        match self {
            Self::Set | Self::Append => None,
            Self::Add => Some("adds"),
            Self::Subtract => Some("subtracts"),
        }
    }
}

/// A dotted name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    pub(super) names: Vec<String>,
    pub(super) at: At,
}

impl Path {
    pub(super) fn written(&self) -> String {
        self.names.join(".")
    }
}

/// An expression. A chain of operators of one precedence is a list, so that it adds one level of depth.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Literal {
        value: Value,
        at: At,
    },
    Path(Path),
    List {
        items: Vec<Expr>,
        at: At,
    },
    /// `first op a op b ...` from the left: all of `+ -`, all of `* / %`, or one `**`.
    Arithmetic {
        first: Box<Expr>,
        rest: Vec<(Arithmetic, Expr)>,
        at: At,
    },
    /// `a && b && ...`
    And {
        items: Vec<Expr>,
        at: At,
    },
    /// `a || b || ...`
    Or {
        items: Vec<Expr>,
        at: At,
    },
    Compare {
        operator: Compare,
        left: Box<Expr>,
        right: Box<Expr>,
        at: At,
    },
    Not {
        of: Box<Expr>,
        at: At,
    },
    Negate {
        of: Box<Expr>,
        at: At,
    },
    Call {
        name: String,
        name_at: At,
        arguments: Vec<Expr>,
        at: At,
    },
    /// `if a then b else if c then d else e`
    If {
        /// The conditions and their values, in order.
        arms: Vec<(Expr, Expr)>,
        otherwise: Box<Expr>,
        at: At,
    },
    /// `value for name in list where condition`, the list of these values; without a value, `name in list where condition`.
    For(Box<For>),
    /// `{code: "A1", limit: 5}`
    Map {
        fields: Vec<(String, Expr)>,
        at: At,
    },
}

/// What is made of the elements of a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct For {
    pub(super) value: Option<Expr>,
    /// The name of the element.
    pub(super) name: String,
    pub(super) name_at: At,
    pub(super) list: Expr,
    pub(super) condition: Option<Expr>,
    pub(super) at: At,
}

/// `+ - * / % **`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Comparisons and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
}

impl Arithmetic {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Power => "**",
        }
    }
}

impl Compare {
    /// The operator that gives the same result with its sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Matches => "matches",
        }
    }
}

impl Expr {
    pub(super) fn at(&self) -> At {
        match self {
            Self::Path(path) => path.at.clone(),
            Self::For(each) => each.at.clone(),
            Self::Literal { at, .. }
            | Self::List { at, .. }
            | Self::Arithmetic { at, .. }
            | Self::And { at, .. }
            | Self::Or { at, .. }
            | Self::Compare { at, .. }
            | Self::Not { at, .. }
            | Self::Negate { at, .. }
            | Self::Call { at, .. }
            | Self::If { at, .. }
            | Self::Map { at, .. } => at.clone(),
        }
    }
}

//! Words and symbols of other rule and query languages, and what to write instead.

use super::token::Symbol;

/// A symbol of other languages.
pub(super) struct Foreign {
    pub(super) text: &'static str,
    /// The symbol of this language; the parser continues with it.
    pub(super) meant: Option<Symbol>,
    pub(super) help: &'static str,
}

const fn foreign(text: &'static str, meant: Option<Symbol>, help: &'static str) -> Foreign {
    Foreign { text, meant, help }
}

/// Longer symbols come before their prefixes.
pub(super) const SYMBOLS: &[Foreign] = &[
    foreign("===", Some(Symbol::Equal), "write `==`"),
    foreign("!==", Some(Symbol::NotEqual), "write `!=`"),
    foreign("<>", Some(Symbol::NotEqual), "write `!=`"),
    foreign("=<", Some(Symbol::LessEqual), "write `<=`"),
    foreign("=>", Some(Symbol::GreaterEqual), "write `>=`"),
    foreign(":=", Some(Symbol::Assign), "write `=`"),
    foreign("&", Some(Symbol::AndAnd), "write `&&` for \"and\""),
    foreign("|", Some(Symbol::OrOr), "write `||` for \"or\""),
    foreign("≤", Some(Symbol::LessEqual), "write `<=`"),
    foreign("≥", Some(Symbol::GreaterEqual), "write `>=`"),
    foreign("≠", Some(Symbol::NotEqual), "write `!=`"),
    foreign("“", None, STRAIGHT_QUOTES),
    foreign("”", None, STRAIGHT_QUOTES),
    foreign("„", None, STRAIGHT_QUOTES),
    foreign("‘", None, STRAIGHT_QUOTES),
    foreign("’", None, STRAIGHT_QUOTES),
    foreign("$", None, "names have no `$`"),
    foreign("?", None, "write `if condition then value else value`"),
];

const STRAIGHT_QUOTES: &str = "write straight quotes: \" or '";

/// What to write instead of `word`, which stands after an operand: an operator of another language, or one of this language in
/// other capitals. `next` is the word after it.
pub(super) fn operator(word: &str, next: Option<&str>) -> Option<&'static str> {
    let next_is = |wanted: &str| next.is_some_and(|next| next.eq_ignore_ascii_case(wanted));
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "write `and`, or `&&`",
        "or" => "write `or`, or `||`",
        "not" => "write `!` before the whole comparison, in parentheses: `!(a in [b])`",
        "is" if next_is("not") => "write `!= null`, or `!=` with another value",
        "is" => "write `== null`, or `==` with another value",
        "eq" | "equals" => "write `==`",
        "ne" | "neq" => "write `!=`",
        "lt" => "write `<`",
        "le" | "lte" => "write `<=`",
        "gt" => "write `>`",
        "ge" | "gte" => "write `>=`",
        "mod" => "write `%`",
        "div" => "write `/`",
        "xor" => "write `!=` between two conditions",
        "between" => "write `between`",
        "like" | "ilike" => "write `contains`, `startsWith`, `endsWith`, or `matches` with a pattern",
        "count" | "size" => "write `count(list)` before the comparison: `count(order.items) > 2`",
        "empty" | "isempty" => "write `count(list) == 0`",
        "not_empty" | "notempty" => "write `count(list) > 0`",
        "first" | "last" => "write `first(list)` or `last(list)`",
        // Operators of this language, in other capitals.
        "in" | "memberof" => "write `in`",
        "contains" => "write `contains`",
        "startswith" | "starts" => "write `startsWith`",
        "endswith" | "ends" => "write `endsWith`",
        "matches" => "write `matches`",
        _ => return None,
    })
}

/// What to write instead of a construct of other rule languages, which begins with `word`.
pub(super) fn construct(word: &str) -> Option<&'static str> {
    Some(match word {
        "exists" => "write `any(x in list where x.field > 0)`, or `is_set(fact)`",
        "forall" => "write `all(x in list where x.field > 0)`",
        "accumulate" => {
            "write `sum(x.amount for x in list where x.field > 0)`; \
             `count`, `avg`, `min`, `max` and `median` are other functions of this kind"
        }
        "test" => "write the condition without `test`",
        "case" => "write `if condition then value else value`",
        _ => return None,
    })
}

/// What to write instead of a definition of other rule languages, which begins with `word`.
pub(super) fn definition(word: &str) -> Option<&'static str> {
    Some(match word {
        "function" => "define it in the graph: `functions: { \"double(x)\": x * 2 }`",
        "global" => "define it in the graph: `constants: { limit: 5000 }`",
        "query" => "write a node of the graph with a `query`, or `any(x in list where condition)` in a rule",
        "template" | "deffacts" => "facts that a node starts with stand in the graph: `facts: { limit: 5000 }`",
        "defmodule" => "put rules that belong together in a node of the graph",
        "import" | "package" => "delete it: the graph names the files of rules",
        _ => return None,
    })
}

/// What to write instead of an attribute of other rule languages.
pub(super) fn attribute(name: &str) -> Option<&'static str> {
    Some(match name {
        "agenda-group" | "ruleflow-group" | "auto-focus" => {
            "put the rules of a group in a node of the graph: nodes run one after the other"
        }
        "activation-group" => {
            "exclude the other rules by the condition, or write a decision table that takes the first row"
        }
        "lock-on-active" => "write `no-loop`: the rule fires once",
        "enabled" => "delete the rule, or end it by `date-expires \"2026-12-31\"`",
        "duration" | "timer" => "compare with `now()` in the condition",
        _ => return None,
    })
}

/// What to write instead of a statement of other rule languages.
pub(super) fn action(word: &str) -> Option<&'static str> {
    Some(match word {
        "Retract" | "retract" | "delete" => "give the fact another value, such as `fact = null;`",
        "insert" | "update" | "modify" | "set" => "write `fact = expression;`: rules that read the fact see it at once",
        "ActivateAgendaGroup" => "put the rules of a group in a node of the graph: nodes run one after the other",
        "ScheduleRule" => "compare with `now()` in the condition of a rule",
        "LogMessage" | "println" | "print" => "write `Log(...);`",
        "CompleteWorkflow" | "SetWorkflowData" | "Complete" => {
            "assign a fact, and end the flow by an outcome of the graph"
        }
        _ => return None,
    })
}

/// What to write instead of a statement that begins with `word`. `goes_on`: a word, a value or `(` follows it.
pub(super) fn statement(word: &str, goes_on: bool) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "else" | "elsif" | "elseif" | "elif" | "otherwise" => "write a second rule with the opposite condition",
        "end" | "endrule" | "endif" if !goes_on => "a rule ends with `}`",
        "if" | "for" | "foreach" | "while" | "switch" | "case" if goes_on => {
            "write a rule: its `when` is the condition, and it is tried until nothing changes"
        }
        "let" | "var" | "const" | "set" | "def" if goes_on => "write `fact = expression;`",
        "return" if goes_on => "assign the value to a fact: `fact = expression;`",
        _ => return None,
    })
}

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
    foreign("**", None, "there is no power: multiply"),
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
    foreign("?", None, "there is no conditional expression: write two rules"),
];

const STRAIGHT_QUOTES: &str = "write straight quotes: \" or '";

/// What to write instead of `word`, which stands after an operand: an operator of another language, or one of this language in
/// other capitals. `next` is the word after it.
pub(super) fn operator(word: &str, next: Option<&str>) -> Option<&'static str> {
    let next_is = |wanted: &str| next.is_some_and(|next| next.eq_ignore_ascii_case(wanted));
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "write `&&`",
        "or" => "write `||`",
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
        "between" => "write `a >= least && a <= most`",
        "like" | "ilike" => "write `contains`, `startsWith`, `endsWith`, or `matches` with a pattern",
        // Operators of this language, in other capitals.
        "in" | "memberof" => "write `in`",
        "contains" => "write `contains`",
        "startswith" | "starts" => "write `startsWith`",
        "endswith" | "ends" => "write `endsWith`",
        "matches" => "write `matches`",
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

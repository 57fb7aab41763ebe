//! Checks a query without its database: it is one statement that reads; its parameters; its columns.
//!
//! `sqlparser` reads the text in PostgreSQL's dialect. A text that it cannot parse is not refused, since PostgreSQL may accept
//! it: then only its tokens are checked, and the columns are unknown until PREPARE.

use sqlparser::ast::{Delete, Expr, Insert, Query, Select, SelectItem, SetExpr, Statement, Update};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

/// What is known from a query's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SqlFacts {
    /// The numbers of its parameters (`$1` is 1), each once, in order.
    pub(super) params: Vec<usize>,
    /// The names of its columns; `None` if only the database knows them.
    pub(super) columns: Option<Vec<String>>,
    /// Why it cannot be a node's query: a code and a sentence.
    pub(super) problem: Option<Problem>,
}

/// Checks `text`, the query of a node.
pub(super) fn examine(text: &str) -> SqlFacts {
    facts(text, |words| {
        refuse_opening(words, &READS, "a query is one SELECT or WITH statement").or_else(|| refuse_writes(words))
    })
}

/// Checks `text`, a statement of an effect.
pub(super) fn examine_statement(text: &str) -> SqlFacts {
    let opening = "a statement of an effect is one INSERT, UPDATE, DELETE, MERGE, SELECT or WITH statement";
    facts(text, |words| refuse_opening(words, &[&READS, &WRITES].map(|of| of.as_slice()).concat(), opening))
}

/// The words that a statement which reads begins with.
const READS: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];
/// The words that a statement which writes begins with.
const WRITES: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "MERGE"];

type Problem = (&'static str, String);

fn facts(text: &str, refuse: impl Fn(&[&Token]) -> Option<Problem>) -> SqlFacts {
    let dialect = PostgreSqlDialect {};
    let tokens = match Tokenizer::new(&dialect, text).tokenize() {
        Ok(tokens) => tokens,
        Err(error) => {
            let problem = Some(("sql-syntax", format!("the query cannot be read: {error}")));
            return SqlFacts { problem, ..SqlFacts::default() };
        }
    };
    let words: Vec<&Token> = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let problem = refuse(&words);
    let columns = match Parser::parse_sql(&dialect, text).as_deref() {
        Ok([Statement::Query(query)]) => columns_of(query),
        Ok(
            [
                Statement::Insert(Insert { returning, .. })
                | Statement::Update(Update { returning, .. })
                | Statement::Delete(Delete { returning, .. }),
            ],
        ) => returning.as_ref().map_or(Some(Vec::new()), |items| items.iter().map(name_of).collect()),
        _ => None,
    };
    SqlFacts { params: params(&words), columns, problem }
}

fn params(words: &[&Token]) -> Vec<usize> {
    let number = |token: &&&Token| match token {
        Token::Placeholder(text) => text.strip_prefix('$')?.parse().ok(),
        _ => None,
    };
    let mut params: Vec<usize> = words.iter().filter_map(|token| number(&token)).collect();
    params.sort_unstable();
    params.dedup();
    params
}

/// The words without the semicolons at the end.
fn without_semicolons<'a, 't>(words: &'a [&'t Token]) -> &'a [&'t Token] {
    let end = words.iter().rposition(|token| !matches!(token, Token::SemiColon)).map_or(0, |last| last + 1);
    words.get(..end).unwrap_or_default()
}

/// Refuses what is not one statement that begins with one of the words `allowed`.
fn refuse_opening(words: &[&Token], allowed: &[&str], expected: &str) -> Option<Problem> {
    let words = without_semicolons(words);
    let Some(first) = words.iter().find(|token| !matches!(token, Token::LParen)) else {
        return Some(("not-a-query", "the query is empty".to_owned()));
    };
    if words.iter().any(|token| matches!(token, Token::SemiColon)) {
        return Some(("several-statements", "the query holds several statements".to_owned()));
    }
    let is_allowed = allowed.contains(&keyword(first).as_str());
    (!is_allowed).then(|| ("not-a-query", format!("{expected}; this one starts with `{first}`")))
}

/// Refuses a statement that writes or locks.
fn refuse_writes(words: &[&Token]) -> Option<Problem> {
    let words = without_semicolons(words);
    words.iter().enumerate().find_map(|(index, token)| {
        let before = index.checked_sub(1).and_then(|before| words.get(before)).copied();
        let after = words.get(index + 1..).unwrap_or_default();
        writes(before, token, after).or_else(|| locks(before, token, after))
    })
}

/// The tokens between UPDATE and its SET at most: `ONLY schema.table * AS alias`.
const BEFORE_SET: usize = 7;

/// Why a statement that has `token` in this place writes. A name may be any of these words, but not in these places.
fn writes(before: Option<&Token>, token: &Token, after: &[&Token]) -> Option<Problem> {
    let (word, next) = (keyword(token), after.first().map(|token| keyword(token)).unwrap_or_default());
    let begins = matches!(before, Some(Token::LParen | Token::RParen));
    let mut until_set = after.iter().take(BEFORE_SET + 1);
    let writes = match word.as_str() {
        "INSERT" | "MERGE" => begins && next == "INTO",
        "DELETE" => begins && next == "FROM",
        "UPDATE" => begins && until_set.any(|token| keyword(token) == "SET"),
        // Even this word may name a column.
        "INTO" => {
            let message = "the query makes a table (SELECT ... INTO); nodes only read";
            let is_label = before.is_some_and(|token| matches!(token, Token::Period) || keyword(token) == "AS");
            return if is_label { None } else { Some(("not-a-query", message.to_owned())) };
        }
        _ => false,
    };
    writes.then(|| ("not-a-query", format!("the query writes ({word}); nodes only read")))
}

/// Why a statement that has `token` in this place locks rows.
fn locks(before: Option<&Token>, token: &Token, after: &[&Token]) -> Option<Problem> {
    let next = after.first().map(|token| keyword(token)).unwrap_or_default();
    let locks = before.map(keyword).as_deref() == Some("FOR")
        && match keyword(token).as_str() {
            "UPDATE" | "SHARE" => true,
            "NO" => next == "KEY",
            "KEY" => next == "SHARE",
            _ => false,
        };
    locks.then(|| ("not-a-query", "the query locks rows (FOR UPDATE or SHARE); nodes only read".to_owned()))
}

/// The word in upper case; empty if the token is not an unquoted word.
fn keyword(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    }
}

fn columns_of(query: &Query) -> Option<Vec<String>> {
    fn of_set(set: &SetExpr) -> Option<Vec<String>> {
        match set {
            SetExpr::Select(select) => of_select(select),
            SetExpr::Query(query) => columns_of(query),
            SetExpr::SetOperation { left, .. } => of_set(left),
            _ => None,
        }
    }
    fn of_select(select: &Select) -> Option<Vec<String>> {
        if select.into.is_some() {
            return None;
        }
        select.projection.iter().map(name_of).collect()
    }
    of_set(&query.body)
}

/// The name that PostgreSQL gives an output column, in simple cases.
fn name_of(item: &SelectItem) -> Option<String> {
    let folded = |ident: &sqlparser::ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        // PostgreSQL folds ASCII letters only.
        None => ident.value.to_ascii_lowercase(),
    };
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => idents.last().map(folded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Option<Vec<String>> {
        examine(text).columns
    }

    #[test]
    fn columns_are_known_where_the_text_names_them() {
        let known = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(columns("SELECT a, t.B, c + 1 AS d, \"E\" FROM t"), known(&["a", "b", "d", "E"]));
        assert_eq!(columns("WITH x AS (SELECT 1 AS y) SELECT y FROM x"), known(&["y"]));
        assert_eq!(columns("SELECT a FROM t UNION SELECT b FROM u"), known(&["a"]));
        assert_eq!(columns("SELECT * FROM t"), None);
        assert_eq!(columns("SELECT count(*) FROM t"), None);
    }

    #[test]
    fn parameters_are_found_outside_texts_and_comments() {
        let facts = examine("SELECT a FROM t WHERE b = $2 AND c = $1 AND d = '$3' -- $4\n AND e = $2 AND f = $$ $5 $$");
        assert_eq!(facts.params, [1, 2]);
        assert_eq!(facts.problem, None);
    }

    #[test]
    fn the_operators_of_jsonb_survive() {
        let facts =
            examine("SELECT to_jsonb(s) ? 'is_active' AS has FROM suppliers s WHERE doc @> $1 AND doc ?| array['a']");
        assert_eq!((facts.params, facts.problem), (vec![1], None));
    }

    #[test]
    fn what_is_not_one_reading_statement_is_refused() {
        for (text, code) in [
            ("", "not-a-query"),
            ("DELETE FROM t", "not-a-query"),
            ("WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone", "not-a-query"),
            ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "not-a-query"),
            ("WITH gone AS MATERIALIZED (DELETE FROM ONLY t RETURNING a) SELECT a FROM gone", "not-a-query"),
            ("WITH new AS (INSERT INTO t VALUES (1) RETURNING a) TABLE new", "not-a-query"),
            ("WITH x AS (UPDATE ONLY s.t * AS u SET a = 1 RETURNING a) SELECT a FROM x", "not-a-query"),
            ("WITH x AS (UPDATE \"t\" SET a = 1 RETURNING a) SELECT a FROM x", "not-a-query"),
            ("WITH x AS (MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE) SELECT 1 AS a", "not-a-query"),
            ("SELECT a FROM t FOR UPDATE", "not-a-query"),
            ("SELECT a FROM t FOR NO KEY UPDATE OF t SKIP LOCKED", "not-a-query"),
            ("SELECT a FROM (SELECT a FROM t FOR KEY SHARE) AS x", "not-a-query"),
            ("SELECT a INTO u FROM t", "not-a-query"),
            ("SELECT a, b INTO TEMP TABLE u FROM t WHERE c = $1", "not-a-query"),
            ("WITH x AS (SELECT 1 AS a) SELECT a into UNLOGGED u FROM x", "not-a-query"),
            ("SELECT a FROM t UNION SELECT b INTO u FROM v", "not-a-query"),
            ("EXPLAIN ANALYZE SELECT a FROM t", "not-a-query"),
            ("CREATE TABLE u AS SELECT a FROM t", "not-a-query"),
            ("COPY t TO STDOUT", "not-a-query"),
            ("CALL p()", "not-a-query"),
            ("SELECT 1; SELECT 2", "several-statements"),
            ("SELECT 'open", "sql-syntax"),
        ] {
            assert_eq!(examine(text).problem.map(|(code, _)| code), Some(code), "{text}");
        }
        for text in [
            "SELECT 1;",
            "(SELECT 1)",
            "SELECT updated FROM t -- ; DELETE",
            "SELECT \"delete\" FROM t",
            "TABLE t",
            "SELECT substring(a FOR 3) FROM t",
            "SELECT substring(a FOR key) FROM t",
            "SELECT count(update) FROM t",
            "SELECT a FROM t WHERE (update IS NULL)",
            "SELECT a AS into, t.into FROM t",
            "SELECT 'INTO' AS a, \"into\" FROM t -- INTO u",
            "VALUES (1), (2)",
        ] {
            assert_eq!(examine(text).problem, None, "{text}");
        }
    }
}

//! A second reader of the language, written another way: words by what they begin with, expressions from the inside out.
//! It writes out what a file says in the words of `grl::canonical`, so that the two can be held against each other.
//! It trusts that the file can be read: what it does not understand is an error of the test.

/// Operators of two characters.
const DOUBLE: [&str; 8] = ["&&", "||", "==", "!=", "<=", ">=", "+=", "-="];

/// What `text` says, every parenthesis written out.
pub fn written_out(text: &str) -> Result<String, String> {
    let mut reader = Reader { words: words(text)?, at: 0 };
    let mut out = String::new();
    while reader.at < reader.words.len() {
        out.push_str(&reader.rule()?);
    }
    Ok(out)
}

/// How many rules `text` has: the words `rule` outside of texts and comments that stand where a rule can begin.
pub fn count_rules(written_out: &str) -> usize {
    written_out.lines().filter(|line| line.starts_with("rule ")).count()
}

fn words(text: &str) -> Result<Vec<&str>, String> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut words = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_whitespace() => first.len_utf8(),
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").ok_or("a comment without its end")? + 2,
            _ => {
                let length = word_length(rest, first)?;
                words.push(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    Ok(words)
}

const DOUBLE: [&str; 8] = ["&&", "||", "==", "!=", "<=", ">=", "+=", "-="];

fn word_length(rest: &str, first: char) -> Result<usize, String> {
    let until = |text: &str, ends: &dyn Fn(char) -> bool| text.find(ends).unwrap_or(text.len());
    let not_digit = |character: char| !character.is_ascii_digit();
    if first == '"' || first == '\'' {
        let escaped = |at: usize| rest[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        let mut ends = rest.match_indices(first).map(|(at, _)| at).skip(1);
        return ends.find(|at| !escaped(*at)).map(|at| at + 1).ok_or_else(|| format!("no end of {rest:.20}"));
    }
    if first.is_ascii_digit() {
        let whole = until(rest, &not_digit);
        let fraction = rest[whole..].strip_prefix('.').map_or(0, |behind| until(behind, &not_digit));
        return Ok(if fraction == 0 { whole } else { whole + 1 + fraction });
    }
    if first.is_alphabetic() || first == '_' {
        return Ok(until(rest, &|character| !(character.is_alphanumeric() || character == '_')));
    }
    if DOUBLE.iter().any(|double| rest.starts_with(double)) {
        return Ok(2);
    }
    if "-+*/%<>=!(){}[],;.".contains(first) { Ok(1) } else { Err(format!("no word at {rest:.20}")) }
}

/// A part of an expression: its text, and the binding power of its operators where they stand bare.
struct Part {
    text: String,
    bare: Option<u8>,
}

impl Part {
    fn closed(self) -> String {
        if self.bare.is_some() { format!("({})", self.text) } else { self.text }
    }
}

struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> &str {
        self.words.get(self.at).copied().unwrap_or("")
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.words.get(self.at - 1).copied().unwrap_or_default().to_owned()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        self.at += usize::from(found);
        found
    }

    fn want(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) { Ok(()) } else { Err(format!("wanted {word}, found {}", self.peek())) }
    }

    fn rule(&mut self) -> Result<String, String> {
        self.want("rule")?;
        let name = self.next();
        let mut head = format!("rule {}", if is_quoted(&name) { quoted(&name) } else { format!("\"{name}\"") });
        if is_quoted(self.peek()) {
            head += &format!(" {}", quoted(&self.next()));
        }
        let (mut salience, mut no_loop, mut dates) = (String::new(), "", [String::new(), String::new()]);
        while !self.take("{") {
            match self.next().as_str() {
                "salience" => {
                    let sign = if self.take("-") { "-" } else { "" };
                    let number = self.next();
                    salience = if number == "0" { String::new() } else { format!(" salience {sign}{number}") };
                }
                "no" => {
                    self.want("-")?;
                    self.want("loop")?;
                    no_loop = if self.take("false") { "" } else { " no-loop" };
                    self.take("true");
                }
                "date" => {
                    self.want("-")?;
                    let (kind, text) = (self.next(), self.next());
                    dates[usize::from(kind == "expires")] = format!(" date-{kind} {}", quoted(&text));
                }
                other => return Err(format!("no attribute {other}")),
            }
        }
        self.want("when")?;
        let when = self.expression(0)?.closed();
        self.want("then")?;
        let mut then = String::new();
        while !self.take("}") {
            then += &format!(" {}", self.statement()?);
        }
        let [effective, expires] = dates;
        Ok(format!("{head}{salience}{no_loop}{effective}{expires} {{\n    when {when}\n    then{then}\n}}\n"))
    }

    fn statement(&mut self) -> Result<String, String> {
        let mut target = self.next();
        if target.eq_ignore_ascii_case("log") && self.take("(") {
            let values = self.items(")")?;
            self.want(";")?;
            return Ok(format!("Log({values});"));
        }
        while self.take(".") {
            target += &format!(".{}", self.next());
        }
        let operator = self.next();
        if !["=", "+=", "-="].contains(&operator.as_str()) {
            return Err(format!("{operator} does not assign"));
        }
        let value = self.expression(0)?.closed();
        self.want(";")?;
        Ok(format!("{target} {operator} {value};"))
    }

    fn items(&mut self, close: &str) -> Result<String, String> {
        let mut items = Vec::new();
        if !self.take(close) {
            loop {
                items.push(self.expression(0)?.closed());
                if self.take(close) {
                    break;
                }
                self.want(",")?;
            }
        }
        Ok(items.join(", "))
    }

    /// Operators that bind at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<Part, String> {
        let mut left = self.operand()?;
        while let Some(power) = power(self.peek()).filter(|power| *power >= least) {
            let operator = self.next();
            let right = self.expression(power + 1)?.closed();
            let before = if left.bare == Some(power) && power != COMPARISON { left.text } else { left.closed() };
            left = Part { text: format!("{before} {operator} {right}"), bare: Some(power) };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Part, String> {
        let word = self.next();
        let text = match word.as_str() {
            "!" | "-" => format!("({word}{})", self.operand()?.closed()),
            "(" => {
                let inside = self.expression(0)?.closed();
                self.want(")")?;
                inside
            }
            "[" => format!("[{}]", self.items("]")?),
            "nil" => "null".to_owned(),
            text if is_quoted(text) => quoted(text),
            name if name.starts_with(|first: char| first.is_alphanumeric() || first == '_') => {
                let mut path = word;
                if !path.starts_with(|first: char| first.is_ascii_digit()) {
                    while self.take(".") {
                        path += &format!(".{}", self.next());
                    }
                    if self.take("(") {
                        path = format!("{path}({})", self.items(")")?);
                    }
                }
                path
            }
            other => return Err(format!("{other} is no operand")),
        };
        Ok(Part { text, bare: None })
    }
}

const COMPARISON: u8 = 3;

fn power(operator: &str) -> Option<u8> {
    Some(match operator {
        "||" => 1,
        "&&" => 2,
        "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "contains" | "startsWith" | "endsWith" | "matches" => COMPARISON,
        "+" | "-" => 4,
        "*" | "/" | "%" => 5,
        _ => return None,
    })
}

fn is_quoted(word: &str) -> bool {
    word.starts_with(['"', '\''])
}

/// The text in double quotes, its escapes written one way.
fn quoted(word: &str) -> String {
    let mut inside = word[1..word.len() - 1].chars();
    let mut out = String::from('"');
    while let Some(character) = inside.next() {
        match character {
            '\\' => match inside.next() {
                Some('\'') => out.push('\''),
                Some(escaped) => out.extend(['\\', escaped]),
                None => {}
            },
            '"' => out.push_str("\\\""),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out + "\""
}

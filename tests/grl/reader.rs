//! A second reader of the language, written another way: words by what they begin with, expressions from the inside out.
//! It writes out what a file says in the words of `grl::canonical`, so that the two can be held against each other.
//! It trusts that the file can be read: what it does not understand is an error of the test.

/// What `text` says, every parenthesis written out.
pub fn written_out(text: &str) -> Result<String, String> {
    let mut reader = Reader { words: words(text)?, at: 0 };
    let mut out = String::new();
    while reader.at < reader.words.len() {
        out.push_str(&reader.rule()?);
    }
    Ok(out)
}

/// How many rules it has, those that stand for `let` included.
pub fn count_rules(written_out: &str) -> usize {
    written_out.lines().filter(|line| line.starts_with("rule ") || line.starts_with("let ")).count()
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

const DOUBLE: [&str; 9] = ["&&", "||", "==", "!=", "<=", ">=", "+=", "-=", "**"];

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
    if "-+*/%<>=!(){}[],;.:".contains(first) { Ok(1) } else { Err(format!("no word at {rest:.20}")) }
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
        if self.take("let") {
            return Ok(format!("let {}\n", self.statement()?));
        }
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
        if let Some((owner, field)) = target.split_once(".set").filter(|_| self.peek() == "(") {
            let target = format!("{owner}.{field}");
            self.want("(")?;
            let value = self.items(")")?;
            self.want(";")?;
            return Ok(format!("{target} = {value};"));
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
                items.push(self.item()?);
                if self.take(close) {
                    break;
                }
                self.want(",")?;
            }
        }
        Ok(items.join(", "))
    }

    fn item(&mut self) -> Result<String, String> {
        let item = self.expression(0)?;
        let mut text = if self.peek() == "where" {
            item.text
        } else if self.take("for") {
            let (value, name) = (item.closed(), self.next());
            self.want("in")?;
            format!("{value} for {name} in {}", self.expression(0)?.closed())
        } else {
            item.closed()
        };
        if self.take("where") {
            text += &format!(" where {}", self.expression(0)?.closed());
        }
        Ok(text)
    }

    fn conditional(&mut self) -> Result<String, String> {
        let condition = self.expression(0)?.closed();
        self.want("then")?;
        let value = self.expression(0)?.closed();
        self.want("else")?;
        let otherwise = if self.take("if") { self.conditional()? } else { self.expression(0)?.closed() };
        Ok(format!("if {condition} then {value} else {otherwise}"))
    }

    fn map(&mut self) -> Result<String, String> {
        let mut fields = Vec::new();
        loop {
            let name = self.next();
            self.want(":")?;
            fields.push(format!("{name}: {}", self.expression(0)?.closed()));
            if self.take("}") {
                return Ok(format!("{{{}}}", fields.join(", ")));
            }
            self.want(",")?;
        }
    }

    /// Operators that bind at least as strongly as `least`.
    fn expression(&mut self, least: u8) -> Result<Part, String> {
        let mut left = self.operand()?;
        while let Some(power) = power(self.peek()).filter(|power| *power >= least) {
            let operator = match self.next().as_str() {
                "and" => "&&".to_owned(),
                "or" => "||".to_owned(),
                other => other.to_owned(),
            };
            let right = self.expression(power + 1)?.closed();
            if operator == "between" {
                self.want("and")?;
                let (left_text, most) = (left.closed(), self.expression(power + 1)?.closed());
                left = Part { text: format!("(({left_text} >= {right}) && ({left_text} <= {most}))"), bare: None };
                continue;
            }
            let before = if left.bare == Some(power) && power != COMPARISON { left.text } else { left.closed() };
            left = Part { text: format!("{before} {operator} {right}"), bare: Some(power) };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Part, String> {
        let base = self.single()?;
        if !self.take("**") {
            return Ok(base);
        }
        Ok(Part { text: format!("{} ** {}", base.closed(), self.operand()?.closed()), bare: Some(PRODUCT) })
    }

    fn single(&mut self) -> Result<Part, String> {
        let word = self.next();
        let text = match word.as_str() {
            "!" | "-" => format!("({word}{})", self.operand()?.closed()),
            "not" => format!("(!{})", self.operand()?.closed()),
            "if" => format!("({})", self.conditional()?),
            "{" => self.map()?,
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
                    if let Some((owner, field)) = path.split_once(".get").filter(|_| self.peek() == "(") {
                        path = format!("{owner}.{field}");
                        self.want("(")?;
                        self.want(")")?;
                    } else if self.take("(") {
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
const PRODUCT: u8 = 5;

fn power(operator: &str) -> Option<u8> {
    Some(match operator {
        "||" | "or" => 1,
        "&&" | "and" => 2,
        "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "contains" | "startsWith" | "endsWith" | "matches"
        | "between" => COMPARISON,
        "+" | "-" => 4,
        "*" | "/" | "%" => PRODUCT,
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

//! Reads what a source file defines and which paths of this crate it names. Reading tokens rather than items finds paths in
//! macros and signatures too, and never in comments or text.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream::IntoIter};

/// The words before the name of an item.
const ITEMS: [&str; 9] = ["struct", "enum", "fn", "trait", "type", "const", "static", "union", "mod"];

/// A path from the root of the crate, without `crate`.
pub(crate) type CratePath = Vec<String>;

/// What a file defines and names.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The names of its items.
    pub(crate) definitions: BTreeSet<String>,
    /// What its `use` declarations give another name or pass on, by the name here.
    pub(crate) imported: BTreeMap<String, CratePath>,
    /// The modules of which it imports everything.
    pub(crate) globs: Vec<CratePath>,
    /// Every path of this crate that it names, with its line. `*` at the end means everything.
    pub(crate) paths: Vec<(usize, CratePath)>,
}

type Tokens = Peekable<IntoIter>;

/// The module path of a file, such as `["grl", "lexer"]`.
pub(crate) fn module_of(path: &str) -> CratePath {
    let names = path.trim_start_matches("src/").trim_end_matches(".rs").split('/');
    names.filter(|name| *name != "mod").map(str::to_owned).collect()
}

/// Reads the text of a file whose module has these child modules. Modules under `#[cfg(test)]` only count with `tests`.
pub(crate) fn read(path: &str, text: &str, children: &BTreeSet<String>, tests: bool) -> Reading {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut reader = Reader { children, tests, reading: Reading::default() };
    reader.items(tokens, &module_of(path), true);
    reader.reading
}

struct Reader<'a> {
    children: &'a BTreeSet<String>,
    tests: bool,
    reading: Reading,
}

impl Reader<'_> {
    /// Reads tokens of a module; `outer` for those that stand in no braces.
    fn items(&mut self, tokens: TokenStream, module: &CratePath, outer: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let mut before = [String::new(), String::new()];
        while let Some(token) = tokens.next() {
            let word = token.to_string();
            match &token {
                TokenTree::Punct(_) if word == "#" && !self.tests && is_test(tokens.peek()) => skip_item(&mut tokens),
                TokenTree::Ident(ident) if word == "use" => {
                    self.tree(&mut tokens, Vec::new(), module, ident.span().start().line);
                }
                TokenTree::Ident(ident) if self.begins_path(&word, &before) && is_separator(&mut tokens) => {
                    let path = expression_path(word.clone(), &mut tokens);
                    self.name(ident.span().start().line, path, module);
                }
                TokenTree::Ident(_) if outer && is_item(&before) && !ITEMS.contains(&word.as_str()) => {
                    self.reading.definitions.insert(word.clone());
                }
                TokenTree::Group(group) => {
                    let is_module = before[0] == "mod" && group.delimiter() == Delimiter::Brace;
                    let inner =
                        if is_module { [module.clone(), vec![before[1].clone()]].concat() } else { module.clone() };
                    self.items(group.stream(), &inner, is_module && outer);
                }
                _ => {}
            }
            let [_, last] = before;
            before = [last, word];
        }
    }

    fn begins_path(&self, word: &str, before: &[String; 2]) -> bool {
        let is_root = matches!(word, "crate" | "super" | "self");
        is_root || (self.children.contains(word) && !matches!(before[1].as_str(), ":" | "." | "mod" | "fn" | "let"))
    }

    /// Reads a tree of a `use` declaration below `prefix`.
    fn tree(&mut self, tokens: &mut Tokens, prefix: Vec<String>, module: &CratePath, line: usize) {
        let mut path = prefix;
        let mut line = line;
        while let Some(token) = tokens.peek() {
            let (word, at) = (token.to_string(), token.span().start().line);
            match token {
                TokenTree::Ident(_) if word == "as" => {
                    tokens.next();
                    let alias = tokens.next().map(|alias| alias.to_string()).unwrap_or_default();
                    return self.import(line, path, alias, module);
                }
                TokenTree::Ident(_) => {
                    path.push(word);
                    line = at;
                }
                TokenTree::Group(group) => {
                    let mut inner = group.stream().into_iter().peekable();
                    while inner.peek().is_some() {
                        self.tree(&mut inner, path.clone(), module, at);
                        inner.next_if(|token| token.to_string() == ",");
                    }
                    tokens.next();
                    return;
                }
                TokenTree::Punct(_) if word == "*" => path.push(word),
                TokenTree::Punct(_) if word == ":" => {}
                _ => break,
            }
            tokens.next();
        }
        let alias = path.last().cloned().unwrap_or_default();
        self.import(line, path, alias, module);
    }

    fn import(&mut self, line: usize, path: Vec<String>, alias: String, module: &CratePath) {
        let Some(path) = self.absolute(path, module) else { return };
        match path.last().map(String::as_str) {
            Some("*") => {
                self.reading.globs.push(path.split_last().map(|(_, above)| above.to_vec()).unwrap_or_default());
            }
            _ => {
                self.reading.imported.insert(alias, path.clone());
            }
        }
        self.reading.paths.push((line, path));
    }

    fn name(&mut self, line: usize, path: Vec<String>, module: &CratePath) {
        if let Some(path) = self.absolute(path, module) {
            self.reading.paths.push((line, path));
        }
    }

    /// The path from the root of the crate; `None` for paths of other crates.
    fn absolute(&self, path: Vec<String>, module: &CratePath) -> Option<CratePath> {
        let mut path = path.into_iter().map(|name| name.trim_start_matches("r#").to_owned()).peekable();
        let mut absolute = match path.peek()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.clone(),
            child if self.children.contains(child) => module.clone(),
            _ => return None,
        };
        while let Some(step) = path.next_if(|step| matches!(step.as_str(), "crate" | "self" | "super")) {
            if step == "super" {
                absolute.pop();
            }
        }
        // `self` at the end of a tree names the module before it.
        absolute.extend(path.filter(|name| name != "self"));
        Some(absolute)
    }
}

fn is_test(attribute: Option<&TokenTree>) -> bool {
    attribute.is_some_and(|token| token.to_string().replace(' ', "") == "[cfg(test)]")
}

/// Skips the rest of attributes and the item that they belong to.
fn skip_item(tokens: &mut Tokens) {
    for token in tokens {
        let is_body = matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if is_body || token.to_string() == ";" {
            return;
        }
    }
}

/// Whether the words before a name make it the name of an item.
fn is_item(before: &[String; 2]) -> bool {
    ITEMS.contains(&before[1].as_str()) || (before[0] == "macro_rules" && before[1] == "!")
}

fn is_separator(tokens: &mut Tokens) -> bool {
    tokens.peek().is_some_and(|token| token.to_string() == ":")
}

/// Reads the rest of a path outside `use`.
fn expression_path(first: String, tokens: &mut Tokens) -> Vec<String> {
    let mut path = vec![first];
    loop {
        let mut colons = 0;
        while tokens.next_if(|token| token.to_string() == ":").is_some() {
            colons += 1;
        }
        match tokens.peek() {
            Some(TokenTree::Ident(word)) if colons == 2 => path.push(word.to_string()),
            _ => return path,
        }
        tokens.next();
    }
}

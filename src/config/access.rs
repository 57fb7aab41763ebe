//! Access to flows: the tokens of a file.
//!
//! ```yaml
//! tokens:
//!   - name: erp
//!     sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
//!     flows: [purchasing]
//!     rights: [decide, explain]
//!     expires: 2027-06-30T00:00:00Z
//! ```
//!
//! The file holds digests and no tokens: it gives no access. A token is long and random, so one round of SHA-256
//! is enough, which it would not be for a password. Nothing here depends on HTTP.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::values::MOST;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source, covered, is_secret};
use crate::types::{FlowName, hex, parse_moment};
use crate::yaml::{self, Marked};

/// Random bytes of a token that is made here.
const TOKEN_BYTES: usize = 32;

/// The tokens of a file. Their digests show in no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    tokens: Arc<[Arc<Token>]>,
}

#[derive(PartialEq, Eq)]
struct Token {
    name: String,
    digest: [u8; 32],
    /// `None`: every flow.
    flows: Option<BTreeSet<FlowName>>,
    rights: BTreeSet<Right>,
    expires: Option<Timestamp>,
}

/// What a token lets its caller do with the flows that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Make decisions, single ones and batches. The only right of a token that lists none.
    Decide,
    /// Read explanations, which hold the rows that a decision was made from.
    Explain,
    /// Replace facts, and set the clock of a decision.
    WhatIf,
    /// Approve and reject effects that wait for an approval.
    Approve,
}

impl Right {
    /// The rights as they are written.
    pub const WORDS: [&'static str; 4] = ["decide", "explain", "what_if", "approve"];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Explain => "explain",
            Self::WhatIf => "what_if",
            Self::Approve => "approve",
        }
    }
}

/// The caller that a valid token belongs to. Cheap to clone; its `Debug` is the name.
#[derive(Clone)]
pub struct Caller(Arc<Token>);

impl Caller {
    /// The name that the file gives the token, for logs, records and traces.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether the token is for this flow.
    pub fn may_ask(&self, flow: &FlowName) -> bool {
        self.0.flows.as_ref().is_none_or(|flows| flows.contains(flow))
    }

    /// Whether the token has this right.
    pub fn has(&self, right: Right) -> bool {
        self.0.rights.contains(&right)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.0.name)
    }
}

/// The keys whose values an excerpt may show: the value of any other may be a token.
const SHOWN: [&str; 4] = ["name", "flows", "rights", "expires"];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Entry>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    flows: Flows,
    rights: Option<Vec<Right>>,
    #[schemars(extend("format" = "date-time"))]
    expires: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Flows {
    Named(Vec<String>),
    Word(All),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum All {
    All,
}

impl Access {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Every error in it; no message repeats a digest.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let name = covered(&path.display().to_string());
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("the tokens in `{name}` cannot be read: {error}");
            let help =
                "make the file with `tributary token`, or leave `http.tokens` out to serve requests without tokens";
            Diagnostic::error("unreadable-file", Place::File(name.clone()), message).help(help)
        })?;
        Self::parse(&Source::guarded(name, text, SHOWN))
    }

    /// Reads `source`.
    ///
    /// # Errors
    /// Every error in it.
    pub fn parse(source: &Arc<Source>) -> Result<Self, Diagnostics> {
        let root = yaml::parse(source, yaml::Limits::default())?;
        let mut found = Diagnostics::new();
        let file = yaml::deserialize::<File>(&root, &mut found);
        let entries = file.map(|file| file.tokens).unwrap_or_default();
        let places: Vec<&Marked> = root.get("tokens").map(|list| list.items().iter().collect()).unwrap_or_default();
        let mut tokens: Vec<Arc<Token>> = Vec::with_capacity(entries.len());
        for (entry, place) in entries.into_iter().zip(places) {
            if is_secret(&entry.name) {
                let message = "the name looks like a token: it says who the caller is, and is logged and recorded";
                found.push(Diagnostic::error("bad-name", place.head(), message));
            } else if tokens.iter().any(|known| known.name == entry.name) {
                let message = format!("there are two tokens named `{}`", entry.name);
                found.push(Diagnostic::error("duplicate-name", place.head(), message));
            }
            tokens.extend(entry.into_token(place, &mut found).map(Arc::new));
        }
        found.into_result(Self { tokens: tokens.into() }).map(|(access, _)| access)
    }

    /// The caller that `token` belongs to, if it is valid at `now`. Takes the same time for every token of a length.
    pub fn caller(&self, token: &str, now: Timestamp) -> Option<Caller> {
        let digest = digest(token);
        let mut found = None;
        for known in self.tokens.iter() {
            // All are compared, so that the time does not depend on the position.
            if bool::from(known.digest.ct_eq(&digest)) {
                found = Some(known);
            }
        }
        let known = found.filter(|known| known.expires.is_none_or(|expires| now < expires))?;
        Some(Caller(Arc::clone(known)))
    }

    /// The flows that tokens name, each with the token's name.
    pub fn named_flows(&self) -> impl Iterator<Item = (&str, &FlowName)> {
        self.tokens.iter().flat_map(|token| token.flows.iter().flatten().map(|flow| (token.name.as_str(), flow)))
    }
}

impl Entry {
    fn into_token(self, place: &Marked, found: &mut Diagnostics) -> Option<Token> {
        let flows = match self.flows {
            Flows::Word(All::All) => None,
            Flows::Named(names) => {
                let mut flows = BTreeSet::new();
                for name in names {
                    match FlowName::parse(&name) {
                        Ok(name) => drop(flows.insert(name)),
                        Err(error) => {
                            let message = if is_secret(&name) {
                                "this is no name of a flow".to_owned()
                            } else {
                                error.to_string()
                            };
                            found.push(Diagnostic::error("bad-name", place.head(), message));
                            return None;
                        }
                    }
                }
                Some(flows)
            }
        };
        let Some(digest) = digest_of_hex(&self.sha256) else {
            let message = "`sha256` must be a SHA-256 as 64 hexadecimal digits; `tributary token` makes one";
            found.push(Diagnostic::error("invalid-value", place.get("sha256").unwrap_or(place).head(), message));
            return None;
        };
        let rights = rights(self.rights, place, found)?;
        let expires = self.expires.map(|moment| parse_moment(&moment)).transpose().ok()?;
        Some(Token { name: self.name, digest, flows, rights, expires })
    }
}

/// The rights that an entry lists; `decide` where it lists none.
fn rights(listed: Option<Vec<Right>>, place: &Marked, found: &mut Diagnostics) -> Option<BTreeSet<Right>> {
    let Some(listed) = listed else { return Some(BTreeSet::from([Right::Decide])) };
    let written = place.get("rights").unwrap_or(place);
    if listed.is_empty() {
        let help = "leave `rights` out for the right to `decide`, or take the token out of the file";
        let message = "a token without rights can do nothing";
        found.push(Diagnostic::error("invalid-value", written.head(), message).help(help));
        return None;
    }
    let mut rights = BTreeSet::new();
    for (number, right) in listed.into_iter().enumerate() {
        if !rights.insert(right) {
            let span = written.items().get(number).unwrap_or(written).head();
            let message = format!("the right `{}` is listed twice", right.word());
            found.push(Diagnostic::error("duplicate-right", span, message));
            return None;
        }
    }
    Some(rights)
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tokens.iter().map(|token| &token.name)).finish()
    }
}

/// The files of the listener's TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate and those that lead to its authority (PEM), beside this file.
    #[schemars(extend("x-beside" = true))]
    pub certificate: PathBuf,
    /// Its private key (PEM), beside this file.
    #[schemars(extend("x-beside" = true))]
    pub key: PathBuf,
}

/// The pages of other origins that may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Their origins, such as `https://erp.example.com`; `*` is every page.
    #[schemars(extend("items" = { "type": "string", "format": "origin" }))]
    pub origins: Vec<String>,
    /// How long a browser remembers that a page may ask, in seconds.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 1, max = MOST))]
    pub max_age_s: usize,
}

fn ten_minutes() -> usize {
    600
}

/// The digest of a token, as the file has it.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A new token and its digest in hexadecimal.
pub fn new_token() -> (String, String) {
    let bytes: [u8; TOKEN_BYTES] = rand::random();
    let token = format!("trb_{}", hex(&bytes));
    let digest = hex(&digest(&token));
    (token, digest)
}

fn digest_of_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Access, String> {
        Access::parse(&Source::new("tokens.yaml", text))
            .map_err(|found| found.iter().map(|one| one.message.clone()).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_token_is_known_by_its_digest_for_its_flows_until_it_expires() {
        let ((old, old_digest), (new, new_digest)) = (new_token(), new_token());
        assert_ne!(old, new);
        let text = format!(
            "tokens:\n- {{ name: old, sha256: {old_digest}, flows: all, expires: '2027-01-01T00:00:00Z' }}\n\
             - {{ name: new, sha256: {new_digest}, flows: [purchasing] }}\n"
        );
        let access = parse(&text).expect("a file of tokens");
        let (before, after) = ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
        let (purchasing, other) =
            (FlowName::parse("purchasing").expect("a name"), FlowName::parse("other").expect("a name"));
        let asks = |token: &str, now: &str, flow: &FlowName| {
            access.caller(token, now.parse().expect("a moment")).map(|caller| caller.may_ask(flow))
        };
        assert_eq!(asks(&old, before, &other), Some(true));
        assert_eq!(asks(&old, after, &other), None);
        assert_eq!(asks(&new, after, &purchasing), Some(true));
        assert_eq!(asks(&new, after, &other), Some(false));
        assert_eq!(asks("", after, &purchasing), None);
        assert_eq!(asks(&new_digest, after, &purchasing), None);
        assert!(!format!("{access:?}").contains(&new_digest));
    }

    #[test]
    fn a_token_has_the_rights_that_it_lists_and_decides_where_it_lists_none() {
        let (token, digest) = new_token();
        let rights = |listed: &str| {
            let access = parse(&format!("tokens:\n- {{ name: a, sha256: {digest}, flows: all{listed} }}\n"))?;
            let caller = access.caller(&token, Timestamp::UNIX_EPOCH).expect("a caller");
            let all = [Right::Decide, Right::Explain, Right::WhatIf, Right::Approve];
            Ok::<_, String>(all.into_iter().filter(|right| caller.has(*right)).map(Right::word).collect::<Vec<_>>())
        };
        assert_eq!(rights("").expect("rights"), ["decide"]);
        assert_eq!(rights(", rights: [explain]").expect("rights"), ["explain"]);
        assert_eq!(rights(", rights: [approve, what_if, explain, decide]").expect("rights"), Right::WORDS);
        for (listed, expected) in [
            ("[]", "can do nothing"),
            ("[decide, decide]", "the right `decide` is listed twice"),
            ("[decide, explian]", "must be `decide`, `explain`, `what_if` or `approve`"),
            ("decide", "must be a list"),
        ] {
            let refused = rights(&format!(", rights: {listed}")).expect_err(listed);
            assert!(refused.contains(expected), "{listed}: {refused}");
        }
    }

    #[test]
    fn errors_in_a_file_of_tokens_do_not_repeat_the_digest() {
        let digest = hex(&digest("x"));
        for (text, expected) in [
            ("tokens:\n- { name: a, sha256: abc, flows: all }\n", "64 hexadecimal digits"),
            (&format!("tokens:\n- {{ name: a, sha256: {digest}, flows: most }}\n"), "`all`"),
            (&format!("tokens:\n- {{ name: a, sha256: {digest}, flows: [a b] }}\n"), "a b"),
            (&format!("tokens:\n- {{ name: a, sha256: {digest}, flows: all, expires: soon }}\n"), "with its zone"),
            (
                &format!(
                    "tokens:\n- {{ name: a, sha256: {digest}, flows: all }}\n- {{ name: a, sha256: {digest}, flows: all }}\n"
                ),
                "two tokens named `a`",
            ),
            ("tokens:\n- { name: a, flows: all }\n", "sha256"),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(expected), "{text}: {refused}");
            assert!(!refused.contains(&digest), "{refused}");
        }
    }
}

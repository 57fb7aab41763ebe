//! The hash chain of a file of records: each line holds a number and the SHA-256 of the line before it.
//!
//! A changed, removed or reordered line contradicts the line after it, and `verify` reports it. Where a key is configured, a
//! rotated file ends in a *seal*: an Ed25519 signature (RFC 8032) of the digest of its last line. Without a seal, a user who may
//! write the file can compute a new chain, and lines removed from its end are not noticed.
//!
//! A line that a crash cut off is not part of the chain. The line after it holds its digest as `torn`, so that no other line
//! can pass for one that a crash cut off.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::file::Tail;
use crate::types::hex;

/// The digest in the first line of a chain.
pub(super) const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The DER prefix of the 32 bytes of an Ed25519 public key (RFC 8410).
const PUBLIC_KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The members of a line that link it to the line before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The number of the line in its chain, from 1.
    pub n: u64,
    /// The SHA-256 of the line before it, without its line break, in hexadecimal; zeros in the first line.
    pub prev: String,
    /// The SHA-256 of the line that a crash cut off between the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<String>,
}

/// The last line of a rotated file: a signature of everything before it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seal {
    /// The version of the format.
    #[serde(rename = "seal")]
    version: u32,
    #[serde(flatten)]
    pub(super) link: Link,
    /// The Ed25519 signature of [`Seal::message`], in hexadecimal.
    pub(super) signature: String,
}

impl Seal {
    /// The signed text.
    pub(super) fn message(link: &Link) -> String {
        format!("tributary records\n{}\n{}\n{}", link.n, link.prev, link.torn.as_deref().unwrap_or(""))
    }
}

/// Why a file cannot be chained.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Another process writes the same file.
    #[error("another process writes to {} with `records.chain`; give each process a file of its own", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The last record of the file is not linked to the one before.
    #[error(
        "{} has records without a chain; move the file away, or set `records.chain: false`", path.display()
    )]
    NoChain {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be used.
    #[error("the key {} cannot be used: {why}; `openssl genpkey -algorithm ed25519` makes one", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file cannot be read or locked.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The end of a chain, to which the next line is linked.
pub(super) struct Chain {
    next: Link,
    key: Option<Ed25519KeyPair>,
    /// Held while this process writes: two writers would make two chains.
    _lock: Flock<File>,
}

impl Chain {
    /// Continues the chain whose records end in `tail`.
    pub(super) fn open(path: &Path, tail: &Tail, key: Option<&Path>) -> Result<Self, ChainError> {
        let key = key.map(signing_key).transpose()?;
        let lock = lock(path)?;
        let next = after(tail).ok_or_else(|| ChainError::NoChain { path: path.to_owned() })?;
        Ok(Self { next, key, _lock: lock })
    }

    /// The link of the next line.
    pub(super) fn link(&self) -> &Link {
        &self.next
    }

    /// Advances past `line`, which was added.
    pub(super) fn add(&mut self, line: &str) {
        self.next = Link { n: self.next.n.saturating_add(1), prev: digest(line.as_bytes()), torn: None };
    }

    /// Continues after the present end of the file, once a write has failed.
    pub(super) fn resume(&mut self, tail: &Tail) {
        if let Some(next) = after(tail).filter(|_| *tail != Tail::default()) {
            self.next = next;
        }
    }

    /// The line that ends a file; `None` without a key.
    pub(super) fn seal(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        let signature = key.sign(Seal::message(&self.next).as_bytes());
        let seal = Seal { version: 1, link: self.next.clone(), signature: hex(signature.as_ref()) };
        serde_json::to_string(&seal).ok()
    }
}

/// The key that seals are verified with.
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads a public key in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`ChainError::Key`].
    pub fn read(path: &Path) -> Result<Self, ChainError> {
        let bad = |why: String| ChainError::Key { path: path.to_owned(), why };
        let der = SubjectPublicKeyInfoDer::from_pem_file(path).map_err(|error| bad(error.to_string()))?;
        let key = der.strip_prefix(&PUBLIC_KEY_PREFIX).filter(|key| key.len() == 32);
        key.map(|key| Self(key.to_vec())).ok_or_else(|| bad("it is not an Ed25519 public key".to_owned()))
    }

    /// Whether the private key of this one made `seal`.
    pub(super) fn verifies(&self, seal: &Seal) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        let signature = unhex(&seal.signature);
        signature.is_some_and(|signature| key.verify(Seal::message(&seal.link).as_bytes(), &signature).is_ok())
    }
}

/// The SHA-256 of a line in hexadecimal.
pub(super) fn digest(line: &[u8]) -> String {
    hex(&Sha256::digest(line))
}

/// The link of the line after `tail`; `None` where its last line is not part of a chain.
fn after(tail: &Tail) -> Option<Link> {
    // The last line is complete except for its line break.
    let whole = serde_json::from_slice::<Link>(&tail.torn).ok().map(|link| (link, tail.torn.as_slice()));
    let torn = (whole.is_none() && !tail.torn.is_empty()).then(|| digest(&tail.torn));
    if whole.is_none() && tail.line.is_empty() {
        return Some(Link { n: 1, prev: START.to_owned(), torn });
    }
    let (last, line) = match whole {
        Some(whole) => whole,
        None => (serde_json::from_slice::<Link>(&tail.line).ok()?, tail.line.as_slice()),
    };
    Some(Link { n: last.n.saturating_add(1), prev: digest(line), torn })
}

/// Locks a file beside the records, so that no second process writes the same chain.
fn lock(path: &Path) -> Result<Flock<File>, ChainError> {
    let mut name = path.to_owned().into_os_string();
    name.push(".lock");
    let beside = PathBuf::from(name);
    let file = File::options().create(true).append(true).open(&beside);
    let file = file.map_err(|source| ChainError::File { path: beside, source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| ChainError::Locked { path: path.to_owned() })
}

fn signing_key(path: &Path) -> Result<Ed25519KeyPair, ChainError> {
    let bad = |why: String| ChainError::Key { path: path.to_owned(), why };
    let der = PrivateKeyDer::from_pem_file(path).map_err(|error| bad(error.to_string()))?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der())
        .map_err(|error| bad(format!("it is not an Ed25519 private key in PKCS #8 ({error})")))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    digits.map(|pair| pair.filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect()
}

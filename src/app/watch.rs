//! Files that are read again when they change, without a reload: the tokens, the admin token, and the certificate of the
//! listener. The configuration in service names them, and a reload may name others.
//!
//! Their time, size and identity are compared each second. This takes a few system calls, and detects every kind of replacement
//! (an editor, `mv`, a volume of Kubernetes). A file with errors changes nothing and is logged once. After a configuration was
//! read, the files are always read once, so that no change in between is missed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::config::{Access, Config, TlsFiles, read_secret};
use crate::http::{AdminKey, Certificate, Gate};

const EVERY: Duration = Duration::from_secs(1);

/// The files, and who uses their contents.
pub(super) struct Watch {
    gate: Gate,
    admin: AdminKey,
    /// They belong to the listener, and stay what they are until it is closed.
    certificate: Option<(TlsFiles, Certificate)>,
    files: Mutex<Files>,
}

/// The files of the configuration in service. Their lock is held while their contents are published, so that nothing of a
/// replaced configuration is published after its successor.
struct Files {
    tokens: Option<Followed>,
    admin: Option<Followed>,
    certificate: Vec<Followed>,
}

/// A file, and how it was when it was last read; nothing before the first time.
struct Followed {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// What tells whether a file has changed.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Followed {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None }
    }

    /// Whether it has changed since the last call.
    fn has_changed(&mut self) -> bool {
        let now = stamp(&self.path);
        let changed = now != self.seen;
        self.seen = now;
        // What is not there cannot be read; what was read from it stays good.
        changed && self.seen.is_some()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp { modified: metadata.modified().ok()?, length: metadata.len(), inode: metadata.ino() })
}

impl Watch {
    /// Looks at what `config` names, for `gate`, the admin endpoints and the listener with this `certificate`.
    pub(super) fn new(gate: Gate, config: &Config, certificate: Option<Certificate>) -> Self {
        let admin = AdminKey::default();
        admin.set(config.admin_token.as_ref());
        let certificate = config.http.tls.clone().zip(certificate);
        let followed = certificate.iter().flat_map(|(files, _)| [&files.certificate, &files.key]);
        let followed = followed.map(|path| Followed::new(path)).collect();
        let files = Files { certificate: followed, ..Files::of(config) };
        Self { gate, admin, certificate, files: Mutex::new(files) }
    }

    /// The token of the admin endpoints.
    pub(super) fn admin_key(&self) -> &AdminKey {
        &self.admin
    }

    /// From now on `config` is in service, with these tokens.
    pub(super) fn follow(&self, config: &Config, access: Option<Access>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let certificate = std::mem::take(&mut files.certificate);
        *files = Files { certificate, ..Files::of(config) };
        self.gate.set(access);
        self.admin.set(config.admin_token.as_ref());
    }

    /// Looks until it is dropped.
    pub(super) async fn run(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = &mut files.tokens
            && tokens.has_changed()
        {
            self.read_tokens(&tokens.path);
        }
        if let Some(admin) = &mut files.admin
            && admin.has_changed()
        {
            self.read_admin_token(&admin.path);
        }
        // All are looked at, whichever has changed.
        let changed = files.certificate.iter_mut().filter_map(|file| file.has_changed().then_some(())).count();
        if let Some((files, certificate)) = self.certificate.as_ref().filter(|_| changed > 0) {
            read_certificate(files, certificate);
        }
    }

    fn read_tokens(&self, path: &Path) {
        match Access::read(path) {
            Ok(access) => {
                if self.gate.set(Some(access)) {
                    tracing::info!("the tokens were read again");
                }
            }
            Err(found) => tracing::error!(%found, "the new tokens are refused; those of before are good"),
        }
    }

    fn read_admin_token(&self, path: &Path) {
        match read_secret(path) {
            Ok(token) => {
                if self.admin.set(Some(&token)) {
                    tracing::info!("the admin token was read again");
                }
            }
            Err(why) => tracing::error!(why, "the new admin token is refused; the one of before is good"),
        }
    }
}

fn read_certificate(files: &TlsFiles, certificate: &Certificate) {
    match certificate.renew(files) {
        Ok(true) => tracing::info!("the certificate was read again"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the new certificate is refused; the one of before is used"),
    }
}

impl Files {
    /// What `config` names, but for the certificate of the listener.
    fn of(config: &Config) -> Self {
        let followed = |path: &Option<PathBuf>| path.as_deref().map(Followed::new);
        Self {
            tokens: followed(&config.http.tokens),
            admin: followed(&config.admin_token_file),
            certificate: Vec::new(),
        }
    }
}

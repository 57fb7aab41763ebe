//! Files that are read again when they change, without a reload: the tokens and the certificate of the listener.
//!
//! They are looked at each second, by time and size: it costs two calls of the kernel, and works for whatever replaces them
//! (an editor, `mv`, a volume of Kubernetes). A file that is wrong changes nothing, and is told of once.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::{Access, TlsFiles};
use crate::http::{Certificate, Gate};

const EVERY: Duration = Duration::from_secs(1);

/// What is looked at.
pub(super) struct Watch {
    /// The tokens, and who is told of them.
    pub(super) tokens: Option<(PathBuf, Gate)>,
    /// The certificate's files, and who is told of them.
    pub(super) tls: Option<(TlsFiles, Certificate)>,
}

/// What tells whether a file has changed.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Watch {
    /// Looks until it is dropped.
    pub(super) async fn run(self) {
        let mut seen = self.stamps();
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let now = self.stamps();
            if now.0 != seen.0 {
                self.read_tokens();
            }
            if now.1 != seen.1 {
                self.read_certificate();
            }
            seen = now;
        }
    }

    fn stamps(&self) -> (Stamp, [Stamp; 2]) {
        let tokens = self.tokens.as_ref().and_then(|(path, _)| stamp(path));
        let tls = self.tls.as_ref().map(|(files, _)| [stamp(&files.certificate), stamp(&files.key)]);
        (tokens, tls.unwrap_or_default())
    }

    fn read_tokens(&self) {
        let Some((path, gate)) = &self.tokens else { return };
        match Access::read(path) {
            Ok(access) => {
                gate.set(Some(access));
                tracing::info!("the tokens were read again");
            }
            Err(found) => tracing::error!(%found, "the new tokens are refused; those of before are good"),
        }
    }

    fn read_certificate(&self) {
        let Some((files, certificate)) = &self.tls else { return };
        match certificate.renew(files) {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the new certificate is refused; the one of before is used"),
        }
    }
}

//! Certificates of the tests' own.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tributary::config::{Identity, RootCert};

/// A certificate authority for tests, with a directory for its files.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    directory: tempfile::TempDir,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let authority = Self { params, key, directory: tempfile::tempdir().expect("a directory") };
        authority.write("root.crt", &authority.root());
        authority
    }

    /// Its certificate.
    pub fn root(&self) -> String {
        self.params.self_signed(&self.key).expect("a certificate").pem()
    }

    /// A certificate and its key.
    pub fn sign(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    /// Writes a file into its directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A file of its directory. `root.crt` has its certificate.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The setting that trusts it.
    pub fn trusted(&self) -> RootCert {
        RootCert::File(self.file("root.crt"))
    }

    /// A client certificate for this role.
    pub fn identity(&self, role: &str) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, role);
        let (certificate, key) = self.sign(&params);
        Identity {
            certificate: self.write(&format!("{role}.crt"), &certificate),
            key: self.write(&format!("{role}.key"), &key),
        }
    }
}

/// A certificate for these names.
pub fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("parameters")
}

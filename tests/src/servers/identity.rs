//! Certificates of a test's own, and who issues them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Somebody who vouches for servers.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

/// The certificate of a server, and its key, in PEM.
pub struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    /// One that nobody trusts, with a name that no other has.
    pub fn make() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut about = of(&format!("authority-{:x}", rand::random::<u64>()));
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = about.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("written");
        Self {
            issuer: Issuer::new(about, key),
            folder,
        }
    }

    /// The file that a client trusts it by.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// An identity for the server at this name or address.
    pub fn vouch_for(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = of(name).signed_by(&key, &self.issuer);
        Identity {
            certificate: certificate.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Identity {
    /// One that nobody vouches for, and that claims to be an authority, as
    /// `openssl req -x509` makes it.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut about = of(name);
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            certificate: about.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes it into a folder; returns the files of the certificate and the key.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        for (file, content) in [(&certificate, &self.certificate), (&key, &self.key)] {
            fs::write(file, content).expect("written");
            // A key that others may read is refused.
            let permissions = fs::Permissions::from_mode(0o600);
            fs::set_permissions(file, permissions).expect("permissions");
        }
        (certificate, key)
    }
}

fn of(name: &str) -> CertificateParams {
    let mut about = CertificateParams::new([name.to_owned()]).expect("a name");
    about.distinguished_name.push(DnType::CommonName, name);
    about
}

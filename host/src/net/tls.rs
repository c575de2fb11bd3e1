//! Whom encrypted connections trust.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

/// The largest file of certificates: that of a whole system has 250 kB.
const FILE_LIMIT: u64 = 1 << 20;

/// A file that was named as one of certificates.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a file of certificates in PEM{}", .path.display(), because(.source.as_ref()))]
pub(crate) struct InvalidFile {
    path: PathBuf,
    source: Option<io::Error>,
}

/// The certificates that vouch for servers.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    store: RootCertStore,
    /// Those of `store` that whoever runs this host named.
    named: Vec<CertificateDer<'static>>,
}

/// How far a server has to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Not at all: what is said is kept from those who only listen.
    None,
    /// Somebody trusted vouches for it, whatever its name is.
    Issuer,
    /// Somebody trusted vouches for it by the name that it was called by.
    Name,
}

fn because(source: Option<&io::Error>) -> String {
    source.map_or(String::new(), |error| format!(": {error}"))
}

impl Roots {
    /// Nobody.
    pub(crate) fn empty() -> Self {
        Self {
            store: RootCertStore::empty(),
            named: Vec::new(),
        }
    }

    /// Those of Mozilla.
    pub(crate) fn mozilla() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.into();
        Self {
            store: RootCertStore { roots },
            named: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, certificate: CertificateDer<'static>) -> Result<(), Error> {
        self.store.add(certificate.clone())?;
        self.named.push(certificate);
        Ok(())
    }

    /// Add what a file has.
    pub(crate) fn add_file(&mut self, path: &Path) -> Result<(), InvalidFile> {
        let refused = |source| InvalidFile {
            path: path.to_owned(),
            source,
        };
        let about = fs::metadata(path).map_err(|error| refused(Some(error)))?;
        if !about.is_file() || about.len() > FILE_LIMIT {
            return Err(refused(None));
        }
        let pem = fs::read(path).map_err(|error| refused(Some(error)))?;
        let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|_| refused(None))?;
        // Among those of a whole system, some are too old to be understood.
        let added = certificates.into_iter().map(|found| self.add(found));
        match added.filter(Result::is_ok).count() {
            0 => Err(refused(None)),
            _ => Ok(()),
        }
    }

    /// How to connect to servers that prove this much.
    pub(crate) fn config(&self, proof: Proof) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        if proof == Proof::Name && self.named.is_empty() {
            let builder = builder.with_root_certificates(self.store.clone());
            return Ok(builder.with_no_client_auth());
        }
        let roots = Arc::new(self.store.clone());
        let issuer = match proof {
            Proof::None => None,
            Proof::Issuer | Proof::Name => Some(
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|error| Error::General(error.to_string()))?,
            ),
        };
        let verifier = Verifier {
            proof,
            issuer,
            named: self.named.clone(),
            provider,
        };
        let builder = builder.dangerous();
        let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
        Ok(builder.with_no_client_auth())
    }
}

/// Asks for as much proof as is wanted, and takes a certificate that was named
/// for what it is: one that a server signed for itself mostly claims to be an
/// authority, and no authority may be a server.
struct Verifier {
    proof: Proof,
    issuer: Option<Arc<WebPkiServerVerifier>>,
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?})", self.proof)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(issuer) = &self.issuer else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = issuer.verify_server_cert(certificate, intermediates, name, ocsp, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.proof == Proof::Issuer => Ok(ServerCertVerified::assertion()),
            // What else may be wrong with it, its age for one, has a name.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.named.contains(certificate) =>
            {
                if self.proof == Proof::Name {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

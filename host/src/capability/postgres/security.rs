//! What an address says about encryption: `sslmode` and `sslrootcert`, which mean
//! what they mean to libpq.
//!
//! The driver knows half of the modes, and leaves out what certificates are for.

use std::path::Path;

use percent_encoding::percent_decode_str;
use rustls::ClientConfig;

use super::address::{Certificate, InvalidAddress};
use crate::net::tls::{Proof, Roots};

/// Stands for the certificates that the host trusts anyway.
const SYSTEM: &str = "system";

/// What an address demands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Security {
    mode: Option<String>,
    root: Option<String>,
}

impl Security {
    /// Takes the demands out of an address. What is left is for the driver.
    pub(super) fn take(address: &str) -> (String, Self) {
        let mut security = Self::default();
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| address.starts_with(scheme));
        let rest = match is_url {
            true => security.take_from_url(address),
            false => security.take_from_words(address),
        };
        (rest, security)
    }

    fn take_from_url(&mut self, address: &str) -> String {
        // A password may have a question mark.
        let host = address.find('@').unwrap_or(0);
        let Some(mark) = address
            .get(host..)
            .and_then(|rest| rest.find('?'))
            .map(|mark| host + mark)
        else {
            return address.to_owned();
        };
        let (place, query) = address.split_at(mark);
        let mut rest = place.to_owned();
        for pair in query.split(['?', '&']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            if !self.notes(name, &value) {
                rest.push(if rest.len() == place.len() { '?' } else { '&' });
                rest.push_str(pair);
            }
        }
        rest
    }

    /// Words are `name = value`, where a value may be in quotes, and a backslash
    /// makes the next character an ordinary one.
    fn take_from_words(&mut self, address: &str) -> String {
        let mut rest = String::new();
        let mut left = address.trim_start();
        while let Some((name, behind)) = left.split_once('=') {
            let behind = behind.trim_start();
            let (value, length) = word(behind);
            let end = left.len() - behind.len() + length;
            let (this, others) = left.split_at(end);
            if !self.notes(name.trim(), &value) {
                rest.push_str(this);
                rest.push(' ');
            }
            left = others.trim_start();
        }
        // What is not well-formed is for the driver to refuse.
        rest + left
    }

    /// Whether this one is ours.
    fn notes(&mut self, name: &str, value: &str) -> bool {
        let place = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            _ => return false,
        };
        *place = Some(value.to_owned());
        true
    }

    /// The mode as the driver knows it.
    pub(super) fn mode(&self) -> Result<tokio_postgres::config::SslMode, InvalidAddress> {
        use tokio_postgres::config::SslMode;
        let is_system = self.root.as_deref() == Some(SYSTEM);
        match self.mode.as_deref() {
            None | Some("verify-full") if is_system => Ok(SslMode::Require),
            // Anybody can have a certificate that is trusted everywhere.
            Some(mode) if is_system => Err(InvalidAddress(format!(
                "`sslmode={mode}` is too weak for `sslrootcert=system`; use verify-full"
            ))),
            Some("disable") => Ok(SslMode::Disable),
            None | Some("prefer") => Ok(SslMode::Prefer),
            Some("require" | "verify-ca" | "verify-full") => Ok(SslMode::Require),
            Some(mode) => Err(InvalidAddress(format!(
                "`sslmode` is disable, prefer, require, verify-ca or verify-full, and not {mode:?}"
            ))),
        }
    }

    /// How far the server has to prove who it is. Whoever names certificates
    /// wants them looked at, as far as the mode goes.
    fn proof(&self, has_certificate: bool) -> Proof {
        match (self.mode.as_deref(), self.root.as_deref()) {
            (Some("verify-ca"), _) => Proof::Issuer,
            (Some("verify-full"), _) | (None, Some(SYSTEM)) => Proof::Name,
            (Some("require"), Some(_)) => Proof::Issuer,
            // Spin always looks, and its builder is how to say at what.
            _ if has_certificate => Proof::Name,
            _ => Proof::None,
        }
    }

    /// How to encrypt, with these roots unless others are named.
    pub(super) fn config(
        &self,
        roots: &Roots,
        certificate: Option<&Certificate>,
    ) -> Result<ClientConfig, InvalidAddress> {
        let failed =
            |error: rustls::Error| InvalidAddress(format!("this host cannot speak TLS: {error}"));
        let proof = self.proof(certificate.is_some());
        let mut roots = match self.root.as_deref() {
            Some(path) if path != SYSTEM && proof != Proof::None => {
                let mut named = Roots::empty();
                named.add_file(Path::new(path)).map_err(|error| {
                    // A component must not learn from the host what files it has.
                    tracing::warn!("`sslrootcert`: {error}");
                    InvalidAddress(format!("`sslrootcert`: {path:?} has no certificates"))
                })?;
                named
            }
            _ => roots.clone(),
        };
        if let Some(certificate) = certificate {
            roots.add(certificate.to_der()).map_err(failed)?;
        }
        roots.config(proof).map_err(failed)
    }
}

/// The value that a text begins with, and the bytes it takes.
fn word(text: &str) -> (String, usize) {
    let is_quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(is_quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if is_quoted => return (value, at + 1),
            space if !is_quoted && space.is_whitespace() => return (value, at),
            other => value.push(other),
        }
    }
    (value, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(address: &str) -> (String, Option<String>, Option<String>) {
        let (rest, Security { mode, root }) = Security::take(address);
        (rest, mode, root)
    }

    #[test]
    fn demands_are_found_in_every_form_of_an_address() {
        let some = |text: &str| Some(text.to_owned());
        for (address, rest, mode, root) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d", None, None),
            (
                "postgres://u:a?b@h/d?sslmode=require&connect_timeout=3",
                "postgres://u:a?b@h/d?connect_timeout=3",
                some("require"),
                None,
            ),
            (
                "postgresql://h/d?application_name=x&sslrootcert=%2Fa%20b.pem&sslmode=verify-full",
                "postgresql://h/d?application_name=x",
                some("verify-full"),
                some("/a b.pem"),
            ),
            ("host=h user=u", "host=h user=u ", None, None),
            (
                r"host=h sslrootcert = '/a b\'.pem' password='sslmode=disable' sslmode=verify-ca",
                "host=h password='sslmode=disable' ",
                some("verify-ca"),
                some("/a b'.pem"),
            ),
            ("host=h nonsense", "host=h nonsense", None, None),
        ] {
            assert_eq!(taken(address), (rest.to_owned(), mode, root), "{address}");
        }
    }

    #[test]
    fn a_mode_asks_for_as_much_proof_as_to_libpq() {
        for (mode, root, proof) in [
            (None, None, Proof::None),
            (None, Some(SYSTEM), Proof::Name),
            (Some("prefer"), Some("x.pem"), Proof::None),
            (Some("require"), None, Proof::None),
            (Some("require"), Some("x.pem"), Proof::Issuer),
            (Some("verify-ca"), None, Proof::Issuer),
            (Some("verify-full"), Some("x.pem"), Proof::Name),
        ] {
            let security = Security {
                mode: mode.map(str::to_owned),
                root: root.map(str::to_owned),
            };
            assert_eq!(security.proof(false), proof, "{mode:?} {root:?}");
        }
        assert_eq!(Security::default().proof(true), Proof::Name);
    }
}

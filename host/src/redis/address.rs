//! Where a broker is: `redis://[<user>:<password>@]<host>[:<port>][/<database>]`.

use std::fmt;

use url::Url;

/// The text is not the address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address such as `redis://localhost:6379/0`")]
pub(crate) struct InvalidRedisAddress;

/// The address of a broker, and the database in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RedisAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: u32,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl RedisAddress {
    /// Parse an address.
    pub(crate) fn parse(address: &str) -> Result<Self, InvalidRedisAddress> {
        let url = Url::parse(address).map_err(|_| InvalidRedisAddress)?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err(InvalidRedisAddress);
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or(InvalidRedisAddress)?;
        let database = match url.path().trim_matches('/') {
            "" => 0,
            database => database.parse().map_err(|_| InvalidRedisAddress)?,
        };
        let decode = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| InvalidRedisAddress)
        };
        let user = Some(url.username()).filter(|user| !user.is_empty());
        Ok(Self {
            tls: url.scheme() == "rediss",
            user: user.map(decode).transpose()?,
            password: url.password().map(decode).transpose()?,
            host: host.to_ascii_lowercase(),
            port: url.port().unwrap_or(6379),
            database,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Without the password.
impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        for (address, expected) in [
            ("redis://localhost", ("localhost", 6379, 0, false)),
            ("redis://LocalHost:1/", ("localhost", 1, 0, false)),
            ("redis://u:p@broker:6380/3", ("broker", 6380, 3, false)),
            ("rediss://[::1]/2", ("[::1]", 6379, 2, true)),
        ] {
            let RedisAddress {
                host,
                port,
                database,
                tls,
                ..
            } = RedisAddress::parse(address).expect(address);
            assert_eq!((host.as_str(), port, database, tls), expected, "{address}");
        }
    }

    #[test]
    fn a_user_and_a_password_are_decoded_and_not_shown() {
        let address = RedisAddress::parse("redis://us%40er:pass%23word@broker").expect("valid");
        assert_eq!(address.user.as_deref(), Some("us@er"));
        assert_eq!(address.password.as_deref(), Some("pass#word"));
        assert_eq!(format!("{address:?}"), "broker:6379/0");
        let password_only = RedisAddress::parse("redis://:secret@broker").expect("valid");
        assert_eq!(password_only.user, None);
    }

    #[test]
    fn anything_else_is_refused() {
        for address in [
            "",
            "localhost",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis:///0",
            "redis://h/x",
            "redis://h/-1",
        ] {
            assert_eq!(
                RedisAddress::parse(address),
                Err(InvalidRedisAddress),
                "{address}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(address in ".*") {
            let _ = RedisAddress::parse(&address);
            let _ = RedisAddress::parse(&format!("redis://{address}"));
        }
    }
}

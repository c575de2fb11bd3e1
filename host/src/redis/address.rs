//! Where a broker is: `redis://[<user>:<password>@]<host>[:<port>][/<database>]`.

use url::Url;

/// The text is not the address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address such as `redis://localhost:6379/0`")]
pub(crate) struct InvalidRedisAddress;

/// The address of a broker, and the database in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: u32,
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
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: url.port().unwrap_or(6379),
            database,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        for (address, host, port, database) in [
            ("redis://localhost", "localhost", 6379, 0),
            ("redis://LocalHost:1/", "localhost", 1, 0),
            ("redis://user:pass%23word@broker:6380/3", "broker", 6380, 3),
            ("rediss://[::1]/2", "[::1]", 6379, 2),
        ] {
            let expected = RedisAddress {
                host: host.into(),
                port,
                database,
            };
            assert_eq!(RedisAddress::parse(address), Ok(expected), "{address}");
        }
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

//! Where a server is. Today that is a host and a port; the type is there so that other transports
//! can join.

use std::fmt;
use std::str::FromStr;

use crate::ClientError;

/// The native port of a storage server, taken where an address names none.
const DEFAULT_PORT: u16 = 50050;

/// A server's address: `HOST:PORT`, `HOST`, `[IPV6]:PORT` or `[IPV6]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    /// What a resolver takes.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for Endpoint {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        Self::parse(text, DEFAULT_PORT)
    }
}

impl Endpoint {
    /// Reads an address; `default_port` stands where it names none.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, ClientError> {
        let invalid = |problem| ClientError::InvalidEndpoint { text: text.to_owned(), problem };
        if text.contains("://") {
            return Err(invalid("it is a URL"));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) =
                rest.split_once(']').ok_or_else(|| invalid("the bracket is not closed"))?;
            let address: std::net::Ipv6Addr =
                host.parse().map_err(|_| invalid("no IPv6 address in the brackets"))?;
            let port = if rest.is_empty() { None } else { rest.strip_prefix(':').or(Some("")) };
            (address.to_string(), port)
        } else {
            match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => {
                    return Err(invalid("IPv6 addresses need brackets"));
                }
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (text.to_owned(), None),
            }
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(invalid("there is no host name in it"));
        }
        let port = match port {
            None => default_port,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| invalid("the port is not a number from 1 to 65535"))?,
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hosts_and_both_kinds_of_addresses_read_with_and_without_a_port() {
        for (text, printed) in [
            ("localhost:7", "localhost:7"),
            ("10.0.0.1", "10.0.0.1:50050"),
            ("[::1]:50051", "[::1]:50051"),
            ("[::1]", "[::1]:50050"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for text in [
            "",
            ":50050",
            "::1",
            "[::1",
            "[nine]:1",
            "[::1]50050",
            "host:0",
            "host:65536",
            "http://host:1",
            "a b:1",
        ] {
            assert!(
                matches!(text.parse::<Endpoint>(), Err(ClientError::InvalidEndpoint { .. })),
                "{text}"
            );
        }
    }
}

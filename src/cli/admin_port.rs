//! A server's admin port, as the commands ask it that show what is there: `slow` and `top`.
//!
//! Plain HTTP, straight to the address: no proxy, no other host. An answer has a bound in size and
//! time.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::StatusCode;

/// The admin port of a server that was not told otherwise.
pub(crate) const DEFAULT_ADMIN: &str = "127.0.0.1:9050";
/// How long an answer may take: longer than the port itself takes to give up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read: far more than a thousand slow requests take.
const MAX_ANSWER: u64 = 8 << 20;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminAddress(String);

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Err(
                "it is off, so there is nothing to ask; --admin ADDRESS names the port of \
                        a server that serves one"
                    .into(),
            );
        }
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let is_one = address.rsplit_once(':').is_some_and(|(host, port)| {
            let has_strange = |c: char| c.is_whitespace() || "/?#@\\".contains(c);
            !host.is_empty() && !host.contains(has_strange) && port.parse::<u16>().is_ok()
        });
        if is_one {
            Ok(Self(address.to_owned()))
        } else {
            Err("expected a host and a port, like 127.0.0.1:9050, db1:9050 or [::1]:9050".into())
        }
    }
}

impl std::fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminPortError {
    /// Nobody is there, or nobody answers.
    #[error(
        "no answer from the admin port {address}: {problem}; does a server run there, and is its \
         --admin port on? --admin names another"
    )]
    Unreachable {
        /// The port.
        address: AdminAddress,
        /// What is wrong.
        problem: String,
    },
    /// The server says why not.
    #[error(
        "what serves {address} does not tell: {problem}; only a storage server does, and no master \
         or agent"
    )]
    Refused {
        /// The port.
        address: AdminAddress,
        /// What it says.
        problem: String,
    },
    /// Something answers that is no server's admin port, or another version's.
    #[error(
        "what answers at {address} is no server's admin port of this version: {problem}; --admin \
         names another"
    )]
    Unknown {
        /// The port.
        address: AdminAddress,
        /// What does not fit.
        problem: String,
    },
}

/// A way to a server's admin port. One connection is kept between questions.
pub(crate) struct AdminPort {
    agent: Agent,
    address: AdminAddress,
}

impl AdminPort {
    pub(crate) fn new(address: &AdminAddress) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("sutra/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), address: address.clone() }
    }

    /// What a path of the read API tells.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminPortError> {
        let address = &self.address;
        let unreachable = |error: ureq::Error| AdminPortError::Unreachable {
            address: address.clone(),
            problem: what_is_wrong(error),
        };
        let asked = self.agent.get(format!("http://{address}{path}")).call();
        let mut answer = asked.map_err(unreachable)?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = body.map_err(unreachable)?;
        let unknown = |problem| AdminPortError::Unknown { address: address.clone(), problem };
        if answer.status() != StatusCode::OK {
            return Err(match refusal(&body) {
                Some(problem) => AdminPortError::Refused { address: address.clone(), problem },
                None => unknown(format!("it answers {path} with {}", answer.status())),
            });
        }
        serde_json::from_slice(&body).map_err(|error| unknown(format!("{path}: {error}")))
    }
}

/// What the system says, where it is that.
fn what_is_wrong(error: ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nobody listens there".into()
        }
        ureq::Error::Timeout(_) => format!("none within {} s", PATIENCE.as_secs()),
        ureq::Error::HostNotFound => "there is no host of this name".into(),
        error => error.to_string(),
    }
}

/// The reason in a refusal of the read API.
fn refusal(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer["error"]["message"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let read = |text: &str| text.parse::<AdminAddress>().map(|address| address.to_string());
        for (text, address) in [
            ("127.0.0.1:9050", "127.0.0.1:9050"),
            ("[::1]:9050", "[::1]:9050"),
            ("http://db1:9050/", "db1:9050"),
        ] {
            assert_eq!(read(text), Ok(address.to_owned()));
        }
        for text in ["", "db1", ":9050", "db1:port", "db1:99999", "a b:1", "user@db1:9050"] {
            assert!(read(text).is_err_and(|said| said.contains("a host and a port")), "{text}");
        }
        assert!(read("off").is_err_and(|said| said.contains("it is off")));
    }

    #[test]
    fn a_refusal_says_its_reason() {
        let body = br#"{"error":{"code":"unavailable","message":"recovering"}}"#;
        assert_eq!(refusal(body).as_deref(), Some("recovering"));
        assert_eq!(refusal(b"<html>"), None);
    }
}

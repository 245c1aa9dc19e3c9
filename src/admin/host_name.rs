//! Keeps pages of other hosts from reading this one's port through their visitor's browser.
//!
//! A page's own name can be made to lead to 127.0.0.1 after the page was loaded (DNS rebinding).
//! To the browser the port then belongs to that page. The name betrays it: people on this host ask
//! for an address, or for localhost.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::refusal::{Code, Refusal};

/// Answers requests that ask for an address or for localhost, and refuses all others. It is for a
/// port that only this host can reach.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    match named(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn named(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(host) = headers.get(HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    if is_own(host) {
        return Ok(());
    }
    let message = format!(
        "this port is for its own host, and {host:?} is the name of another; \
         ask for 127.0.0.1, [::1] or localhost"
    );
    Err(Refusal::new(Code::Forbidden, message))
}

fn is_own(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_this_host_and_other_names_are_not() {
        for host in ["127.0.0.1:9050", "[::1]:9050", "::1", "localhost", "a.localhost:80"] {
            assert!(is_own(host), "{host}");
        }
        for host in ["evil.example:9050", "127.0.0.1.evil.example", "localhost.evil.example", ""] {
            assert!(!is_own(host), "{host}");
        }
    }
}

//! The warning where a service can be reached from other hosts: no port asks for a password.

use std::net::SocketAddr;

/// Warns of each address that others than this host's users may reach, with what they may do there.
pub(crate) fn warn(port: &str, addresses: &[SocketAddr], may: &str) {
    for address in addresses.iter().filter(|address| is_open(**address)) {
        let anyone = if address.ip().is_unspecified() {
            "anyone who reaches this host by any of its addresses"
        } else {
            "anyone who reaches this address"
        };
        tracing::warn!(
            %address,
            "the {port} port is open: {anyone} {may}. There is no password and no encryption: \
             listen on a loopback address, or keep others out with a firewall"
        );
    }
}

fn is_open(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_address_is_for_this_host_alone() {
        let open = |text: &str| is_open(text.parse().expect("an address"));
        assert!(
            ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"]
                .map(open)
                .iter()
                .all(|o| *o)
        );
        assert!(
            !["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"]
                .map(open)
                .iter()
                .any(|o| *o)
        );
    }
}

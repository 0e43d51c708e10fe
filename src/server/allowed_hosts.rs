//! The names under which this server may be addressed. Any other `Host` is a page of somebody else
//! whose name was made to point here (DNS rebinding).

use std::net::SocketAddr;

/// Accepted values of the `Host` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
}

impl AllowedHosts {
    /// The loopback names and the bound address, all with the bound port.
    pub fn of(address: SocketAddr) -> Self {
        let port = address.port();
        let mut names: Vec<String> = ["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .map(|name| format!("{name}:{port}"))
            .collect();
        let bound = address.to_string();
        if !address.ip().is_unspecified() && !names.contains(&bound) {
            names.push(bound);
        }
        if port == 80 {
            let bare = names.iter().filter_map(|n| n.strip_suffix(":80"));
            let bare: Vec<String> = bare.map(str::to_owned).collect();
            names.extend(bare);
        }
        Self { names }
    }

    /// Whether a `Host` header names this server.
    pub fn accept(&self, host: &str) -> bool {
        self.names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether an `Origin` header is one of our own pages.
    pub fn accept_origin(&self, origin: &str) -> bool {
        origin
            .strip_prefix("http://")
            .is_some_and(|host| self.accept(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_with_the_port_are_accepted() {
        let hosts = AllowedHosts::of(([127, 0, 0, 1], 7878).into());
        for host in [
            "127.0.0.1:7878",
            "localhost:7878",
            "LOCALHOST:7878",
            "[::1]:7878",
        ] {
            assert!(hosts.accept(host), "{host}");
        }
        for host in [
            "",
            "localhost",
            "127.0.0.1",
            "localhost:7879",
            "evil.example:7878",
            "localhost:7878.evil.example",
            "evil.example",
            "0.0.0.0:7878",
            "127.0.0.1:7878@evil",
            "localhost.:7878",
            "127.1:7878",
            "2130706433:7878",
            "[::ffff:127.0.0.1]:7878",
        ] {
            assert!(!hosts.accept(host), "{host}");
        }
    }

    #[test]
    fn only_our_own_pages_are_an_origin() {
        let hosts = AllowedHosts::of(([127, 0, 0, 1], 7878).into());
        assert!(hosts.accept_origin("http://localhost:7878"));
        for origin in [
            "null",
            "",
            "https://localhost:7878",
            "http://evil.example",
            "http://localhost",
        ] {
            assert!(!hosts.accept_origin(origin), "{origin}");
        }
    }

    #[test]
    fn port_80_may_be_left_out() {
        let hosts = AllowedHosts::of(([127, 0, 0, 1], 80).into());
        assert!(hosts.accept("localhost") && hosts.accept("localhost:80"));
    }
}

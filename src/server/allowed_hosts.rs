//! The names under which this server may be addressed. Any other `Host` is a page of somebody else
//! whose name was made to point here (DNS rebinding).

use std::net::SocketAddr;

/// Accepted values of the `Host` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
    /// Names that were configured; behind a proxy they may be addressed by https.
    configured: Vec<String>,
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
        Self {
            names,
            configured: Vec::new(),
        }
    }

    /// Further names, as they are written in an address: one without a port also with that of
    /// `address`.
    #[must_use]
    pub fn with_names(mut self, names: &[String], address: SocketAddr) -> Self {
        for name in names.iter().map(|name| name.trim()) {
            let after_brackets = name.rsplit_once(']').map_or(name, |(_, rest)| rest);
            if !after_brackets.contains(':') {
                self.configured.push(format!("{name}:{}", address.port()));
            }
            self.configured.push(name.to_owned());
        }
        self
    }

    /// Whether a `Host` header names this server.
    pub fn accept(&self, host: &str) -> bool {
        let known = self.names.iter().chain(&self.configured);
        known
            .into_iter()
            .any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether an `Origin` header is one of our own pages.
    pub fn accept_origin(&self, origin: &str) -> bool {
        let plain = origin.strip_prefix("http://");
        let encrypted = origin.strip_prefix("https://");
        plain.is_some_and(|host| self.accept(host))
            || encrypted.is_some_and(|host| {
                let configured = &self.configured;
                configured
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(host))
            })
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
            "[::]:7878",
            "127.0.0.1:07878",
            "127.0.0.1:7878:7878",
            "127.0.0.1:7878/",
            "127.0.0.1:7878, evil.example",
            "127.0.0.2:7878",
            "0x7f000001:7878",
            "017700000001:7878",
            "localhost:80",
            "localhost.localdomain:7878",
            "localhost.evil.example:7878",
            "127.0.0.1.nip.io:7878",
            " localhost:7878",
            "localhost :7878",
            "[::1%25lo]:7878",
            "[0:0:0:0:0:0:0:1]:7878",
            "user@localhost:7878",
            "xn--localhost:7878",
            "ｌocalhost:7878",
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
    fn configured_names_are_accepted_with_and_without_the_port() {
        let address = ([0, 0, 0, 0], 7878).into();
        let names = ["studio.example".to_owned(), "nas:9000".to_owned()];
        let hosts = AllowedHosts::of(address).with_names(&names, address);
        for host in ["studio.example", "Studio.example:7878", "nas:9000"] {
            assert!(hosts.accept(host), "{host}");
        }
        for host in ["nas", "nas:7878", "studio.example:9000", "0.0.0.0:7878"] {
            assert!(!hosts.accept(host), "{host}");
        }
        assert!(hosts.accept_origin("https://studio.example"));
        assert!(!hosts.accept_origin("https://localhost:7878"));
    }

    #[test]
    fn port_80_may_be_left_out() {
        let hosts = AllowedHosts::of(([127, 0, 0, 1], 80).into());
        assert!(hosts.accept("localhost") && hosts.accept("localhost:80"));
    }
}

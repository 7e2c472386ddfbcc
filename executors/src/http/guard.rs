//! Which addresses may be called where a run's data, and not its definition, names the host.
//!
//! An address is looked at as the connection is made: what a name was when somebody checked it
//! says nothing of what it is by then (DNS rebinding). Knows nothing of definitions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Networks that are nobody's on the internet: the IANA special-purpose registries (RFC 6890),
/// and multicast.
const PRIVATE: [&str; 29] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::ffff:0:0:0/96",
];

static PRIVATE_NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| PRIVATE.iter().map(|net| net.parse().expect("they are networks")).collect());

/// Whether an address belongs to a private network, whatever it is wrapped in.
fn is_private(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(own) => unwrapped(own).map_or(address, IpAddr::V4),
    };
    PRIVATE_NETWORKS.iter().any(|net| net.contains(&address))
}

/// The IPv4 address that an IPv6 address stands for: mapped (RFC 4291), or behind a translator
/// (RFC 6052).
fn unwrapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [head @ .., high, low] = address.segments();
    let translated = head == [0x64, 0xff9b, 0, 0, 0, 0];
    let last = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    address.to_ipv4_mapped().or(translated.then_some(last))
}

/// Whether private addresses may be called where a run's data names the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PrivateHosts {
    /// They may.
    #[default]
    Allowed,
    /// They may not, but for these.
    DeniedBut(HostList),
}

/// Some hosts: names, what names end with, addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostList {
    /// Names, in lower case.
    names: Vec<String>,
    /// What names may end with, the dot before it included.
    suffixes: Vec<String>,
    networks: Vec<IpNet>,
}

impl FromStr for HostList {
    type Err = String;

    /// Names, `*.names`, addresses and networks, with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut own = Self::default();
        for part in text.split(',').map(str::trim) {
            if let Ok(net) = part.parse::<IpNet>() {
                own.networks.push(net);
            } else if let Ok(address) = part.parse::<IpAddr>() {
                own.networks.push(address.into());
            } else if !is_name(part.strip_prefix("*.").unwrap_or(part)) {
                return Err(format!("`{part}` is no name, address or network"));
            } else if let Some(suffix) = part.strip_prefix('*') {
                own.suffixes.push(suffix.to_ascii_lowercase());
            } else {
                own.names.push(part.to_ascii_lowercase());
            }
        }
        Ok(own)
    }
}

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    // What ends with a number is an address that does not parse.
    text.split('.').all(label) && !text.ends_with(|c: char| c.is_ascii_digit())
}

impl HostList {
    fn has(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.names.contains(&host) || self.suffixes.iter().any(|own| host.ends_with(own))
    }

    /// Whether the host of a URL is one of them, as it is written.
    pub(super) fn names(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => self.networks.iter().any(|net| net.contains(&address.to_canonical())),
            Err(_) => self.has(host),
        }
    }

    fn admits(&self, address: IpAddr) -> bool {
        !is_private(address)
            || self.networks.iter().any(|net| net.contains(&address.to_canonical()))
    }
}

/// A host that was not called. It does not say which address a name has: whoever asks may have
/// no other way to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// Its address is private.
    #[error(
        "its address is of a private network, and the definition does not write this host out; \
         the setting `private_hosts` can except it"
    )]
    Private,
    /// A rule of the definition, or of a policy, does not admit it.
    #[error("`egress` of the workflow or of a policy does not admit this host")]
    Egress,
}

/// Keeps connections off private addresses.
#[derive(Debug, Clone)]
pub(super) struct Guard(pub(super) Arc<HostList>);

impl Guard {
    /// Whether the host of a URL, if it is an address, may be called. Names are seen to as they
    /// are resolved.
    ///
    /// # Errors
    /// [`Denied::Private`] if it may not.
    pub(super) fn check(&self, url: &Url) -> Result<(), Denied> {
        let literal = url.host_str().map(|own| own.trim_matches(['[', ']']));
        match literal.and_then(|own| own.parse::<IpAddr>().ok()) {
            Some(address) if !self.0.admits(address) => Err(Denied::Private),
            _ => Ok(()),
        }
    }

    /// Those of a name's addresses that may be called.
    fn admitted(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Denied> {
        if self.0.has(host) {
            return Ok(found);
        }
        let is_known = !found.is_empty();
        let admitted: Vec<_> =
            found.into_iter().filter(|address| self.0.admits(address.ip())).collect();
        if is_known && admitted.is_empty() { Err(Denied::Private) } else { Ok(admitted) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let own = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted = own.admitted(name.as_str(), found)?;
            let addresses: Addrs = Box::new(admitted.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(exceptions: &str) -> Guard {
        let own = if exceptions.is_empty() { Ok(HostList::default()) } else { exceptions.parse() };
        Guard(Arc::new(own.expect("exceptions")))
    }

    #[test]
    fn every_way_to_write_a_private_address_is_seen_through() {
        let guard = guard("");
        for private in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "127。0。0。1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
            "[2002:7f00:1::]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[fec0::1]",
        ] {
            let url = Url::parse(&format!("http://{private}/x")).expect(private);
            assert!(guard.check(&url).is_err(), "{private}");
        }
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "192.167.255.255",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "localhost",
            "127.0.0.1.example",
        ] {
            let url = Url::parse(&format!("http://{public}/x")).expect(public);
            assert_eq!(guard.check(&url), Ok(()), "{public}");
        }
    }

    /// A name that is public when it is asked for first and private then is checked both times:
    /// each connection goes to an address that this has seen.
    #[test]
    fn of_a_names_addresses_only_the_public_ones_are_called() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (public, private) = (at("1.1.1.1:0"), at("10.0.0.1:0"));
        let of = |exceptions: &str, host: &str, found: &[SocketAddr]| {
            guard(exceptions).admitted(host, found.to_vec())
        };
        assert_eq!(of("", "a.example", &[private, public]), Ok(vec![public]));
        assert_eq!(of("", "a.example", &[private]), Err(Denied::Private));
        assert_eq!(of("", "a.example", &[]), Ok(vec![]), "there is no such host");
        for exceptions in ["A.example", "*.example", "b, 10.0.0.0/24", "10.0.0.1"] {
            assert_eq!(of(exceptions, "a.Example.", &[private]), Ok(vec![private]), "{exceptions}");
        }
        for exceptions in ["b.example", "*.a.example", "10.0.1.0/24"] {
            assert!(of(exceptions, "a.example", &[private]).is_err(), "{exceptions}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in ["", "a,", "*", "*.", "http://a", "a b", "10.0.0", "10.0.0.0/33", "a..b"] {
            assert!(wrong.parse::<HostList>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_not_resolved() {
        let name = || "localhost".parse::<Name>().expect("a name");
        let why = guard("").resolve(name()).await.err().expect("it is private");
        assert!(why.downcast_ref::<Denied>().is_some(), "{why}");
        assert!(guard("localhost").resolve(name()).await.is_ok());
    }
}

//! Which hosts the runs of a workflow may call, as their definition and policies have it.
//!
//! Hosts are told by what URLs say, not by the addresses that names have: that is for whoever
//! connects.

use core::net::IpAddr;

use serde_json::{Map, Value};

/// The most hosts of one list.
pub const HOSTS_MAX: usize = 64;
/// The longest name of a host.
pub const HOST_BYTES_MAX: usize = 253;

/// Hosts that may be called: all if none is named, and never one that is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// Those that may be; all if there is none.
    pub allow: Vec<HostPattern>,
    /// Those that may not be, whatever `allow` says.
    pub deny: Vec<HostPattern>,
}

/// A host, or all hosts below a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// A name, in lower case.
    Name(Box<str>),
    /// What names end with, the dot before it included: of `*.example` it is `.example`.
    Below(Box<str>),
    /// An address, as a URL may say it in place of a name.
    Address(IpAddr),
}

impl Egress {
    /// Whether a host may be called, as a URL says it.
    #[must_use]
    pub fn admits(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|own| own.to_canonical());
        let any = |list: &[HostPattern]| list.iter().any(|own| own.is(&host, address));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.deny)
    }

    /// As it is written.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let list = |own: &[HostPattern]| own.iter().map(HostPattern::to_string).collect::<Value>();
        let fields = [("allow", &self.allow), ("deny", &self.deny)];
        let given = fields.into_iter().filter(|(_, own)| !own.is_empty());
        Value::Object(given.map(|(name, own)| (name.to_owned(), list(own))).collect::<Map<_, _>>())
    }
}

impl HostPattern {
    /// Reads a name, `*.name` or an address.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let (name, below) = match text.strip_prefix('*') {
            Some(rest) => (rest.strip_prefix('.').unwrap_or_default(), true),
            None => (text.as_str(), false),
        };
        if !is_name(name) {
            let shown: String = text.chars().take(64).collect();
            return Err(format!(
                "a host is a name, `*.name` or an address, without scheme, port or path, not \
                 `{shown}`"
            ));
        }
        Ok(if below { Self::Below(text[1..].into()) } else { Self::Name(name.into()) })
    }

    fn is(&self, host: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::Name(own) => **own == *host,
            Self::Below(own) => host.ends_with(&**own),
            Self::Address(own) => address == Some(*own),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(own) => f.write_str(own),
            Self::Below(own) => write!(f, "*{own}"),
            Self::Address(own) => own.fmt(f),
        }
    }
}

/// Whether a text can be the name of a host; what ends with a number is an address that does not
/// parse.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(label)
        && !text.ends_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(allow: &[&str], deny: &[&str]) -> Egress {
        let read = |list: &[&str]| {
            list.iter().map(|own| HostPattern::parse(own).expect("a host")).collect()
        };
        Egress { allow: read(allow), deny: read(deny) }
    }

    #[test]
    fn a_host_is_admitted_if_it_is_named_and_not_denied() {
        let open = Egress::default();
        assert!(open.admits("anything.example"));
        let own = egress(&["pay.example", "*.Internal.example", "10.0.0.7", "[::1]"], &[]);
        for host in
            ["pay.example", "PAY.example.", "a.b.internal.example", "10.0.0.7", "[::1]", "::1"]
        {
            assert!(own.admits(host), "{host}");
        }
        for host in
            ["internal.example", "xpay.example", "pay.example.evil", "10.0.0.70", "[::2]", ""]
        {
            assert!(!own.admits(host), "{host}");
        }
        assert!(own.admits("[::ffff:10.0.0.7]"), "it is the same address");
        let denied = egress(&["*.example"], &["evil.example"]);
        assert!(denied.admits("good.example") && !denied.admits("evil.example"));
        assert_eq!(
            denied.to_value().to_string(),
            r#"{"allow":["*.example"],"deny":["evil.example"]}"#
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in
            ["", "*", "*.", "http://a", "a:80", "a/b", "a b", "10.0.0", "1.2.3.4/8", "a..b"]
        {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}

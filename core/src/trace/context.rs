//! `traceparent` and `tracestate`, as W3C Trace Context Level 1 has them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{SpanId, TraceId, hex};

/// A place in a trace; part of the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// Which trace.
    pub trace: TraceId,
    /// The span above; nothing at the trace's root.
    pub parent: Option<SpanId>,
    /// Whether it is recorded: where it is not, no span of it is exported.
    pub sampled: bool,
    /// What tracing systems on the way have noted: a `tracestate`, handed on as it is.
    pub state: Arc<str>,
}

/// The longest `tracestate` that is handed on, in bytes; entries that are too many are left out.
pub const STATE_BYTES_MAX: usize = 512;
/// The longest entry that stays where the whole is too long.
const LONG_ENTRY_BYTES: usize = 128;
/// The most entries of a `tracestate`.
const ENTRIES_MAX: usize = 32;

impl TraceContext {
    /// Reads both headers: each as often as it was given, in order. Nothing if `traceparent` is
    /// not one, for then its sender is ignored and a trace begun; a `tracestate` that is none is
    /// left out.
    #[must_use]
    pub fn read(traceparent: &[&str], tracestate: &[&str]) -> Option<Self> {
        let [traceparent] = traceparent else { return None };
        let (trace, parent, sampled) = read_parent(traceparent.trim_matches([' ', '\t']))?;
        let state = read_state(tracestate).unwrap_or_default().into();
        Some(Self { trace, parent: Some(parent), sampled, state })
    }

    /// The header `traceparent` for whoever is called; nothing at the trace's root.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let parent = self.parent?;
        Some(format!("00-{}-{parent}-{:02x}", self.trace, u8::from(self.sampled)))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.traceparent() {
            Some(own) => own.fmt(f),
            None => self.trace.fmt(f),
        }
    }
}

/// `version-trace-parent-flags`. Of a later version, what stands where version 00 has it counts,
/// and more may follow behind another hyphen.
fn read_parent(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let version = hex(text.get(..2)?, 2).filter(|own| *own != 0xff)?;
    let (known, rest) = (text.get(..55)?, text.get(55..)?);
    let ends =
        if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
    let parts: Vec<_> = known.split('-').collect();
    let [_, trace, parent, flags] = parts[..] else { return None };
    let flags = hex(flags, 2)?;
    let (trace, parent) = (trace.parse().ok()?, parent.parse().ok()?);
    ends.then_some((trace, parent, flags & 1 == 1))
}

/// The entries of all headers in order; nothing if one of them is malformed, comes twice, or they
/// are too many.
fn read_state(headers: &[&str]) -> Option<String> {
    let entries = headers.iter().flat_map(|header| header.split(','));
    let entries = entries.map(|own| own.trim_matches([' ', '\t'])).filter(|own| !own.is_empty());
    let mut kept: Vec<(&str, &str)> = Vec::new();
    for entry in entries {
        let (key, value) = entry.split_once('=')?;
        let again = kept.iter().any(|(own, _)| *own == key);
        if again || kept.len() == ENTRIES_MAX || !is_key(key) || !is_value(value) {
            return None;
        }
        kept.push((key, value));
    }
    let bytes = |kept: &[(&str, &str)]| -> usize {
        kept.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>().saturating_sub(1)
    };
    if bytes(&kept) > STATE_BYTES_MAX {
        kept.retain(|(key, value)| key.len() + value.len() < LONG_ENTRY_BYTES);
    }
    while bytes(&kept) > STATE_BYTES_MAX {
        kept.pop();
    }
    let texts: Vec<_> = kept.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Some(texts.join(","))
}

/// A name, or `tenant@system`.
fn is_key(key: &str) -> bool {
    let part = |text: &str, begins: fn(u8) -> bool, bytes_max: usize| {
        let others = |own: u8| matches!(own, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
        let first = text.bytes().next().is_some_and(begins);
        first && text.len() <= bytes_max && text.bytes().all(others)
    };
    let (letter, either) = (
        |own: u8| own.is_ascii_lowercase(),
        |own: u8| own.is_ascii_lowercase() || own.is_ascii_digit(),
    );
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, either, 241) && part(system, letter, 14),
        None => part(key, letter, 256),
    }
}

/// Printable ASCII without `,` and `=`; spaces at its end are gone already.
fn is_value(value: &str) -> bool {
    let printable = |own: u8| matches!(own, b' '..=b'~') && own != b',' && own != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parent(text: &str) -> Option<TraceContext> {
        TraceContext::read(&[text], &[])
    }

    fn state(headers: &[&str]) -> String {
        let whole = format!("00-{TRACE}-{SPAN}-01");
        TraceContext::read(&[&whole], headers).expect("it is one").state.to_string()
    }

    #[test]
    fn a_traceparent_reads_and_prints() {
        let whole = format!("00-{TRACE}-{SPAN}-01");
        let read = parent(&whole).expect("it is one");
        assert_eq!((read.trace.to_string().as_str(), read.sampled), (TRACE, true));
        assert_eq!(read.parent.map(|own| own.to_string()).as_deref(), Some(SPAN));
        assert_eq!(read.traceparent(), Some(whole.clone()));
        assert_eq!(parent(&format!(" {whole}\t")), Some(read));
    }

    #[test]
    fn of_the_flags_only_what_version_00_knows_counts() {
        let sampled =
            |flags: &str| parent(&format!("00-{TRACE}-{SPAN}-{flags}")).map(|own| own.sampled);
        assert_eq!(["00", "01", "02", "ff"].map(sampled), [false, true, false, true].map(Some));
        let other = parent(&format!("00-{TRACE}-{SPAN}-fe")).expect("it is one");
        assert!(other.traceparent().is_some_and(|own| own.ends_with("-00")));
    }

    #[test]
    fn later_versions_count_as_far_as_they_are_known() {
        for later in ["cc", "01", "fe"] {
            let begins = format!("{later}-{TRACE}-{SPAN}-01");
            for whole in [begins.clone(), format!("{begins}-"), format!("{begins}-what comes")] {
                let read = parent(&whole).expect("it is one");
                assert_eq!(read.traceparent(), Some(format!("00-{TRACE}-{SPAN}-01")), "{whole}");
            }
            assert_eq!(parent(&format!("{begins}.what")), None);
        }
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let zero = "0".repeat(32);
        for bad in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("FE-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-{SPAN}-0é"),
            format!("00-{}é-{SPAN}-01", &TRACE[2..]),
        ] {
            assert_eq!(parent(&bad), None, "{bad}");
        }
        let whole = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(TraceContext::read(&[], &[]), None);
        assert_eq!(TraceContext::read(&[&whole, &whole], &[]), None, "which of them?");
    }

    #[test]
    fn a_tracestate_is_handed_on_whole_and_in_order() {
        assert_eq!(state(&["b=2, a=1 ,,\t,0x@sys= x y!"]), "b=2,a=1,0x@sys= x y!");
        assert_eq!(state(&["b=2", "a=1"]), "b=2,a=1");
        let many: Vec<_> = (0..32).map(|at| format!("k{at}=v")).collect();
        assert_eq!(state(&[&many.join(",")]), many.join(","));
    }

    #[test]
    fn a_tracestate_that_is_none_is_left_out() {
        let many: Vec<_> = (0..33).map(|at| format!("k{at}=v")).collect();
        let long = format!("a={}", "x".repeat(257));
        let key = format!("{}=1", "a".repeat(257));
        let all = many.join(",");
        for bad in [
            "a",
            "a=",
            "=1",
            "A=1",
            "a b=1",
            "0a=1",
            "a=1=2",
            "a=ä",
            "a=\u{1}",
            "a=1,a=2",
            "@s=1",
            "a@=1",
            "a@0=1",
            "a@s@t=1",
            "a@systemsystemsys=1",
            &all,
            &long,
            &key,
        ] {
            assert_eq!(state(&[bad]), "", "{bad}");
        }
    }

    #[test]
    fn of_a_long_tracestate_long_entries_go_first_and_then_the_last() {
        let entry =
            |key: &str, bytes: usize| format!("{key}={}", "x".repeat(bytes - key.len() - 1));
        let (short, long) = (|key: &str| entry(key, 128), entry("long", 129));
        let fitting = [short("a"), short("b"), short("c")].join(",");
        let given = [long.clone(), fitting.clone(), short("d"), short("e")].join(",");
        assert_eq!(state(&[&given]), fitting, "four of 128 with three commas are 515 bytes");
        let kept = [long, fitting.clone()].join(",");
        assert_eq!(state(&[&kept]), fitting);
    }
}

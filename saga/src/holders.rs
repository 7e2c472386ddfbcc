//! Who holds what all tenants of a node share, as one of them is told: its own by name, those of
//! others by their number and since when.

use backstitch_core::time::Timestamp;

/// Something that is held, for people.
pub trait Holder {
    /// The tenant that holds it.
    fn namespace(&self) -> &str;

    /// Since when; unknown while it is about to be.
    fn since(&self) -> Option<Timestamp>;
}

/// Holders as a tenant is told of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders<T> {
    /// The first of the tenant's own.
    pub named: Vec<T>,
    /// How many more of its own there are.
    pub more: usize,
    /// How many others hold.
    pub others: usize,
    /// Since when the first of those does.
    pub others_since: Option<Timestamp>,
}

impl<T: Holder> Holders<T> {
    /// What a tenant is told of all, with the first of its own named, in the order they come in.
    pub fn of(namespace: &str, all: impl IntoIterator<Item = T>, most: usize) -> Self {
        let mut own = Self { named: Vec::new(), more: 0, others: 0, others_since: None };
        for holder in all {
            if *holder.namespace() != *namespace {
                own.others += 1;
                let known = own.others_since.into_iter();
                own.others_since = known.chain(holder.since()).min();
            } else if own.named.len() < most {
                own.named.push(holder);
            } else {
                own.more += 1;
            }
        }
        own
    }

    /// A part of a sentence; nothing if nobody holds any.
    pub(crate) fn sentence(&self, word: &str, name: impl Fn(&T) -> String) -> String {
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let mut parts = Vec::new();
        if !self.named.is_empty() {
            let named: Vec<_> = self.named.iter().map(name).collect();
            parts.push(format!("{}{more}", named.join(", ")));
        }
        if self.others > 0 {
            let since = self.others_since.map(|at| format!(" since {at}")).unwrap_or_default();
            parts.push(format!("{} of other namespaces{since}", self.others));
        }
        match parts.is_empty() {
            true => String::new(),
            false => format!("{word}{}", parts.join(", and ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Own(&'static str, i64);

    impl Holder for Own {
        fn namespace(&self) -> &str {
            self.0
        }

        fn since(&self) -> Option<Timestamp> {
            (self.1 > 0).then_some(Timestamp(self.1))
        }
    }

    #[test]
    fn others_are_counted_and_not_named() {
        let all = || [Own("a", 3), Own("b", 0), Own("b", 2_000_000), Own("a", 4), Own("b", 9)];
        let said = |namespace: &str| {
            Holders::of(namespace, all(), 1).sentence(", held by ", |own| own.1.to_string())
        };
        assert_eq!(
            said("a"),
            ", held by 3 and 1 more, and 3 of other namespaces since 1970-01-01T00:00:00.000009Z"
        );
        assert_eq!(said("c"), ", held by 5 of other namespaces since 1970-01-01T00:00:00.000003Z");
        let nobody = Holders::of("a", Vec::<Own>::new(), 1);
        assert_eq!(nobody.sentence(", held by ", |_| String::new()), "");
    }
}

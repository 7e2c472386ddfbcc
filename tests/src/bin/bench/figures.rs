//! What was measured, over its repeats, and what a figure says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// One repeat of one case.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answers in the window, a second.
    pub per_second: f64,
    /// Half of the answers took no longer.
    pub p50_us: f64,
    /// Ninety-nine of a hundred took no longer.
    pub p99_us: f64,
    /// Answers inside the window.
    pub counted: u64,
    /// Answers of the whole loop, warm-up and last ones included: what costs are shared by.
    pub total: u64,
    /// What else was measured, by name with unit.
    pub extra: BTreeMap<&'static str, f64>,
}

impl Measured {
    /// From the time each answer of the window took.
    pub fn of(mut took_us: Vec<u32>, total: u64, window: Duration) -> Self {
        took_us.sort_unstable();
        let at = |share: usize| {
            let last = took_us.len().saturating_sub(1);
            let value = took_us.get((took_us.len() * share / 100).min(last));
            value.map_or(0.0, |&us| f64::from(us))
        };
        let counted = took_us.len() as u64;
        Self {
            per_second: counted as f64 / window.as_secs_f64(),
            p50_us: at(50),
            p99_us: at(99),
            counted,
            total,
            extra: BTreeMap::new(),
        }
    }

    /// Adds what the whole loop used, shared among its answers.
    pub fn each(&mut self, name: &'static str, used: f64) {
        self.extra.insert(name, used / (self.total.max(1) as f64));
    }
}

/// Median, smallest and largest of the repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self { median: 0.0, min: 0.0, max: 0.0 };
        };
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Self { median, min, max }
    }
}

/// What a case is, beside its numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Case {
    /// Which file and which part of the table.
    pub group: &'static str,
    /// What is done.
    pub case: String,
    /// How many ask at once.
    pub concurrency: usize,
    /// What is counted: `syncs`, `requests`, `events`, `runs`.
    pub unit: &'static str,
}

/// One line: a case over its repeats.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    #[serde(flatten)]
    pub case: Case,
    /// Units a second.
    pub per_second: Spread,
    pub p50_us: Spread,
    pub p99_us: Spread,
    /// Answers counted in all repeats.
    pub counted: u64,
    pub repeats: usize,
    /// What else was measured, by name with unit.
    #[serde(flatten)]
    pub extra: BTreeMap<&'static str, Spread>,
    /// This figure divided by what the floors of the same run allow: 1 is as good as it gets.
    pub of_floor: BTreeMap<&'static str, f64>,
}

/// Every case in order of its first measurement.
#[derive(Debug, Default)]
pub struct Cases(Vec<(Case, Vec<Measured>)>);

impl Cases {
    /// Adds a repeat.
    pub fn add(&mut self, case: Case, measured: Measured) {
        match self.0.iter_mut().find(|(known, _)| *known == case) {
            Some((_, repeats)) => repeats.push(measured),
            None => self.0.push((case, vec![measured])),
        }
    }

    /// Medians and spreads, without their floors.
    pub fn figures(self) -> Vec<Figure> {
        self.0.into_iter().map(|(case, repeats)| figure(case, &repeats)).collect()
    }
}

fn figure(case: Case, repeats: &[Measured]) -> Figure {
    let spread = |value: &dyn Fn(&Measured) -> f64| Spread::of(repeats.iter().map(value).collect());
    let names: Vec<_> = repeats.first().map_or(Vec::new(), |one| one.extra.keys().collect());
    let extra = names
        .into_iter()
        .map(|name| (*name, spread(&|one: &Measured| one.extra.get(name).copied().unwrap_or(0.0))));
    Figure {
        per_second: spread(&|one| one.per_second),
        p50_us: spread(&|one| one.p50_us),
        p99_us: spread(&|one| one.p99_us),
        counted: repeats.iter().map(|one| one.counted).sum(),
        repeats: repeats.len(),
        extra: extra.collect(),
        of_floor: BTreeMap::new(),
        case,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_medians() {
        let measured = Measured::of((1..=200).rev().collect(), 300, Duration::from_secs(2));
        assert_eq!((measured.p50_us, measured.p99_us, measured.per_second), (101.0, 199.0, 100.0));
        assert_eq!(Measured::of(Vec::new(), 0, Duration::from_secs(1)).p99_us, 0.0);
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![3.0, 1.0]).median, 2.0);
    }
}

//! Folding one run's records, one after the other, with production code.
//!
//! What does not fold is set aside with its reason, as the engine does; a panic in the fold
//! counts as that.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::ExecutionId;
use backstitch_core::machine::replay_more;
use backstitch_core::state::State;
use backstitch_journal::Record;

use super::definitions::Definitions;

/// A run as far as its records were folded.
#[derive(Debug)]
pub enum Fold {
    /// Nothing was folded yet.
    Empty,
    /// They add up to a state.
    Whole(Box<State>),
    /// One does not fit; later ones change nothing.
    Broken {
        /// What does not fit.
        why: String,
    },
}

impl Fold {
    /// Folds a run's first records.
    pub fn of(run: ExecutionId, records: &[Record], definitions: &mut Definitions) -> Self {
        let mut fold = Self::Empty;
        for record in records {
            fold.push(run, record, definitions);
        }
        fold
    }

    /// Folds the next record.
    pub fn push(&mut self, run: ExecutionId, record: &Record, definitions: &mut Definitions) {
        let next = match self {
            Self::Broken { .. } => return,
            Self::Empty => guarded(|| begin(run, record, definitions)).map(Some),
            Self::Whole(state) => guarded(|| follow(state, record, definitions)).map(|()| None),
        };
        match next {
            Ok(Some(state)) => *self = Self::Whole(Box::new(state)),
            Ok(None) => {}
            Err(why) => *self = Self::Broken { why },
        }
    }
}

fn begin(
    run: ExecutionId,
    record: &Record,
    definitions: &mut Definitions,
) -> Result<State, String> {
    if record.version != 1 {
        return Err(format!("its history begins with version {}", record.version));
    }
    let Event::Run(RunEvent::Submitted(submitted)) = &record.event else {
        return Err("its history does not begin with its submission".to_owned());
    };
    let plan = definitions.plan(&submitted.digest)?;
    Ok(State::begin(run, plan, submitted.clone(), record.recorded_at))
}

fn follow(state: &mut State, record: &Record, definitions: &Definitions) -> Result<(), String> {
    if record.version != state.version + 1 {
        return Err(format!("version {} follows version {}", record.version, state.version));
    }
    let Event::Run(_) = &record.event else {
        return Err(format!("version {} is not an event of a run", record.version));
    };
    let event = (&record.event, record.recorded_at);
    replay_more(state, definitions, [event]).map_err(|illegal| illegal.to_string())
}

fn guarded<R>(work: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("the fold failed: {}", panic_message(panic.as_ref()))))
}

/// What a panic said.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

//! What is told of a dead letter beyond its run's state: which ones are alike, and what every
//! attempt came to.
//!
//! Pure functions of a state or its events. Knows nothing of lists, and of nobody who acts.

mod attempts;
mod counts;
mod edit;
mod fate;
mod fingerprint;
mod groups;
mod normal;

pub use attempts::{ATTEMPTS_TOLD_MAX, attempts_json};
pub use counts::LetterCounts;
pub use edit::InputEdit;
pub use fate::{Fate, fate, fate_of_run};
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use groups::{LetterCause, LetterGroup, groups};
pub use normal::{NORMAL_BYTES_MAX, normal};

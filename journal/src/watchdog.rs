//! Ending the process when a call into the store never returns.
//!
//! Knows nothing of the call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, OnceLock};
use std::time::{Duration, Instant};

use crate::locks::lock;

/// A call that takes longer will not come back.
const CALL_SECONDS_MAX: u64 = 30;
/// How often the calls under way are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

static WATCHED: Watched = Watched { calls: Mutex::new(Calls::new()), watching: Once::new() };
/// Who says why the process ends, if it is not said on stderr.
static LAST_WORDS: OnceLock<fn(&str)> = OnceLock::new();

/// Has the program say why a call that never returns ends it. The first one counts.
pub fn last_words_by(say: fn(&str)) {
    LAST_WORDS.get_or_init(|| say);
}

/// All calls under way in this process, and whether somebody looks at them.
struct Watched {
    calls: Mutex<Calls>,
    watching: Once,
}

struct Calls {
    next: u64,
    /// By number, so in the order in which they began.
    under_way: BTreeMap<u64, Call>,
}

struct Call {
    began: Instant,
    path: PathBuf,
}

impl Calls {
    const fn new() -> Self {
        Self { next: 0, under_way: BTreeMap::new() }
    }

    fn begin(&mut self, path: &Path) -> u64 {
        let number = self.next;
        self.next += 1;
        self.under_way.insert(number, Call { began: Instant::now(), path: path.to_owned() });
        number
    }

    /// The store whose call has taken too long.
    fn stuck(&self) -> Option<&Path> {
        let oldest = self.under_way.first_key_value()?.1;
        (oldest.began.elapsed().as_secs() >= CALL_SECONDS_MAX).then_some(&oldest.path)
    }
}

/// A call under way, until it is dropped.
struct UnderWay(u64);

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&WATCHED.calls).under_way.remove(&self.0);
    }
}

/// Ends the process if a call does not return. After a failed write sled's flush may wait for
/// ever; and its threads may all wait for a lock that is held until one of them does something
/// else. Everything that waits for the store would wait with them.
pub(crate) fn under_watchdog<T>(path: &Path, call: impl FnOnce() -> T) -> T {
    WATCHED.watching.call_once(|| drop(std::thread::spawn(watch)));
    let _under_way = UnderWay(lock(&WATCHED.calls).begin(path));
    call()
}

fn watch() {
    loop {
        std::thread::sleep(LOOK_EVERY);
        if let Some(path) = lock(&WATCHED.calls).stuck() {
            let words = format!(
                "the store {} did not finish a call in {CALL_SECONDS_MAX} s; the process ends, \
                 the log is whole and the next start heals the store",
                path.display()
            );
            match LAST_WORDS.get() {
                Some(say) => say(&words),
                None => eprintln!("backstitch: {words}"),
            }
            std::process::abort();
        }
    }
}

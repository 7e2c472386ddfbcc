//! Work that async workers hand to threads that may wait.

use std::num::NonZero;
use std::sync::LazyLock;

use tokio::sync::Semaphore;

use crate::error::Error;

/// Reads that go on at a time.
const READS_PER_PROCESSOR: usize = 2;

/// Turns of reads. More of them than processors can do would wait for each other only, partitions
/// would get less, and each thread that is begun for them keeps memory of its own.
static READS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Semaphore::new(READS_PER_PROCESSOR * processors)
});

/// Does what may take as long as it likes.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)
}

/// Does what is read for one answer, when its turn comes.
pub(crate) async fn reading<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Error> {
    let turn = READS.acquire().await.map_err(|_| Error::Stopped)?;
    let done = blocking(move || (work(), turn)).await;
    done.map(|(read, _)| read)
}

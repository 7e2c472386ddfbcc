//! Changes that are carried out to their end: what is durable of one counts at once, whether or not
//! whoever asked for it still waits.

use super::Handle;
use crate::error::Error;

impl Handle {
    /// Has a change go on when whoever asked for it goes away.
    ///
    /// # Errors
    /// As the change; [`Error::Stopped`] when the node ends before it.
    pub(crate) async fn to_its_end<T, C>(&self, change: impl FnOnce(Self) -> C) -> Result<T, Error>
    where
        T: Send + 'static,
        C: Future<Output = Result<T, Error>> + Send + 'static,
    {
        tokio::spawn(change(self.clone())).await.map_err(|_| Error::Stopped)?
    }
}

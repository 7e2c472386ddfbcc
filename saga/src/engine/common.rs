//! What all partitions of a node take from, each with a seat of its own, and what holds for all.

use crate::breakers::Breakers;
use crate::driver::Flights;
use crate::hold::Hold;
use crate::keys::Keys;
use crate::slots::Slots;
use crate::turns::Pool;
use crate::webhooks::Signer;

/// What all partitions of a node share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) pool: Pool,
    pub(crate) slots: Slots,
    pub(crate) keys: Keys,
    pub(crate) breakers: Breakers,
    /// What holds the turns of the pool.
    pub(crate) flights: Flights,
    /// Whether runs may be submitted with faults.
    pub(crate) faults: bool,
    /// Where the node is held up.
    pub(crate) hold: Hold,
    /// Signs callbacks.
    pub(crate) signer: Signer,
}

//! Breakers as an operator sees them, and what an operator has them do.

use std::sync::Arc;

use backstitch_core::event::{BreakerOrder, PartitionEvent};
use backstitch_core::partition::{BREAKERS_SET_MAX, BREAKERS_SET_PER_NAMESPACE_MAX};

use super::Handle;
use crate::breakers::{Breakers, CircuitShown, Forced, Name};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;

impl Handle {
    /// The circuits of this node.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.shared.limits.breakers
    }

    /// Has a breaker do something: recorded first, so that a start finds it so. Answers how it
    /// stands then. One that nobody has called yet is made.
    ///
    /// # Errors
    /// [`Error::TooManyBreakers`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn order_breaker(
        &self,
        name: Name,
        order: BreakerOrder,
        said: (String, String),
    ) -> Result<Option<CircuitShown>, Error> {
        self.to_its_end(move |handle| async move { handle.set_breaker(name, order, said).await })
            .await
    }

    async fn set_breaker(
        &self,
        name: Name,
        order: BreakerOrder,
        (reason, actor): (String, String),
    ) -> Result<Option<CircuitShown>, Error> {
        let _one_at_a_time = self.shared.ordering.lock().await;
        let breakers = self.breakers();
        let forces = matches!(order, BreakerOrder::Open | BreakerOrder::Close);
        let known = breakers.find(&name, clock::now()).is_some_and(|own| own.forced.is_some());
        let all = (breakers.forced(), BREAKERS_SET_MAX);
        let own = (breakers.forced_in(&name.0), BREAKERS_SET_PER_NAMESPACE_MAX);
        let full = [own, all].into_iter().find(|(forced, max)| forced >= max);
        if let Some((_, max)) = full.filter(|_| forces && !known) {
            return Err(Error::TooManyBreakers { max });
        }
        let (namespace, key): (Arc<str>, Arc<str>) = name.clone();
        let set = PartitionEvent::BreakerSet { namespace, key, order, reason, actor };
        self.record(WORKFLOWS_PARTITION, set).await?;
        let now = clock::now();
        match order {
            BreakerOrder::Open => breakers.force(&name, Some(Forced::Open), now),
            BreakerOrder::Close => breakers.force(&name, Some(Forced::Closed), now),
            BreakerOrder::Release => breakers.force(&name, None, now),
            BreakerOrder::Reset => breakers.reset(&name, now),
        }
        Ok(breakers.find(&name, now))
    }
}

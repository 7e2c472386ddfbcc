//! Definitions that are durable become usable.

use crate::catalog::{Catalog, Revision};
use crate::partition::{Answer, Definition};

/// Takes a durable definition into the catalog, as far as its answer says that it is new.
pub(super) fn publish(catalog: &Catalog, definition: &Definition, answer: &Answer) {
    let revision = match answer {
        Answer::Defined { revision, .. } => revision,
        Answer::Kept => {
            if let Some(own) = &definition.adaptation {
                catalog.adapt(definition.plan.digest, own.clone());
            }
            return catalog.keep(definition.plan.clone(), definition.text.clone());
        }
        _ => return,
    };
    let revision = Revision {
        number: *revision,
        plan: definition.plan.clone(),
        text: definition.text.clone(),
        defined_at: definition.defined_at,
        actor: definition.actor.clone(),
    };
    let name = (definition.namespace.clone(), definition.workflow.clone());
    if let Some(source) = &definition.source {
        catalog.keep_source(name.clone(), definition.plan.digest, source.clone());
    }
    catalog.add(name, revision);
}

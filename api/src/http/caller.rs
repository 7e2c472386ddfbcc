//! Who asks: what a handler gets beside its request.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::App;
use super::refusal::Refusal;

/// Who somebody is, and where.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// What changes are recorded as done by.
    pub(super) actor: Arc<str>,
    /// Tenant.
    pub(super) namespace: Arc<str>,
}

/// The application, as whoever sent the request sees it. Only routes declared in
/// [`Routes`](super::routes::Routes) have one: their guard puts it there.
#[derive(Clone)]
pub(super) struct Caller {
    app: App,
    identity: Identity,
}

impl Caller {
    pub(super) fn new(app: App, identity: Identity) -> Self {
        Self { app, identity }
    }

    /// Who what is done is recorded as done by.
    pub(super) fn actor(&self) -> String {
        self.identity.actor.to_string()
    }

    /// The tenant that the caller belongs to.
    pub(super) fn namespace(&self) -> &Arc<str> {
        &self.identity.namespace
    }
}

impl Deref for Caller {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Refusal::new(super::codes::INTERNAL, "the route has no guard, so nobody may use it")
        })
    }
}

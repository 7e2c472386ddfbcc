//! Who asks: what a handler gets beside its request.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use backstitch_core::access::{Permission, Permissions};
use backstitch_core::api_keys::ApiKey;
use backstitch_core::audit::Mark;
use backstitch_core::ids::{DEFAULT_NAMESPACE, ExecutionId};
use backstitch_saga::Handle;
use backstitch_saga::handle::{Accepted, Request};

use super::refusal::Refusal;
use super::request_id::{ActedBy, REQUEST_ID};
use super::routes::Route;
use super::{App, gate};

/// Who somebody is, where, and what they may do.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// What changes are recorded as done by.
    pub(super) actor: Arc<str>,
    /// Tenant.
    pub(super) namespace: Arc<str>,
    /// What they may do.
    pub(super) permissions: Permissions,
    /// The API key by which they prove it, if it is one of the journal.
    pub(super) key: Option<Arc<ApiKey>>,
}

/// The application, as whoever sent the request sees it. Only routes declared in
/// [`Routes`](super::routes::Routes) have one: their guard puts it there.
#[derive(Clone)]
pub(super) struct Caller {
    app: App,
    identity: Identity,
    route: Arc<Route>,
    /// The run that this request began, if it began one.
    begun: Arc<Mutex<Option<ExecutionId>>>,
    request_id: Option<HeaderValue>,
    on_behalf_of: Option<Arc<str>>,
    /// The engine as this request uses it, once it did.
    engine: OnceLock<Handle>,
}

impl Caller {
    pub(super) fn new(app: App, identity: Identity, route: Arc<Route>) -> Self {
        let (request_id, on_behalf_of, engine) = (None, None, OnceLock::new());
        let begun = Arc::default();
        Self { app, identity, route, begun, request_id, on_behalf_of, engine }
    }

    /// With what the request says of itself.
    pub(super) fn sent_with(self, headers: &HeaderMap) -> Self {
        let request_id = headers.get(&REQUEST_ID).cloned();
        let on_behalf_of = gate::on_behalf_of(&self.app, headers);
        Self { request_id, on_behalf_of, ..self }
    }

    /// Who acts, for whom, and about which run: the one that the request began, or that it names.
    pub(super) fn acted_by(&self, named: Option<String>) -> ActedBy {
        let (actor, on_behalf_of) = (self.identity.actor.clone(), self.on_behalf_of.clone());
        let execution = self.begun().map(|own| own.to_string()).or(named);
        ActedBy { actor, on_behalf_of, execution }
    }

    /// The engine: what is done through it is recorded as this request's, where the audit shows it.
    ///
    /// # Errors
    /// 503 while it is being opened.
    pub(super) fn engine(&self) -> Result<&Handle, Refusal> {
        let engine = self.app.engine()?;
        Ok(self.engine.get_or_init(|| {
            let id = self.request_id.as_ref().and_then(|id| id.to_str().ok());
            let mark = id.map(|id| Mark::new(id, self.on_behalf_of.as_deref()));
            mark.map_or_else(|| engine.clone(), |mark| engine.marked(mark))
        }))
    }

    /// Who what is done is recorded as done by.
    pub(super) fn actor(&self) -> String {
        self.identity.actor.to_string()
    }

    /// Begins a run.
    ///
    /// # Errors
    /// As [`Handle::submit`](backstitch_saga::Handle::submit), and 503 while the server starts.
    pub(super) async fn submit(&self, request: Request) -> Result<Accepted, Refusal> {
        let accepted = self.engine()?.submit(request).await?;
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted.execution);
        Ok(accepted)
    }

    /// The run that the request began, if it began one.
    fn begun(&self) -> Option<ExecutionId> {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks again who the headers of the caller's request say that it is, and whether they may still use
    /// its route.
    ///
    /// # Errors
    /// As [`gate::identify`] and [`gate::admit`].
    pub(super) async fn again(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let again = gate::identify(&self.app, &self.route, headers).await?;
        gate::admit(&again, &self.route, None).await
    }

    /// The path of the route, with its parameters in braces.
    pub(super) fn path(&self) -> &'static str {
        self.route.path
    }

    /// The tenant that the caller belongs to.
    pub(super) fn namespace(&self) -> &Arc<str> {
        &self.identity.namespace
    }

    /// What the caller may do.
    pub(super) fn permissions(&self) -> &Permissions {
        &self.identity.permissions
    }

    /// The API key by which the caller proves who they are.
    pub(super) fn key(&self) -> Option<&ApiKey> {
        self.identity.key.as_deref()
    }

    /// Whether the caller has a permission, where they act.
    pub(super) fn has(&self, permission: Permission) -> bool {
        let here = !permission.is_of_the_store() || **self.namespace() == *DEFAULT_NAMESPACE;
        here && self.permissions().allow(permission)
    }

    /// Whether the caller has a further permission of the route, for a part of an answer.
    ///
    /// # Panics
    /// If the route does not declare it: what a handler asks for stands in the table.
    pub(super) fn may(&self, permission: Permission) -> bool {
        let declared = self.route.further.iter().any(|own| own.permission == permission);
        assert!(declared, "{} does not declare {}", self.route.path, permission.word());
        self.has(permission)
    }

    /// Fails unless the caller has a further permission of the route.
    ///
    /// # Errors
    /// 403.
    ///
    /// # Panics
    /// As [`Caller::may`].
    pub(super) fn needs(&self, permission: Permission) -> Result<(), Refusal> {
        if self.may(permission) { Ok(()) } else { Err(gate::lacking(self, permission)) }
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

//! How a route is declared: its method, path and handler, and who may use it. The router and the
//! table of all routes are made of the same declarations, so that neither can lack one.
//!
//! What else is said of a route, for OpenAPI, is in `api/openapi`: see [`super::reference`].

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use backstitch_core::access::Permission;
use backstitch_core::ids::ExecutionId;

use super::caller::Caller;
use super::rates::Peer;
use super::refusal::Refusal;
use super::{App, gate, query};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token: for what says that the server lives, and nothing about its work.
    Open,
    /// Whoever has the permission.
    Needs(Permission),
}

impl From<Permission> for Access {
    fn from(permission: Permission) -> Self {
        Self::Needs(permission)
    }
}

/// A further permission that some requests of a route need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Further {
    /// Which.
    pub permission: Permission,
    /// For what, as the table of permissions prints it.
    pub what_for: &'static str,
}

/// What is said of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What its handler asks for beside that: it can ask for nothing else.
    pub further: Vec<Further>,
    /// Whether its handler reads the query; it takes none otherwise.
    pub takes_query: bool,
}

/// Routes with their handlers.
#[derive(Default)]
pub(super) struct Routes {
    declared: Vec<(Route, MethodRouter<App>)>,
    take_queries: bool,
}

impl Routes {
    /// No routes yet; those added take no query.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// No routes yet; handlers of those added read their query.
    pub(super) fn with_queries() -> Self {
        Self { take_queries: true, ..Self::default() }
    }

    pub(super) fn get<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        access: impl Into<Access>,
        handler: H,
    ) -> Self {
        self.add(("GET", MethodFilter::GET), path, access.into(), handler)
    }

    /// A list: its handler reads which part of it is asked for.
    pub(super) fn list<H: Handler<T, App>, T: 'static>(
        mut self,
        path: &'static str,
        access: impl Into<Access>,
        handler: H,
    ) -> Self {
        self = self.get(path, access, handler);
        self.declared.iter_mut().next_back().expect("it was just added").0.takes_query = true;
        self
    }

    pub(super) fn post<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        access: impl Into<Access>,
        handler: H,
    ) -> Self {
        self.add(("POST", MethodFilter::POST), path, access.into(), handler)
    }

    pub(super) fn put<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        access: impl Into<Access>,
        handler: H,
    ) -> Self {
        self.add(("PUT", MethodFilter::PUT), path, access.into(), handler)
    }

    pub(super) fn patch<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        access: impl Into<Access>,
        handler: H,
    ) -> Self {
        self.add(("PATCH", MethodFilter::PATCH), path, access.into(), handler)
    }

    pub(super) fn delete<H: Handler<T, App>, T: 'static>(
        self,
        path: &'static str,
        access: impl Into<Access>,
        handler: H,
    ) -> Self {
        self.add(("DELETE", MethodFilter::DELETE), path, access.into(), handler)
    }

    fn add<H: Handler<T, App>, T: 'static>(
        mut self,
        (method, filter): (&'static str, MethodFilter),
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Self {
        let takes_query = self.take_queries;
        let route = Route { method, path, access, further: Vec::new(), takes_query };
        self.declared.push((route, on(filter, handler)));
        self
    }

    /// The route declared last asks some requests for a further permission.
    pub(super) fn further(mut self, permission: Permission, what_for: &'static str) -> Self {
        let (route, _) = self.declared.last_mut().expect("a route was declared before");
        route.further.push(Further { permission, what_for });
        self
    }

    /// These and others.
    pub(super) fn merge(mut self, others: Self) -> Self {
        self.declared.extend(others.declared);
        self
    }

    /// What is said of each.
    pub(super) fn table(&self) -> Vec<Route> {
        self.declared.iter().map(|(route, _)| route.clone()).collect()
    }

    /// The router, with the guard in front of every handler.
    pub(super) fn into_router(mut self, app: &App) -> Router<App> {
        let mut router = Router::new();
        // `Allow` names a path's methods in the order in which they are added.
        self.declared.sort_by_key(|(route, _)| route.method);
        for (route, mut handler) in self.declared {
            if !route.takes_query {
                handler = handler.route_layer(from_fn(query::take_none));
            }
            let path = route.path;
            let guarded = from_fn_with_state((app.clone(), Arc::new(route)), guard);
            router = router.route(path, handler.route_layer(guarded));
        }
        router
    }
}

/// Who sent a request, once neither they nor their address ask too often.
async fn arrived(
    app: &App,
    route: &Arc<Route>,
    peer: Option<Peer>,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    app.in_force().rates.count_address(peer)?;
    let caller = gate::identify(app, route, headers).await?;
    if app.gate().is_required() {
        app.in_force().rates.count_caller(caller.namespace(), caller.actor())?;
    }
    Ok(caller)
}

/// Lets a request through to its handler, with who sent it, or refuses it.
async fn guard(
    State((app, route)): State<(App, Arc<Route>)>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    if route.access == Access::Open {
        return next.run(request).await;
    }
    let peer = request.extensions().get().copied();
    let caller = match arrived(&app, &route, peer, request.headers()).await {
        Ok(caller) => caller.sent_with(request.headers()),
        Err(refusal) => return refusal.into_response(),
    };
    // A path that can't be decoded is refused by its handler.
    let parameters = parameters.ok();
    let named = parameters.as_ref().and_then(execution_of);
    let mut response = match gate::admit(&caller, &route, parameters.as_ref()).await {
        Ok(()) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    };
    response.extensions_mut().insert(caller.acted_by(named));
    response
}

/// The run that a path names, by its id.
fn execution_of(parameters: &RawPathParams) -> Option<String> {
    let is_run = |text: &&str| text.parse::<ExecutionId>().is_ok();
    parameters.iter().map(|(_, value)| value).find(is_run).map(str::to_owned)
}

//! How a route is declared: its method, path and handler, and who may use it. The router and the
//! table of all routes are made of the same declarations, so that neither can lack one.
//!
//! Whatever else is to be said of a route (its description for OpenAPI) belongs to [`Route`].

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use backstitch_core::access::Permission;

use super::request_id::ActedBy;
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

/// What is said of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
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
        let route = Route { method, path, access, takes_query: self.take_queries };
        self.declared.push((route, on(filter, handler)));
        self
    }

    /// These and others.
    pub(super) fn merge(mut self, others: Self) -> Self {
        self.declared.extend(others.declared);
        self
    }

    /// What is said of each.
    pub(super) fn table(&self) -> Vec<Route> {
        self.declared.iter().map(|(route, _)| *route).collect()
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
            let guarded = from_fn_with_state((app.clone(), route.access), guard);
            router = router.route(route.path, handler.route_layer(guarded));
        }
        router
    }
}

/// Lets a request through to its handler, with who sent it, or refuses it.
async fn guard(
    State((app, access)): State<(App, Access)>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let Access::Needs(permission) = access else { return next.run(request).await };
    // A path that can't be decoded is refused by its handler.
    let parameters = parameters.ok();
    match gate::admit(&app, permission, request.headers(), parameters.as_ref()).await {
        Ok(caller) => {
            let acted_by = ActedBy(caller.actor().into());
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(acted_by);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

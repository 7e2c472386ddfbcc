//! The ids in a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::refusal::Refusal;

/// An id as the path has it, with its `%` escapes read.
#[derive(Debug)]
pub(super) struct PathId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|_| {
            Refusal::bad_request("the id in the path is not UTF-8 once its % escapes are read")
        })?;
        Ok(Self(id))
    }
}

/// The two ids in a path.
#[derive(Debug)]
pub(super) struct TwoIds(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for TwoIds {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let ids = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, other)) = ids.map_err(|_| {
            Refusal::bad_request("the ids in the path are not UTF-8 once their % escapes are read")
        })?;
        Ok(Self(id, other))
    }
}

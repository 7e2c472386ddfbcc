//! Time travel: `?version=` and `?at=` of an execution, what changed in it, and two of them
//! side by side.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::Point;

use super::answer;
use super::caller::Caller;
use super::path::{PathId, TwoIds};
use super::query::Parameters;
use super::refusal::Refusal;
use super::run_names::find;

/// `GET /api/v1/executions/{id}/diff?from=&to=`.
pub(super) async fn diff(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run = find(&caller, &id)?;
    let asked = Parameters::of(&uri, &["from", "to"])?;
    let (from, to) = (either(&asked, "from")?, either(&asked, "to")?);
    Ok(answer::ok(&engine.execution_diff(run, from, to).await?))
}

/// `GET /api/v1/executions/{id}/compare/{other}`.
pub(super) async fn compare(
    caller: Caller,
    TwoIds(id, other): TwoIds,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    Ok(answer::ok(&engine.compare(find(&caller, &id)?, find(&caller, &other)?).await?))
}

/// The point that `version` or `at` names; nothing if neither is there.
pub(super) fn point(asked: &Parameters) -> Result<Option<Point>, Refusal> {
    // There is no version 0, and that is told as every version that is not there.
    let version = match asked.text("version") {
        Some("0") => Some(0),
        _ => asked.number("version", 1..=u64::MAX)?,
    };
    match (version, instant(asked, "at")?) {
        (Some(_), Some(_)) => {
            Err(Refusal::bad_request("`version` and `at` are both given; name one of them"))
        }
        (Some(version), None) => Ok(Some(Point::Version(version))),
        (None, Some(at)) => Ok(Some(Point::At(at))),
        (None, None) => Ok(None),
    }
}

/// An instant in RFC 3339.
pub(super) fn instant(asked: &Parameters, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = asked.text(name) else { return Ok(None) };
    Timestamp::parse(text).map(Some).ok_or_else(|| {
        let message = format!(
            "`{name}` must be an instant in RFC 3339, such as 2026-01-02T03:04:05Z (a `+` in it \
             is written %2B in a URL)"
        );
        Refusal::bad_request(message)
    })
}

fn either(asked: &Parameters, name: &str) -> Result<Option<Point>, Refusal> {
    let Some(text) = asked.text(name) else { return Ok(None) };
    Point::read(text).map(Some).ok_or_else(|| {
        let message = format!("`{name}` must be a version or an instant in RFC 3339");
        Refusal::bad_request(message)
    })
}

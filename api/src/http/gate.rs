//! Who may pass: every declared route asks here before its handler.

use axum::http::HeaderMap;
use backstitch_core::ids::DEFAULT_NAMESPACE;

use super::App;
use super::caller::{Caller, Identity};
use super::refusal::Refusal;

/// Who acts without authentication, unless the request says who.
pub(super) const ANONYMOUS: &str = "anonymous";
/// Says who acts, where nobody has to prove it.
const USER_ID: &str = "x-user-id";
/// The longest name of who acts, in bytes.
pub(super) const ACTOR_BYTES_MAX: usize = 256;

/// Who sent a request.
pub(super) fn admit(app: &App, headers: &HeaderMap) -> Result<Caller, Refusal> {
    Ok(Caller::new(app.clone(), unproven(headers)?))
}

/// Whoever the request says it is: without authentication everybody may do everything.
fn unproven(headers: &HeaderMap) -> Result<Identity, Refusal> {
    let mut given = headers.get_all(USER_ID).iter();
    let actor = match given.next() {
        None => ANONYMOUS,
        Some(name) => name
            .to_str()
            .ok()
            .filter(|name| (1..=ACTOR_BYTES_MAX).contains(&name.len()) && given.next().is_none())
            .ok_or_else(|| {
                let range = format!("1 to {ACTOR_BYTES_MAX} visible ASCII characters");
                Refusal::bad_request(format!(
                    "the header X-User-ID must be there once, with {range}"
                ))
            })?,
    };
    Ok(Identity { actor: actor.into(), namespace: DEFAULT_NAMESPACE.into() })
}

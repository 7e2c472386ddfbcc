//! The codes of the failures that executors give. One page each in `docs/errors`.
//!
//! The engine's own codes are in [`backstitch_core::failure::codes`].

/// The rendered `with` of a step is not what its task type takes.
pub const TASK_INPUT_INVALID: &str = "TASK_INPUT_INVALID";
/// A `noop` step was told to fail and given no code of its own.
pub const NOOP_FAILED: &str = "NOOP_FAILED";
/// The request can't be sent as written: url, method, header, query or body.
pub const HTTP_BAD_REQUEST: &str = "HTTP_BAD_REQUEST";
/// No connection: refused, no such host, no route, TLS not agreed. Nothing was sent.
pub const HTTP_CONNECT_FAILED: &str = "HTTP_CONNECT_FAILED";
/// The service asks for a certificate that it did not get, or does not take the one it got. Nothing
/// was taken.
pub const HTTP_CERTIFICATE_REFUSED: &str = "HTTP_CERTIFICATE_REFUSED";
/// The host is of a private network, and a run's data named it. Nothing was sent.
pub const HTTP_HOST_DENIED: &str = "HTTP_HOST_DENIED";
/// The connection broke, or the answer could not be read, after the request may have gone out.
pub const HTTP_CONNECTION_BROKEN: &str = "HTTP_CONNECTION_BROKEN";
/// The service answered with a status that does not count as success.
pub const HTTP_STATUS: &str = "HTTP_STATUS";
/// The service answered with a redirect that is not followed.
pub const HTTP_REDIRECT: &str = "HTTP_REDIRECT";
/// The answer is larger than the step, the server or a payload allows.
pub const HTTP_RESPONSE_TOO_LARGE: &str = "HTTP_RESPONSE_TOO_LARGE";
/// The answer's body is not UTF-8 text.
pub const HTTP_BODY_NOT_TEXT: &str = "HTTP_BODY_NOT_TEXT";
/// The answer says it is JSON and is not.
pub const HTTP_BODY_NOT_JSON: &str = "HTTP_BODY_NOT_JSON";

/// Every code above, for the test that each has its page.
pub const ALL: [&str; 12] = [
    TASK_INPUT_INVALID,
    NOOP_FAILED,
    HTTP_BAD_REQUEST,
    HTTP_CONNECT_FAILED,
    HTTP_CERTIFICATE_REFUSED,
    HTTP_HOST_DENIED,
    HTTP_CONNECTION_BROKEN,
    HTTP_STATUS,
    HTTP_REDIRECT,
    HTTP_RESPONSE_TOO_LARGE,
    HTTP_BODY_NOT_TEXT,
    HTTP_BODY_NOT_JSON,
];

#[cfg(test)]
mod tests {
    use backstitch_core::retry_policy::{NETWORK_CODES, STATUS_CODE};

    /// Retry conditions know some failures by their codes.
    #[test]
    fn conditions_know_these() {
        assert_eq!(NETWORK_CODES, [super::HTTP_CONNECT_FAILED, super::HTTP_CONNECTION_BROKEN]);
        assert_eq!(STATUS_CODE, super::HTTP_STATUS);
    }
}

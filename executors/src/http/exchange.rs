//! One request and its answer, through redirects within the host when the step allows them.

use std::time::Duration;

use backstitch_core::failure::Failure;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Response, Url};
use tokio::sync::Semaphore;

use super::answer::output;
use super::failure::Asked;
use super::request::{Request, check_url};
use crate::task::Answer;

/// The most redirects that are followed for one attempt.
const REDIRECTS_MAX: usize = 5;
/// Answers up to this are read without waiting for a turn.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// How long the body of an error is waited for: the status alone says enough.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends a request and reads its answer.
///
/// # Errors
/// A failure that says whether another attempt may help and whether this one may have taken
/// effect.
pub(super) async fn exchange(
    client: &Client,
    mut request: Request,
    large_answers: &Semaphore,
) -> Answer {
    let mut url = request.url.take().expect("a request without problems has a url");
    let mut worked_before = false;
    for _ in 0..=REDIRECTS_MAX {
        let asked = Asked::new(&request.method, &url);
        let failed =
            |failure: Failure| if worked_before { failure.of_unknown_effect() } else { failure };
        let response =
            send(client, &request, &url).await.map_err(|why| failed(asked.no_answer(&why)))?;
        let status = response.status().as_u16();
        let Some(location) = redirect_of(&response, &request) else {
            return read(&request, &asked, response, large_answers).await.map_err(failed);
        };
        url = next_url(&request, &url, &location)
            .map_err(|why| failed(asked.redirect(status, &location, &why)))?;
        worked_before |= redirect_method(&mut request, status);
    }
    let why = format!("more than {REDIRECTS_MAX} redirects");
    Err(Asked::new(&request.method, &url).redirect(302, url.path(), &why))
}

async fn send(client: &Client, request: &Request, url: &Url) -> Result<Response, reqwest::Error> {
    let mut builder = client.request(request.method.clone(), url.clone());
    builder = builder.headers(request.headers.clone());
    builder = match &request.body {
        Some(body) => builder.body(body.clone()),
        // Services ask for a length where a method means to bring something (RFC 9110, 8.6).
        None if takes_body(&request.method) => builder.header(CONTENT_LENGTH, 0),
        None => builder,
    };
    builder.send().await.map_err(reqwest::Error::without_url)
}

fn takes_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Where an answer points to, if it is a redirect and not what the step expects.
fn redirect_of(response: &Response, request: &Request) -> Option<String> {
    let status = response.status().as_u16();
    let redirects = matches!(status, 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    if request.expected.includes(status) {
        return None;
    }
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

fn next_url(request: &Request, url: &Url, location: &str) -> Result<Url, String> {
    if !request.follow_redirects {
        return Err("redirects are not followed; `follow_redirects: true` follows them within \
                    the host"
            .to_owned());
    }
    let next = url.join(location).map_err(|why| format!("the location is not a url: {why}"))?;
    check_url(&next).map_err(|why| format!("the location {why}"))?;
    let upgrade = url.scheme() == "http"
        && next.scheme() == "https"
        && url.port().is_none()
        && next.port().is_none();
    let same_host = url.host() == next.host();
    if same_host && (upgrade || url.origin() == next.origin()) {
        Ok(next)
    } else {
        Err("only redirects within the same host and port are followed".to_owned())
    }
}

/// 301, 302 and 303 turn a request into a `GET` without a body; 307 and 308 repeat it. Answers
/// whether the service may have worked before it redirected.
fn redirect_method(request: &mut Request, status: u16) -> bool {
    let safe = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if safe || matches!(status, 307 | 308) {
        return false;
    }
    request.method = Method::GET;
    request.body = None;
    request.headers.remove(CONTENT_TYPE);
    true
}

/// How the reading of a body ended.
enum Ending {
    Whole,
    /// It goes on beyond what is read without a turn.
    Large,
    TooLarge,
    Broken(reqwest::Error),
}

async fn read(
    request: &Request,
    asked: &Asked,
    mut response: Response,
    large_answers: &Semaphore,
) -> Answer {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    // Held until the answer is an output.
    let mut turn = None;
    let reading = async {
        let small_max = request.response_bytes_max.min(SMALL_BYTES_MAX);
        match read_body(&mut response, &mut body, small_max, request.response_bytes_max).await {
            Ending::Large => {
                // Nobody closes the semaphore.
                turn = large_answers.acquire().await.ok();
                let bytes_max = request.response_bytes_max;
                read_body(&mut response, &mut body, bytes_max, bytes_max).await
            }
            ending => ending,
        }
    };
    if !request.expected.includes(status) {
        // However the reading ends, what came of the body is kept.
        drop(tokio::time::timeout(ERROR_BODY_TIMEOUT, reading).await);
        return Err(asked.status(status, response.headers(), &body));
    }
    match reading.await {
        Ending::Whole => {
            let output = output(asked, &request.method, &response, body);
            drop(turn);
            output
        }
        Ending::Large | Ending::TooLarge => {
            Err(asked.too_large(status, request.response_bytes_max))
        }
        Ending::Broken(why) => Err(asked.broken(status, &why)),
    }
}

/// Reads on until the body ends or has reached `stop_at` bytes.
async fn read_body(
    response: &mut Response,
    body: &mut Vec<u8>,
    stop_at: usize,
    bytes_max: usize,
) -> Ending {
    let announced = response.content_length().unwrap_or(0);
    loop {
        if body.len() >= stop_at && stop_at < bytes_max {
            return Ending::Large;
        }
        match response.chunk().await {
            Ok(None) => return Ending::Whole,
            Ok(Some(chunk)) => {
                let room = bytes_max - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room || announced > bytes_max as u64 {
                    return Ending::TooLarge;
                }
            }
            Err(why) => return Ending::Broken(why),
        }
    }
}

//! `/api/v1/export` and `/api/v1/import`: runs as a file, streamed in both directions.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use backstitch_core::export::Redaction;
use backstitch_core::ids::ExecutionId;
use backstitch_journal::RunFilter;
use backstitch_saga::handle::Export;
use backstitch_saga::{Error, Handle};
use tokio::sync::{Semaphore, mpsc};

use super::caller::Caller;
use super::executions;
use super::path::PathId;
use super::pieces::{Piece, Pieces};
use super::query::Parameters;
use super::refusal::Refusal;
use super::run_names::find;
use super::spool::{Broken, Laid, Spool};
use super::{answer, codes, document};

/// JSON lines: what an export is served as and an import is taken as.
const JSON_LINES: &str = "application/x-ndjson";
/// Pieces of an export that wait for their reader.
const PIECES_MAX: usize = 4;
/// Runs that an export finds at a time.
const RUNS_PER_PAGE: usize = 100;
/// Exports and imports under way at a time: each may hold a whole run.
const TRANSFERS_MAX: usize = 2;
/// How long the next piece of an import may take to arrive.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a body after it was refused: so many bytes, for so long.
const REST_BYTES_MAX: usize = 16 * 1024 * 1024;
const REST_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest file that is imported at once: it is laid down before anything of it is taken.
const IMPORT_BYTES_MAX: u64 = 16 * 1_024 * 1_024 * 1_024;

static TRANSFERS: Semaphore = Semaphore::const_new(TRANSFERS_MAX);

/// `GET /api/v1/executions/{id}/export`.
pub(super) async fn export_one(
    caller: Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let run = find(&caller, &id)?;
    let redaction = redaction(&Parameters::of(&uri, &["redact"])?)?;
    let (export, header) = engine.export(redaction);
    let (export, lines) = export.run(run).await?;
    let body = Body::from(header + &lines + &export.end());
    Ok(as_file(&run.to_string(), body))
}

/// `GET /api/v1/export`: every run that the filter lets through, newest first.
pub(super) async fn export(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?.clone();
    let known = [&executions::FILTER_PARAMETERS[..], &["redact"]].concat();
    let asked = Parameters::of(&uri, &known)?;
    let redaction = redaction(&asked)?;
    let filter = executions::filter(&caller, &asked)?;
    let turn = TRANSFERS.try_acquire().map_err(|_| busy())?;
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    tokio::spawn(async move {
        if let Err(error) = write_all(&engine, filter, redaction, &pieces).await {
            if pieces.is_closed() {
                tracing::info!("whoever asked for an export went away before its end");
            } else {
                // The answer has begun: it breaks off without its trailer.
                tracing::warn!(%error, "an export broke off");
                drop(pieces.send(Err(std::io::Error::other(error.to_string()))).await);
            }
        }
        drop(turn);
    });
    Ok(as_file("executions", Body::new(Pieces(receiver))))
}

/// Writes run after run. A reader that goes away ends it.
async fn write_all(
    engine: &Handle,
    filter: RunFilter,
    redaction: Redaction,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), Error> {
    let (mut export, header) = engine.export(redaction);
    let gone = |_| Error::Stopped;
    pieces.send(Ok(header)).await.map_err(gone)?;
    let mut cursor = None;
    loop {
        let page = engine.runs(filter.clone(), cursor, RUNS_PER_PAGE).await?;
        for row in page.rows {
            let lines;
            (export, lines) = next_run(engine, export, row.execution).await?;
            pieces.send(Ok(lines)).await.map_err(gone)?;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    pieces.send(Ok(export.end())).await.map_err(gone)
}

/// A run's lines; none of one that was removed since the list was read. Its history is read once:
/// between two looks it could go.
async fn next_run(
    engine: &Handle,
    export: Export,
    run: ExecutionId,
) -> Result<(Export, String), Error> {
    match engine.history(run).await {
        Err(Error::ExecutionNotFound(_) | Error::ExecutionRemoved { .. }) => {
            Ok((export, String::new()))
        }
        Err(error) => Err(error),
        Ok((records, plan)) => export.history(run, records, plan).await,
    }
}

fn redaction(asked: &Parameters) -> Result<Redaction, Refusal> {
    let read = |text| {
        Redaction::read(text).map_err(|why| Refusal::bad_request(format!("`redact`: {why}")))
    };
    Ok(asked.text("redact").map(read).transpose()?.unwrap_or_default())
}

fn as_file(name: &str, body: Body) -> Response {
    let kind = (CONTENT_TYPE, HeaderValue::from_static(JSON_LINES));
    let response = (StatusCode::OK, [kind], body).into_response();
    let disposition = format!("attachment; filename=\"{name}.jsonl\"");
    answer::with_header(response, CONTENT_DISPOSITION, &disposition)
}

/// `POST /api/v1/import`: 200 with what became of each run. Nothing is taken of a file that was
/// changed or cut off. The same file may be sent again.
pub(super) async fn import(
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let given = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if given.split(';').next().map(str::trim) != Some(JSON_LINES) {
        let message = format!("send an export as {JSON_LINES}");
        return Err(Refusal::new(codes::UNSUPPORTED_MEDIA_TYPE, message));
    }
    document::plain(&headers)?;
    let _turn = TRANSFERS.try_acquire().map_err(|_| busy())?;
    let mut import = engine.import(caller.actor());
    let directory = Path::new(&caller.about().data_dir);
    let taken = match lay_down(directory, body).await {
        Ok(laid) => laid.each_line(&mut import).await,
        Err(broken) => Err(broken),
    };
    match taken {
        Ok(()) => Ok(answer::ok(&import.report().json())),
        Err(Broken::Here(refusal)) => Err(refusal),
        Err(Broken::There(Error::BadExport(bad))) => {
            let mut details = import.report().json();
            (details["line"], details["reason"]) = (bad.line.into(), bad.why.clone().into());
            let message = format!("the export can't be taken: {bad}");
            Err(Refusal::new(codes::INVALID_EXPORT, message).with(details))
        }
        Err(Broken::There(error)) => Err(error.into()),
    }
}

/// Lays a body down to its end, checking every line and, with the last, the hash of all.
async fn lay_down(directory: &Path, mut body: Body) -> Result<Laid, Broken> {
    let mut spool = Spool::begin(directory, IMPORT_BYTES_MAX)?;
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let late = |_| {
            let seconds = PIECE_TIMEOUT.as_secs();
            let message = format!("nothing of the body came for {seconds} s");
            Broken::Here(Refusal::new(codes::REQUEST_TIMEOUT, message))
        };
        let Some(frame) = tokio::time::timeout(PIECE_TIMEOUT, next).await.map_err(late)? else {
            return spool.end().await;
        };
        let broke = |_| Broken::Here(Refusal::bad_request("the body broke off"));
        let Ok(data) = frame.map_err(broke)?.into_data() else { continue };
        if let Err(broken) = spool.take(&data).await {
            drop(tokio::time::timeout(REST_TIMEOUT, pass_over(&mut body)).await);
            return Err(broken);
        }
    }
}

/// Reads what is left of a body, if that is not much: who is still sending when the connection
/// ends may never see the answer.
async fn pass_over(body: &mut Body) {
    let mut left = REST_BYTES_MAX;
    while left > 0 {
        let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        let Some(Ok(frame)) = next.await else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
    }
}

fn busy() -> Refusal {
    Refusal::unavailable("other exports or imports are under way; try again later")
}

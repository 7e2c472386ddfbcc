//! `GET /api/v1/stats/db`: what the journal amounts to on the disk and in memory.
//!
//! The journal's own statistics as they are, and what the system says of this process.

use axum::response::Response;
use backstitch_journal::MemoryStatistics;
use serde_json::{Value, json};

use super::caller::Caller;
use super::refusal::Refusal;
use super::{answer, codes};

/// The name by which the first design asks for the number of keys.
const KEYS: &str = "rocksdb.estimate-num-keys";

/// `GET /api/v1/stats/db`, and the same without `/api`.
pub(super) async fn show(caller: Caller) -> Result<Response, Refusal> {
    let journal = caller.engine()?.journal().clone();
    let reading = tokio::task::spawn_blocking(move || journal.statistics());
    let statistics = reading.await.map_err(|_| Refusal::new(codes::INTERNAL, "not read"))?;
    let keys = statistics.store.entries + statistics.views.entries + statistics.checkpoints.entries;
    let mut body = serde_json::to_value(&statistics).expect("statistics have text keys only");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    body["memory"]["resident_bytes"] = of_status(&status, "VmRSS:");
    body["memory"]["resident_bytes_max"] = of_status(&status, "VmHWM:");
    let views = &statistics.views;
    let row_bytes = views.live_bytes.checked_div(views.entries).unwrap_or_default();
    body["memory"]["parts"] = parts(&caller, &statistics.memory, row_bytes).await?;
    body[KEYS] = json!(keys);
    Ok(answer::ok(&body))
}

/// What is known of each part: counted, or worked out from what is.
async fn parts(
    caller: &Caller,
    journal: &MemoryStatistics,
    row_bytes: u64,
) -> Result<Value, Refusal> {
    let engine = caller.engine()?;
    let runs = engine.run_memory().await?;
    let cache = engine.cache().usage();
    let (definitions, text_bytes) = engine.catalog().texts();
    let (lines, line_bytes) = caller.logs().lines().size();
    let part = |entries: Value, bytes: Value, how: &str| json!({ "entries": entries, "bytes": bytes, "how": how });
    let (counted, estimated) = ("counted", "estimated");
    let pending_rows = journal.pending_rows;
    Ok(json!({
        "live_runs": part(json!(runs.resident), json!(runs.resident_bytes), estimated),
        "runs_at_rest": part(json!(runs.at_rest), json!(runs.at_rest_bytes), estimated),
        "result_cache": part(json!(cache.entries), json!(cache.bytes), counted),
        "definitions": part(json!(definitions), json!(text_bytes), counted),
        "store": part(Value::Null, json!(journal.pending_bytes), counted),
        "views": part(json!(pending_rows), json!(pending_rows * row_bytes), estimated),
        "log_lines": part(json!(lines), json!(line_bytes), counted),
    }))
}

/// A size from Linux's table about a process; null where there is none.
fn of_status(status: &str, name: &str) -> Value {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(Value::Null, |kib| json!(kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_the_process_are_read() {
        let status = "Name:\tbackstitch\nVmHWM:\t    2048 kB\nVmRSS:\t      12 kB\n";
        assert_eq!(of_status(status, "VmHWM:"), json!(2_097_152));
        assert_eq!(of_status(status, "VmRSS:"), json!(12_288));
        assert_eq!(of_status("", "VmRSS:"), Value::Null);
    }
}

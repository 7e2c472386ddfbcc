//! What a journal holds and how large it is, from its files or from what a server says.
//!
//! Both have the same shape; what a source cannot tell is null.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use backstitch_core::report::letter_word;
use serde_json::{Map, Value, json};

use super::archive::{Archive, place_of_archive};
use super::listing::Listing;

/// The folders of a data directory.
const PARTS: [&str; 6] = ["log", "archive", "blobs", "store", "views", "checkpoints"];

/// Of a directory whose runs were folded.
pub(super) fn document(directory: &Path, archive: &Archive, listing: &Listing) -> Value {
    let (store_id, partitions) = archive.identity();
    let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
    let mut letters: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &listing.rows {
        *statuses.entry(row.standing().word()).or_default() += 1;
        for letter in &row.letters {
            *letters.entry(letter_word(letter.status)).or_default() += 1;
        }
    }
    let place = |name: &str| match name {
        "archive" => place_of_archive(directory),
        name => directory.join(name),
    };
    let folders = PARTS.iter().filter(|name| place(name).is_dir());
    let bytes: Map<_, _> =
        folders.map(|name| ((*name).to_owned(), json!(size_bytes(&place(name))))).collect();
    json!({
        "store_id": store_id,
        "generation": listing.generation,
        "partitions": partitions,
        "records": listing.records,
        "runs": { "total": listing.rows.len(), "by_status": statuses },
        "dead_letters": letters,
        "bytes": bytes,
    })
}

/// Of a server, from its `/info` and its statistics of runs and of letters.
pub(super) fn of_info(info: &Value, statistics: &Value, letters: &Value) -> Value {
    let journal = &info["journal"];
    let fields = journal.as_object().into_iter().flatten();
    let mut bytes: Map<_, _> = fields
        .filter(|(_, value)| value.is_u64())
        .filter_map(|(name, value)| Some((name.strip_suffix("_bytes")?.to_owned(), value.clone())))
        .collect();
    if let Some(archive) = journal["archive"]["bytes"].as_u64() {
        bytes.insert("archive".to_owned(), json!(archive));
    }
    let total = &statistics["total"];
    let runs = match total["executions"].as_u64() {
        Some(count) => json!({ "total": count, "by_status": held(&total["by_status"]) }),
        None => Value::Null,
    };
    json!({
        "store_id": journal["store_id"],
        "generation": journal["generation"],
        "partitions": journal["partitions"],
        "records": journal["records"],
        "runs": runs,
        "dead_letters": letters["by_status"].is_object().then(|| held(&letters["by_status"])),
        "bytes": bytes,
        "server": info,
    })
}

/// Counts that are not nought.
fn held(counts: &Value) -> Map<String, Value> {
    let counts = counts.as_object().into_iter().flatten();
    let held = counts.filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
    held.map(|(name, count)| (name.clone(), count.clone())).collect()
}

/// Bytes of a folder's files, as far as they can be read.
fn size_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.path())))
        .map(|(metadata, path)| if metadata.is_dir() { size_bytes(&path) } else { metadata.len() })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_a_server_is_counted() {
        let info = json!({ "journal": { "log_bytes": 5, "archive": { "bytes": 7 } } });
        let document = of_info(&info, &Value::Null, &Value::Null);
        assert_eq!(document["bytes"], json!({ "log": 5, "archive": 7 }));
    }
}

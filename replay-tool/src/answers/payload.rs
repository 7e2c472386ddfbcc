//! Payloads kept beside the records: who names one, and making them go.

use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::arguments::Payload;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::source::Server;
use crate::text::{counted, printable, size};

const PAYLOADS: [&str; 4] = ["api", "v1", "admin", "payloads"];

/// Asks the server, or has it erase or collect.
///
/// # Errors
/// If the server cannot be asked, or refuses.
pub(crate) fn answer(command: &Payload, server: &Server, form: &Form) -> Result<Answer, Error> {
    let (document, words): (Value, fn(&Value) -> String) = match command {
        Payload::Show { digest } => {
            let digest = digest.to_string();
            (server.client().get(&[&PAYLOADS[..], &[&digest]].concat(), &[])?, shown)
        }
        Payload::Erase { digest, reason, dry_run } => {
            let digest = digest.to_string();
            let mut body = json!({ "dry_run": dry_run });
            if let Some(reason) = reason {
                body["reason"] = json!(reason);
            }
            (server.client().post(&[&PAYLOADS[..], &[&digest, "erase"]].concat(), &body)?, erased)
        }
        Payload::Collect { dry_run } => {
            let path = [&PAYLOADS[..], &["collect"]].concat();
            (server.client().post(&path, &json!({ "dry_run": dry_run }))?, collected)
        }
    };
    let answer = match form.json {
        true => Answer::json(&document),
        false => Answer::text(words(&document)),
    };
    let undone = document["erased"] == false && document["dry_run"] == false;
    let code = if undone { exit::NO } else { answer.code };
    Ok(Answer { code, ..answer })
}

fn shown(document: &Value) -> String {
    // The size is the one it had: of what was erased it says what is gone.
    let kept = match (document["bytes"].as_u64(), document["erased"] == true) {
        (Some(bytes), true) => format!("{}, gone", size(bytes)),
        (Some(bytes), false) => format!("{}, kept", size(bytes)),
        (None, _) => "not kept: erased, collected, or never here".to_owned(),
    };
    let runs = document["executions"].as_array().map_or(&[][..], Vec::as_slice);
    let mut words = format!(
        "{}  {kept}\nnamed by {}\n",
        printable(text(&document["digest"])),
        counted(runs.len() as u64, "run")
    );
    for run in runs {
        words.push_str(&format!("  {}\n", printable(text(run))));
    }
    words
}

fn erased(document: &Value) -> String {
    let word = match (&document["dry_run"], &document["erased"]) {
        (Value::Bool(true), _) => "would be erased, if it is kept",
        (_, Value::Bool(true)) => "erased",
        _ => "nothing was there to erase",
    };
    format!("{word}\n{}", shown(document))
}

fn collected(document: &Value) -> String {
    let number = |name: &str| document[name].as_u64().unwrap_or(0);
    let word = if document["dry_run"] == true { "would be removed" } else { "removed" };
    format!("{} {word}, {}\n", counted(number("payloads"), "payload"), size(number("bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_erased_is_not_said_to_be_kept() {
        let answer = |erased: bool, dry_run: bool| {
            json!({ "digest": "ab", "bytes": 27, "executions": [], "erased": erased,
                    "dry_run": dry_run })
        };
        assert!(erased(&answer(true, false)).starts_with("erased\nab  27 B, gone\n"));
        assert!(erased(&answer(false, true)).contains("ab  27 B, kept\n"));
    }
}

//! Views made anew by a server, while they go on serving.

use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::source::Server;
use crate::text::{Style, Table};

/// Every view.
const VIEWS: [&str; 3] = ["runs", "letters", "audit"];
const ADMIN_VIEWS: [&str; 4] = ["api", "v1", "admin", "views"];

/// Has one view rebuilt, or each after the other, and waits until it is.
///
/// # Errors
/// If the server cannot be asked, or refuses.
pub(crate) fn answer(view: Option<&str>, server: &Server, form: &Form) -> Result<Answer, Error> {
    let wanted: Vec<&str> =
        VIEWS.into_iter().filter(|own| view.is_none_or(|v| v == *own)).collect();
    let rebuild = [&ADMIN_VIEWS[..], &["rebuild"]].concat();
    let mut rows = Vec::new();
    for view in wanted {
        server.client().post(&rebuild, &json!({ "view": view }))?;
        let standing = server.watch("rebuilding", &ADMIN_VIEWS, |standing| {
            let own = of_view(standing, view);
            let number = |name: &str| own["rebuild"][name].as_u64().unwrap_or(0);
            (number("visited"), number("total"), own["rebuild"].is_null())
        })?;
        rows.push(of_view(&standing, view).clone());
    }
    let failed = rows.iter().any(|row| row["rebuild_error"].is_string());
    let mut answer = match form.json {
        true => Answer::json(&json!({ "views": rows })),
        false => {
            let mut table = Table::bare();
            for row in &rows {
                let (word, style) = match row["rebuild_error"].as_str() {
                    Some(why) => (format!("failed: {why}"), Style::Bad),
                    None => ("rebuilt".to_owned(), Style::Good),
                };
                table.row([(text(&row["view"]).to_owned(), Style::Plain), (word, style)]);
            }
            Answer::text(table.print(&form.screen, 0))
        }
    };
    if failed {
        answer.code = exit::NO;
    }
    Ok(answer)
}

/// What the server says of one view.
fn of_view<'a>(standing: &'a Value, view: &str) -> &'a Value {
    const NONE: &Value = &Value::Null;
    let views = standing["views"].as_array();
    views.into_iter().flatten().find(|own| own["view"] == view).unwrap_or(NONE)
}

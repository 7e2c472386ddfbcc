//! Views made anew: by a server, while they go on serving, or in a directory without one.

use std::path::Path;

use backstitch_journal::ViewName;
use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::progress::Progress;
use crate::source::{Holder, Server, Writing};
use crate::text::{Style, Table};

const ADMIN_VIEWS: [&str; 4] = ["api", "v1", "admin", "views"];

/// The views that are wanted: one, or each.
fn wanted(view: Option<&str>) -> impl Iterator<Item = ViewName> {
    ViewName::ALL.into_iter().filter(move |own| view.is_none_or(|view| view == own.word()))
}

/// Rebuilds views.
///
/// # Errors
/// Why that cannot be done, or not to its end.
pub(crate) fn answer(holder: &Holder, view: Option<&str>, form: &Form) -> Result<Answer, Error> {
    match holder {
        Holder::Server(server) => of_server(view, server, form),
        Holder::Files(path) => of_files(view, path, form),
    }
}

/// Has views rebuilt one after the other, and waits until they are.
///
/// # Errors
/// If the server cannot be asked, or refuses.
fn of_server(view: Option<&str>, server: &Server, form: &Form) -> Result<Answer, Error> {
    let rebuild = [&ADMIN_VIEWS[..], &["rebuild"]].concat();
    let mut rows = Vec::new();
    for view in wanted(view).map(ViewName::word) {
        let before = of_view(&server.client().get(&ADMIN_VIEWS, &[])?, view).clone();
        server.client().post(&rebuild, &json!({ "view": view }))?;
        let standing = server.watch("rebuilding", &ADMIN_VIEWS, |standing| {
            let own = of_view(standing, view);
            let number = |name: &str| own["rebuild"][name].as_u64().unwrap_or(0);
            let ended = ["rebuilds", "rebuilds_failed"].iter().any(|n| own[n] != before[n]);
            (number("visited"), number("total"), ended || own.is_null())
        })?;
        rows.push(of_view(&standing, view).clone());
    }
    Ok(print(&rows, form))
}

/// Rebuilds views in a directory that no server has open.
///
/// # Errors
/// If the directory cannot be opened, read or written; a view that is not whole by then is as
/// it was.
fn of_files(view: Option<&str>, directory: &Path, form: &Form) -> Result<Answer, Error> {
    let mut writing = Writing::open(directory)?;
    let views: Vec<ViewName> = wanted(view).collect();
    let mut progress = Progress::count(form.watched(), "rebuilding views", views.len() as u64);
    let mut rows = Vec::new();
    for view in views {
        writing.rebuild(view)?;
        rows.push(json!({ "view": view.word(), "rebuild_error": null }));
        progress.reach(rows.len() as u64);
    }
    drop(progress);
    writing.close()?;
    Ok(print(&rows, form))
}

fn print(rows: &[Value], form: &Form) -> Answer {
    let failed = rows.iter().any(|row| row["rebuild_error"].is_string());
    let answer = match form.json {
        true => Answer::json(&json!({ "views": rows })),
        false => {
            let mut table = Table::bare();
            for row in rows {
                let (word, style) = match row["rebuild_error"].as_str() {
                    Some(why) => (format!("failed: {why}"), Style::Bad),
                    None => ("rebuilt".to_owned(), Style::Good),
                };
                table.row([(text(&row["view"]).to_owned(), Style::Plain), (word, style)]);
            }
            Answer::text(table.print(&form.screen, 0))
        }
    };
    let code = if failed { exit::NO } else { answer.code };
    Answer { code, ..answer }
}

/// What the server says of one view.
fn of_view<'a>(standing: &'a Value, view: &str) -> &'a Value {
    const NONE: &Value = &Value::Null;
    let views = standing["views"].as_array();
    views.into_iter().flatten().find(|own| own["view"] == view).unwrap_or(NONE)
}

//! `/api/v1/workflows` as a list: which workflows there are, and how they stand.

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::availability::Unavailable;
use backstitch_core::report::availability_word;
use backstitch_saga::catalog::Listed;
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::documents::omnihub;
use super::query::{LIMIT_DEFAULT, Parameters};
use super::refusal::Refusal;
use super::window::{self, Window};
use super::workflows::row;

/// Which workflows a list shows, by how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Those with runs that have not ended.
    Active,
    Enabled,
    Disabled,
    Archived,
}

const STANDINGS: [(&str, Standing); 4] = [
    ("active", Standing::Active),
    ("enabled", Standing::Enabled),
    ("disabled", Standing::Disabled),
    ("archived", Standing::Archived),
];

/// Whether a workflow is archived: lists leave it out unless they are asked for those.
pub(super) fn is_archived(own: &Listed) -> bool {
    own.availability.archived.is_some()
}

/// Whether a word is part of a workflow's id, name or description, in any case.
pub(super) fn names(own: &Listed, lowercase: &str) -> bool {
    let plan = &own.newest.plan;
    let texts = [Some(&*plan.workflow), Some(&*plan.name), plan.description.as_deref()];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(lowercase))
}

/// `GET /api/v1/workflows`: the newest revision of each that is in use, by id. Active ones are
/// those with runs that have not ended, which are shown with them.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let known = [&["tag", "status", "created_by", "q"], &window::PARAMETERS[..]].concat();
    let asked = Parameters::of(&uri, &known)?;
    let words = STANDINGS.map(|(word, _)| word);
    let standing = asked.word("status", &words, |word| {
        STANDINGS.into_iter().find(|(own, _)| *own == word).map(|(_, standing)| standing)
    })?;
    let is_active = standing == Some(Standing::Active);
    if is_active {
        caller.needs(Permission::ExecutionsRead)?;
    }
    let window = Window::of(&asked, LIMIT_DEFAULT)?;
    let wanted = asked.text("q").map(str::to_lowercase);
    let fits = |own: &Listed| {
        let plan = &own.newest.plan;
        stands(own, standing)
            && asked.text("tag").is_none_or(|tag| plan.tags.iter().any(|own| **own == *tag))
            && asked.text("created_by").is_none_or(|by| *own.created_by == *by)
            && wanted.as_ref().is_none_or(|wanted| names(own, wanted))
    };
    let mut listed = caller.engine()?.catalog().listed(caller.namespace());
    listed.retain(fits);
    let mut body = json!({});
    let mut runs = None;
    if is_active {
        let (found, more) = omnihub::active(&caller).await?;
        body["more_executions"] = more.into();
        listed.retain(|own| found.contains_key(&*own.newest.plan.workflow));
        runs = Some(found);
    }
    let part = window.part(listed, |own| own.newest.plan.workflow.to_string())?;
    let row = |own: &Listed| {
        let mut row = shown(own);
        if let Some(runs) = runs.as_ref().and_then(|all| all.get(&*own.newest.plan.workflow)) {
            row["executions"] = json!(runs);
        }
        row
    };
    Ok(answer::ok(&window.told(body, "workflows", &part, row)))
}

fn stands(own: &Listed, wanted: Option<Standing>) -> bool {
    let unavailable = own.availability.unavailable();
    match wanted {
        None => !is_archived(own),
        // A run under way is shown whatever became of its workflow.
        Some(Standing::Active) => true,
        Some(Standing::Enabled) => unavailable.is_none(),
        Some(Standing::Disabled) => unavailable == Some(Unavailable::Disabled),
        Some(Standing::Archived) => is_archived(own),
    }
}

fn shown(own: &Listed) -> Value {
    let mut row = row(&own.newest);
    row["description"] = json!(own.newest.plan.description);
    row["status"] = availability_word(&own.availability).into();
    row["created_at"] = own.created_at.to_string().into();
    row["created_by"] = (*own.created_by).into();
    row
}

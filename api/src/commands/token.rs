//! `backstitch token`: API keys of a server.

use backstitch_core::api_keys::is_namespace;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::client::path_of;
use crate::error::Error;

const AFTER_CREATE: &str = "\
The key is printed once and kept nowhere: only its hash is in the journal. Nobody can make a key that
may do more than they may.

Examples:
  backstitch token create --name ci --permission workflows:write --expires 90d
  backstitch token create --name operator --permission '*'";

/// The path of all keys.
const KEYS: &str = "/api/v1/admin/api-keys";

/// What is done to keys.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a key, and print it
    Create(CreateFlags),
    /// Show the keys that were not revoked
    List(ListFlags),
    /// Have a key count no more
    Revoke(RevokeFlags),
}

/// What `token create` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_CREATE)]
pub struct CreateFlags {
    /// What it is called
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What it allows, any number of times; * allows everything
    #[arg(long = "permission", value_name = "WORD", required = true)]
    pub permissions: Vec<String>,
    /// How long it counts, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<String>,
    /// The tenant that it is for [default: that of whoever asks]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `token list` takes.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// The tenant whose keys are shown [default: that of whoever asks]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `token revoke` takes.
#[derive(Debug, Args)]
pub struct RevokeFlags {
    /// Its id, as `backstitch token list` shows it
    #[arg(value_name = "KEY_ID")]
    pub id: String,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Let the keys stay that were made with it
    #[arg(long)]
    pub keep_made: bool,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Does it.
///
/// # Errors
/// [`Error::Refused`], [`Error::Unreachable`], [`Error::Foreign`], [`Error::Setting`].
pub async fn run(token: Token) -> Result<(), Error> {
    match token {
        Token::Create(flags) => {
            let mut body = json!({ "name": flags.name, "permissions": flags.permissions });
            if let Some(expires) = flags.expires {
                body["expires_in"] = expires.into();
            }
            if let Some(namespace) = flags.namespace {
                body["namespace"] = namespace.into();
            }
            let answer = flags.at.client()?.post(KEYS, &body).await?;
            flags.at.show(&answer, || text(&answer["token"]))
        }
        Token::List(ListFlags { namespace, at }) => {
            let path = match &namespace {
                // Nothing else can name a tenant, and the server says so.
                Some(own) if is_namespace(own) => format!("{KEYS}?namespace={own}"),
                Some(own) => return Err(Error::Setting(format!("`{own}` can't name a tenant"))),
                None => KEYS.to_owned(),
            };
            let answer = at.client()?.get(&path).await?;
            at.show(&answer, || table(&answer))
        }
        Token::Revoke(flags) => {
            let path = path_of(&["api", "v1", "admin", "api-keys", &flags.id]);
            let body = json!({ "reason": flags.reason, "keep_made": flags.keep_made });
            let answer = flags.at.client()?.delete(&path, &body).await?;
            let made = list(&answer, "made_with_it").iter().map(text);
            let lines = [flags.id.clone()].into_iter().chain(made);
            let lines = || lines.map(|id| format!("{id}: revoked")).collect::<Vec<_>>().join("\n");
            flags.at.show(&answer, lines)
        }
    }
}

fn table(answer: &Value) -> String {
    let keys = list(answer, "api_keys");
    if keys.is_empty() {
        return "there are no API keys".to_owned();
    }
    let mut rows = vec![words(["KEY", "NAME", "PERMISSIONS", "MADE", "BY", "UNTIL"])];
    rows.extend(keys.iter().map(|own| {
        let permissions = own["permissions"].as_array().map_or(&[][..], Vec::as_slice);
        let permissions: Vec<_> = permissions.iter().map(text).collect();
        let until = match own["expired"].as_bool() {
            Some(true) => format!("{} (expired)", text(&own["expires_at"])),
            _ => text(&own["expires_at"]),
        };
        vec![
            text(&own["key_id"]),
            text(&own["name"]),
            permissions.join(" "),
            text(&own["created_at"]),
            text(&own["created_by"]),
            until,
        ]
    }));
    columns(&rows)
}

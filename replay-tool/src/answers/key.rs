//! An API key made in a directory whose server does not run: the first one, or one in place of the
//! last that was lost.

use std::path::Path;

use backstitch_core::api_keys::{ApiKeyWish, KEY_DRAWN_BYTES};
use backstitch_core::report::api_key_json;

use super::Answer;
use crate::Form;
use crate::arguments::KeyWanted;
use crate::clock;
use crate::error::Error;
use crate::source::Writing;

/// Makes it, and tells its text, which is kept nowhere.
///
/// # Errors
/// What is wrong with it, or why nothing can be recorded.
pub(crate) fn answer(path: &Path, wanted: &KeyWanted, form: &Form) -> Result<Answer, Error> {
    let KeyWanted { name, permissions, namespace, expires, actor } = wanted.clone();
    let expires_at = expires.map(|ms| clock::now().plus_ms(ms));
    let wish = ApiKeyWish { name, namespace, permissions, expires_at };
    let mut drawn = [0_u8; KEY_DRAWN_BYTES];
    getrandom::fill(&mut drawn).map_err(|_| Error::NoRandom)?;
    let mut writing = Writing::open(path)?;
    let made = writing.create_key(wish, &drawn, &actor);
    writing.close()?;
    let (key, text) = made?;
    Ok(match form.json {
        true => {
            let mut shown = api_key_json(&key, clock::now());
            shown["token"] = text.into();
            Answer::json(&shown)
        }
        false => Answer::text(format!("{text}\n")),
    })
}

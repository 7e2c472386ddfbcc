//! Secrets: put into an effect's input as an attempt is made, and taken out of what comes back.
//!
//! What is recorded has references alone (`backstitch_core::secrets`). Where a service says a
//! secret back, plain or in base64 or percent-encoded, it is blotted out before anybody else sees
//! the answer. Knows nothing of runs.

mod forms;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use backstitch_core::failure::{Failure, codes};
use backstitch_core::payload::Payload;
use backstitch_core::secrets::{may_refer, names, resolved};
use backstitch_executors::Answer;
use serde_json::Value;

use forms::Forms;

/// The fewest bytes of a secret: fewer would stand in ordinary text by chance.
pub const SECRET_BYTES_MIN: usize = 8;
/// The most bytes of a secret.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// The namespace that variables of the environment belong to.
const OF_VARIABLES: &str = "default";

/// Where secrets are: a file for each, in a folder for each namespace, or variables of the
/// environment. Files are read anew for each attempt. Cheap to clone.
#[derive(Clone, Default)]
pub struct SecretStore(Arc<Places>);

#[derive(Default)]
struct Places {
    folder: RwLock<Option<PathBuf>>,
    variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretStore").field("folder", &self.folder()).finish_non_exhaustive()
    }
}

/// The secrets that an attempt was given, to be blotted out of what comes back.
#[derive(Default)]
pub(crate) struct Given(Vec<Forms>);

impl SecretStore {
    /// A folder of namespaces, if there is one, and variables of the namespace `default` by the
    /// names of their secrets.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, variables: BTreeMap<String, String>) -> Self {
        Self(Arc::new(Places { folder: RwLock::new(folder), variables }))
    }

    /// Secrets are in another folder from now on, or in none.
    pub fn move_to(&self, folder: Option<PathBuf>) {
        *self.0.folder.write().unwrap_or_else(PoisonError::into_inner) = folder;
    }

    fn folder(&self) -> Option<PathBuf> {
        self.0.folder.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An effect's rendered input as its executor is to have it, who may take secrets or not.
    ///
    /// # Errors
    /// `SECRET_UNAVAILABLE`: one that it refers to is not there, or can't be used, or not so.
    pub(crate) async fn put_in(
        &self,
        namespace: &str,
        input: &Payload,
        takes_secrets: bool,
    ) -> Result<(Payload, Given), Failure> {
        if !may_refer(input.text()) {
            return Ok((input.clone(), Given::default()));
        }
        let value = input.value();
        let mut known = BTreeMap::new();
        for name in names(&value) {
            // Definitions are checked for it, but the executor may have come since.
            if !takes_secrets {
                let message = format!("the secret `{name}` would be shown by this task");
                return Err(Failure::permanent(codes::SECRET_UNAVAILABLE, message));
            }
            let text = self.text(namespace, &name).await?;
            known.insert(name, text);
        }
        let mut secret = |name: &str| Ok(known.get(name).cloned().unwrap_or_default());
        let value = resolved(value, &mut secret).map_err(|why: Failure| why)?;
        let given = known.iter().map(|(name, text)| Forms::of(name, text)).collect();
        Ok((Payload::of(&value), Given(given)))
    }

    async fn text(&self, namespace: &str, name: &str) -> Result<String, Failure> {
        let unfit = |why: &str| {
            let message = format!("the secret `{name}` of the namespace `{namespace}` {why}");
            Failure::permanent(codes::SECRET_UNAVAILABLE, message)
        };
        let text = match self.read(namespace, name).await {
            Ok(Some(text)) => text,
            Ok(None) => return Err(unfit("is not there")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(unfit("is no UTF-8 text"));
            }
            Err(error) => {
                let why = unfit(&format!("can't be read: {error}"));
                return Err(Failure::retryable(codes::SECRET_UNAVAILABLE, why.message));
            }
        };
        // The line end that editors leave behind.
        let text =
            text.strip_suffix('\n').map_or(&*text, |own| own.strip_suffix('\r').unwrap_or(own));
        match text.len() {
            ..SECRET_BYTES_MIN => Err(unfit("has fewer than 8 bytes")),
            SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Ok(text.to_owned()),
            _ => Err(unfit("has more than 64 KiB")),
        }
    }

    async fn read(&self, namespace: &str, name: &str) -> io::Result<Option<String>> {
        // A namespace is no path, and a name is none either.
        let plain = !namespace.starts_with('.') && !namespace.contains(['/', '\\', '\0']);
        if let Some(folder) = self.folder().filter(|_| plain) {
            match tokio::fs::read_to_string(folder.join(namespace).join(name)).await {
                Ok(text) => return Ok(Some(text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let variable = self.0.variables.get(name).filter(|_| namespace == OF_VARIABLES);
        Ok(variable.cloned())
    }
}

impl Given {
    /// What came back, without them.
    pub(crate) fn blot(&self, answer: Answer) -> Answer {
        if self.0.is_empty() {
            return answer;
        }
        match answer {
            Ok(output) => Ok(self.payload(output)),
            Err(mut failure) => {
                failure.message = self.text(failure.message);
                failure.details = failure.details.map(|details| self.payload(details));
                Err(failure)
            }
        }
    }

    fn payload(&self, payload: Payload) -> Payload {
        Payload::of(&self.value(payload.value()))
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                fields.map(|(name, field)| (self.text(name), self.value(field))).collect()
            }
            // A service may take its digits for a number.
            Value::Number(number) => match self.text(number.to_string()) {
                blotted if blotted == number.to_string() => Value::Number(number),
                blotted => Value::String(blotted),
            },
            plain => plain,
        }
    }

    fn text(&self, text: String) -> String {
        self.0.iter().fold(text, |text, forms| forms.blot(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> (tempfile::TempDir, SecretStore) {
        let folder = tempfile::tempdir().expect("a folder");
        for (place, text) in [
            ("default/token", "s3cr3t-t0k3n\n"),
            ("default/both", "of-the-file"),
            ("other/token", "another-one"),
            ("default/short", "1234567"),
            ("default/digits", "12345678"),
            ("outside", "out-of-reach"),
        ] {
            let file = folder.path().join(place);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
            std::fs::write(file, text).expect("a file");
        }
        let of = |name: &str| (name.to_owned(), format!("{name}-of-the-environment"));
        let store =
            SecretStore::new(Some(folder.path().to_owned()), [of("both"), of("env")].into());
        (folder, store)
    }

    async fn put(store: &SecretStore, namespace: &str, name: &str) -> Result<Value, String> {
        let input = Payload::of(&json!({ "a": { "$secret": ["<", { "name": name }, ">"] } }));
        let put = store.put_in(namespace, &input, true).await;
        put.map(|(input, _)| input.value()["a"].clone()).map_err(|why| why.message)
    }

    #[tokio::test]
    async fn a_secret_is_of_its_namespace_and_a_file_goes_before_a_variable() {
        let (folder, store) = store();
        assert_eq!(put(&store, "default", "token").await, Ok(json!("<s3cr3t-t0k3n>")));
        assert_eq!(put(&store, "other", "token").await, Ok(json!("<another-one>")));
        assert_eq!(put(&store, "default", "both").await, Ok(json!("<of-the-file>")));
        assert_eq!(put(&store, "default", "env").await, Ok(json!("<env-of-the-environment>")));
        for (namespace, name, why) in [
            ("other", "env", "the secret `env` of the namespace `other` is not there"),
            ("..", "token", "the secret `token` of the namespace `..` is not there"),
            (
                "default/..",
                "outside",
                "the secret `outside` of the namespace `default/..` is not there",
            ),
            (
                "default",
                "short",
                "the secret `short` of the namespace `default` has fewer than 8 bytes",
            ),
        ] {
            assert_eq!(put(&store, namespace, name).await, Err(why.to_owned()));
        }
        std::fs::write(folder.path().join("default/token"), "changed-since").expect("a file");
        assert_eq!(put(&store, "default", "token").await, Ok(json!("<changed-since>")));
    }

    #[tokio::test]
    async fn what_came_back_has_no_secret_in_it() {
        let (_folder, store) = store();
        let shown = Payload::of(&json!({ "a": { "$secret": "token" } }));
        let refused = store.put_in("default", &shown, false).await.err().expect("it is shown");
        assert_eq!(refused.code, codes::SECRET_UNAVAILABLE);
        let digits = Payload::of(&json!({ "a": { "$secret": "digits" } }));
        let (_, given) = store.put_in("default", &digits, true).await.expect("it is there");
        let output = given.blot(Ok(Payload::of(&json!({ "a": 12345678, "b": 12.5 }))));
        let blotted = json!({ "a": "[secret digits]", "b": 12.5 });
        assert_eq!(output.expect("an output").value(), blotted);
        let input = Payload::of(&json!({ "a": { "$secret": "token" }, "b": { "$$secret": 1 } }));
        let (input, given) = store.put_in("default", &input, true).await.expect("it is there");
        assert_eq!(input.value(), json!({ "a": "s3cr3t-t0k3n", "b": { "$secret": 1 } }));
        let output = json!({ "echo": ["Bearer s3cr3t-t0k3n"], "s3cr3t-t0k3n": 1, "n": 2.5 });
        let output = given.blot(Ok(Payload::of(&output))).expect("an output");
        let blotted = json!({ "echo": ["Bearer [secret token]"], "[secret token]": 1, "n": 2.5 });
        assert_eq!(output.value(), blotted);
        let details = Payload::of(&json!({ "url": "http://a/s3cr3t-t0k3n" }));
        let failure = Failure::permanent("NO", "no: s3cr3t-t0k3n").with_details(details);
        let failure = given.blot(Err(failure)).expect_err("a failure");
        assert_eq!(failure.message, "no: [secret token]");
        assert_eq!(
            failure.details.expect("kept").value(),
            json!({ "url": "http://a/[secret token]" })
        );
    }
}

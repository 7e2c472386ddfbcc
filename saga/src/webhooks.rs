//! Signatures of callbacks, as [Standard Webhooks](https://www.standardwebhooks.com) has them:
//! a receiver that shares a secret can tell that a body is ours, whole, and not an old one.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use tokio::sync::watch;

/// How a secret's text begins.
const SECRET_PREFIX: &str = "whsec_";
/// The fewest and the most bytes of a secret, as the specification has them.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The most secrets at a time: each is a signature in a header of every callback.
pub const SECRETS_MAX: usize = 8;

/// The secrets that callbacks are signed with, the newest first. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[hmac::Key]>);

impl Secrets {
    /// Reads one `whsec_<base64>` a line; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// What is wrong with which line, without what stands in it.
    pub fn read(text: &str) -> Result<Self, String> {
        let told = |line: &str| !line.is_empty() && !line.starts_with('#');
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| told(line));
        let read = |(at, line): (usize, &str)| key(line).map_err(|why| (at + 1, why));
        let keys: Result<Vec<_>, _> = lines.map(read).collect();
        let keys = keys.map_err(|(line, why)| format!("line {line} {why}"))?;
        match keys.len() {
            0 => Err("it holds no secret: one `whsec_` and base64 a line".to_owned()),
            1..=SECRETS_MAX => Ok(Self(keys.into())),
            many => Err(format!("it holds {many} secrets; at most {SECRETS_MAX} are used")),
        }
    }

    /// The header `webhook-signature` of a body: one signature for each secret, with blanks
    /// between. Nothing without a secret.
    #[must_use]
    pub fn signature(&self, id: &str, timestamp_secs: i64, body: &str) -> Option<String> {
        let signed = format!("{id}.{timestamp_secs}.{body}");
        let one = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())));
        let all: Vec<_> = self.0.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

/// Signs with the newest secrets, which may be others with the next callback. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signer(watch::Receiver<Secrets>);

impl Signer {
    /// Signs with what is in there, whenever it is asked.
    #[must_use]
    pub fn of(newest: watch::Receiver<Secrets>) -> Self {
        Self(newest)
    }

    /// Whether it has a secret.
    #[must_use]
    pub fn signs(&self) -> bool {
        !self.0.borrow().0.is_empty()
    }

    /// The secrets in force.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.0.borrow().clone()
    }
}

/// One without secrets: it signs nothing.
impl Default for Signer {
    fn default() -> Self {
        Self(watch::channel(Secrets::default()).1)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

fn key(line: &str) -> Result<hmac::Key, String> {
    let text = line.strip_prefix(SECRET_PREFIX);
    let text = text.ok_or_else(|| format!("does not begin with `{SECRET_PREFIX}`"))?;
    let bytes = STANDARD.decode(text).map_err(|_| "is not base64".to_owned())?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
        return Err(format!("has {} bytes; a secret has {least} to {most}", bytes.len()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the specification's example.
    const EXAMPLE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secrets: &str) -> Option<String> {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        Secrets::read(secrets).expect("good secrets").signature(id, 1_614_265_330, body)
    }

    #[test]
    fn the_specifications_example_is_signed_as_there() {
        let signed = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(EXAMPLE).as_deref(), Some(signed));
    }

    #[test]
    fn each_secret_signs() {
        let other = format!("whsec_{}", STANDARD.encode([7; 64]));
        let both = signature(&format!("# newest first\n{other}\n\n  {EXAMPLE}  \n"));
        let each = [&*other, EXAMPLE].map(|own| signature(own).expect("signed"));
        assert_eq!(both, Some(each.join(" ")));
        assert_eq!(Secrets::default().signature("id", 1, "{}"), None);
    }

    #[test]
    fn a_bad_file_is_told_by_its_line_and_not_by_its_secret() {
        let why = |text: &str| Secrets::read(text).expect_err("a bad file");
        assert_eq!(why(&format!("{EXAMPLE}\n\nsecret")), "line 3 does not begin with `whsec_`");
        assert_eq!(why("whsec_?"), "line 1 is not base64");
        let short = format!("# short\nwhsec_{}", STANDARD.encode([7; 23]));
        assert_eq!(why(&short), "line 2 has 23 bytes; a secret has 24 to 64");
        assert!(why("\n# none").starts_with("it holds no secret"));
        let many = [EXAMPLE; SECRETS_MAX + 1].join("\n");
        assert_eq!(why(&many), "it holds 9 secrets; at most 8 are used");
        let shown = format!("{:?}", Secrets::read(EXAMPLE));
        assert_eq!(shown, "Ok(Secrets(1))");
    }
}

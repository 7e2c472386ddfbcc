//! How the body of a callback is written, and what goes with it; part of the format.

use serde::{Deserialize, Serialize};

/// How the body of a callback is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallbackForm {
    /// Our own.
    #[default]
    Backstitch,
    /// A CloudEvent 1.0 in structured mode.
    CloudEvents,
    /// A message for an incoming webhook of Slack.
    Slack,
    /// An event for PagerDuty's Events API 2.
    PagerDuty {
        /// The integration that it is for.
        routing_key: String,
    },
    /// One that says more than those before can hold. Only made by [`CallbackForm::of`].
    Furnished(Box<Furnished>),
}

/// A form with what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Furnished {
    /// How it is written.
    pub body: BodyForm,
    /// Further headers: names in lower case, in alphabetical order. Texts may refer to secrets.
    pub headers: Vec<(String, String)>,
}

/// For whom a body is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyForm {
    /// For receivers of our own form.
    Backstitch,
    /// For receivers of CloudEvents.
    CloudEvents,
    /// For Slack.
    Slack,
    /// For PagerDuty.
    PagerDuty {
        /// The integration that it is for; may refer to a secret.
        routing_key: String,
    },
    /// For the Alert API 2 of Opsgenie.
    Opsgenie {
        /// The integration that it is for; may refer to a secret.
        api_key: String,
    },
}

impl CallbackForm {
    /// The word of each form.
    pub const WORDS: [&'static str; 5] =
        ["backstitch", "cloudevents", "slack", "pagerduty", "opsgenie"];

    /// The form with these headers: the same wish is always the same form.
    #[must_use]
    pub fn of(body: BodyForm, headers: Vec<(String, String)>) -> Self {
        match body {
            _ if !headers.is_empty() => Self::Furnished(Box::new(Furnished { body, headers })),
            BodyForm::Backstitch => Self::Backstitch,
            BodyForm::CloudEvents => Self::CloudEvents,
            BodyForm::Slack => Self::Slack,
            BodyForm::PagerDuty { routing_key } => Self::PagerDuty { routing_key },
            BodyForm::Opsgenie { .. } => Self::Furnished(Box::new(Furnished { body, headers })),
        }
    }

    /// For whom the body is written.
    #[must_use]
    pub fn body(&self) -> BodyForm {
        match self {
            Self::Backstitch => BodyForm::Backstitch,
            Self::CloudEvents => BodyForm::CloudEvents,
            Self::Slack => BodyForm::Slack,
            Self::PagerDuty { routing_key } => {
                BodyForm::PagerDuty { routing_key: routing_key.clone() }
            }
            Self::Furnished(own) => own.body.clone(),
        }
    }

    /// Further headers.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        match self {
            Self::Furnished(own) => &own.headers,
            _ => &[],
        }
    }

    /// The word of the form.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let [backstitch, cloudevents, slack, pagerduty, opsgenie] = Self::WORDS;
        match self.body() {
            BodyForm::Backstitch => backstitch,
            BodyForm::CloudEvents => cloudevents,
            BodyForm::Slack => slack,
            BodyForm::PagerDuty { .. } => pagerduty,
            BodyForm::Opsgenie { .. } => opsgenie,
        }
    }

    /// The media type of a body.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.body() {
            BodyForm::CloudEvents => "application/cloudevents+json",
            BodyForm::Backstitch
            | BodyForm::Slack
            | BodyForm::PagerDuty { .. }
            | BodyForm::Opsgenie { .. } => "application/json",
        }
    }
}

impl BodyForm {
    /// The field that holds the key of an integration, and the key, if it is for one.
    #[must_use]
    pub fn key(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Backstitch | Self::CloudEvents | Self::Slack => None,
            Self::PagerDuty { routing_key } => Some(("routing_key", routing_key)),
            Self::Opsgenie { api_key } => Some(("api_key", api_key)),
        }
    }
}

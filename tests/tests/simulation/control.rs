//! People who pause, resume, settle by hand and roll back, and senders of signals.

use backstitch_core::command::Command;
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_saga::partition::Input;
use serde_json::json;

use super::world::{Asked, World};

impl World {
    /// Something is done to a run, whether it makes sense there or not.
    pub fn control(&mut self, run: ExecutionId) {
        let (reason, actor) = ("by hand".to_owned(), "operator".to_owned());
        let step = format!("s{}", self.random.below(7));
        let command = match self.random.below(12) {
            0..=2 => Command::Pause { reason, actor },
            3..=5 => Command::Resume { reason, actor },
            6 => Command::RollBack { reason, actor },
            7 => Command::OverrideStep { step, output: None, reason, actor },
            8 => {
                let output = Some(Payload::of(&json!({ "receipt": "by hand" })));
                Command::OverrideStep { step, output, reason, actor }
            }
            _ => {
                let name = match self.random.below(3) {
                    0 => format!("go-{}", self.random.below(10)),
                    _ => "go".to_owned(),
                };
                let id = self.random.chance(50).then(|| format!("id-{}", self.random.below(20)));
                let payload = Payload::of(&json!({ "by": "sender" }));
                Command::Signal { name: name.into(), payload, id, actor: "sender".to_owned() }
            }
        };
        self.ask(run, Asked::Other, |ticket| Input::Command(run, command, Some(ticket)));
    }
}

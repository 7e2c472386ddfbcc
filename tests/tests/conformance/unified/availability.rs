//! Whether workflows of document 000 take runs.

use serde_json::{Value, json};

use super::WORKFLOWS;
use crate::conformance::report::Report;
use crate::conformance::{Scene, code};

/// A workflow whose definition says so takes no runs.
pub(super) async fn disabled(scene: &Scene, report: &mut Report) {
    let tasks = json!([{ "id": "a", "task_type": "noop" }]);
    let definition = json!({ "id": "switched-off", "enabled": false, "tasks": tasks });
    let (status, made) = scene.post(WORKFLOWS, &definition).await;
    let execute = format!("{WORKFLOWS}/switched-off/execute");
    let (refused, told) = scene.post(&execute, &Value::Null).await;
    let (_, listed) = scene.get(&format!("{WORKFLOWS}?enabled=false")).await;
    let own = &listed["workflows"][0];
    report.holds(
        "000-43",
        [
            (status == 201, &made),
            (refused == 409 && code(&told) == "WORKFLOW_DISABLED", &told),
            (own["id"] == "switched-off" && own["enabled"] == false, &listed),
        ],
    );
}

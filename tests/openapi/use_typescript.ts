// The types that openapi-typescript generates, with openapi-fetch: submit, follow, cancel, letter retry.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Execution = components["schemas"]["Execution"];

function assert(condition: unknown, what: unknown): asserts condition {
  if (!condition) throw new Error(JSON.stringify(what));
}

const [url, key] = process.argv.slice(2);
const client = createClient<paths, "application/json">({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const defined = await client.POST("/api/v1/workflows", {
  body: { id: "greet-ts", steps: [{ id: "a", type: "noop" }] },
});
assert(defined.data?.revision === 1, defined.error);

const ran = await client.POST("/api/v1/workflows/{workflow_id}/execute", {
  params: { path: { workflow_id: "greet-ts" } },
  body: { input: { to: "you" }, wait_seconds: 30 },
});
assert(ran.response.status === 200 && ran.data, ran.error);
const run = ran.data as Execution;
assert(run.status === "completed" && run.steps["a"]?.status === "succeeded", run);

const events = await client.GET("/api/v1/executions/{execution_id}/events", {
  params: { path: { execution_id: run.execution_id }, query: { after_version: 0 } },
});
assert(events.data && events.data.events.length > 2, events.error);

const begun = await client.POST("/api/v1/workflows/{workflow_id}/execute", {
  params: { path: { workflow_id: "slow" } },
  body: {},
});
assert(begun.response.status === 202 && begun.data, begun.error);
const path = { execution_id: begun.data.execution_id };
const cancelled = await client.POST("/api/v1/executions/{execution_id}/cancel", {
  params: { path },
  body: { reason: "no more" },
});
assert(cancelled.data, cancelled.error);
for (;;) {
  const shown = await client.GET("/api/v1/executions/{execution_id}", { params: { path } });
  if (shown.data?.status === "cancelled") break;
}

const letters = await client.GET("/api/v1/dlq");
const letter = letters.data?.letters[0];
assert(letter, letters.error);
const retried = await client.POST("/api/v1/dlq/{letter_id}/retry", {
  params: { path: { letter_id: letter.letter_id } },
  body: { reason: "again" },
});
assert(retried.data?.letter_id === letter.letter_id, retried.error);

const missing = await client.GET("/api/v1/executions/{execution_id}", {
  params: { path: { execution_id: "exec_nothing" } },
});
assert(missing.error?.error_code === "EXECUTION_NOT_FOUND", missing);

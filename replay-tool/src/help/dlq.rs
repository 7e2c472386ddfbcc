//! The examples of `dlq` and its commands.

/// `dlq`
pub const DLQ: &str = "\
Examples:
  replay-tool dlq stats
  replay-tool dlq list --kind undo
  replay-tool --server http://127.0.0.1:8080 dlq retry dlq_00030000000000000000000000000000019a_0

Offline and online. Offline, `retry` and `discard` record the decision; what follows of it
happens at the server's next start.";

/// `dlq assign`
pub const DLQ_ASSIGN: &str = "\
Examples:
  replay-tool dlq assign dlq_00030000000000000000000000000000019a_0 --to ann
  replay-tool dlq list --assignee ann
  replay-tool dlq assign dlq_00030000000000000000000000000000019a_0 --nobody

Offline and online, open letters only.";

/// `dlq note`
pub const DLQ_NOTE: &str = "\
Examples:
  replay-tool dlq note dlq_00030000000000000000000000000000019a_0 --text 'the bank looks at it'

Offline and online. A letter keeps 100 notes; `dlq show` prints them.";

/// `dlq list`
pub const DLQ_LIST: &str = "\
Examples:
  replay-tool dlq list
  replay-tool dlq list --status all --workflow order --code HTTP_STATUS
  replay-tool --json dlq list --kind undo | jq -r '.letters[].letter_id'

Offline and online.";

/// `dlq groups`
pub const DLQ_GROUPS: &str = "\
Examples:
  replay-tool dlq groups
  replay-tool dlq groups --workflow order --status all
  replay-tool dlq list --fingerprint 3b8f02c4d5e6a7b9

Offline and online.";

/// `dlq show`
pub const DLQ_SHOW: &str = "\
Examples:
  replay-tool dlq show dlq_00030000000000000000000000000000019a_0

Offline and online.";

/// `dlq stats`
pub const DLQ_STATS: &str = "\
Examples:
  replay-tool dlq stats
  replay-tool --json dlq stats | jq .by_code

Offline and online.";

/// `dlq retry`
pub const DLQ_RETRY: &str = "\
Examples:
  replay-tool dlq retry dlq_00030000000000000000000000000000019a_0
  replay-tool --json dlq list --code HTTP_STATUS | jq -r '.letters[].letter_id' \\
    | xargs replay-tool dlq retry
  replay-tool dlq retry dlq_00030000000000000000000000000000019a_0 --input fixed.json \\
    --reason 'the right card'

Offline and online. Offline the directory is taken exclusively, and the operation itself runs
at the server's next start. Each letter is answered for itself; exit code 1 if one of them
was refused.";

/// `dlq discard`
pub const DLQ_DISCARD: &str = "\
Examples:
  replay-tool dlq discard dlq_00030000000000000000000000000000019a_0 --reason 'refunded by hand'

Offline and online, as `dlq retry`.";

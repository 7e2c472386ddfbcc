//! What stands below each command's help: examples, and where the command works.

mod dlq;

pub use dlq::{
    DLQ, DLQ_ASSIGN, DLQ_DISCARD, DLQ_GROUPS, DLQ_LIST, DLQ_NOTE, DLQ_RETRY, DLQ_SHOW, DLQ_STATS,
};

/// Below the help of the whole program.
pub const ALL: &str = "\
Examples:
  replay-tool --data-dir backstitch-data list --status failed
  replay-tool --server http://127.0.0.1:8080 dlq list
  replay-tool timeline exec_0003019a
  replay-tool --json events exec_0003019a | jq '.events[].type'
  replay-tool verify && echo whole

An ID may be shortened as long as it is the beginning of one run only. Every command has
examples in its own help: replay-tool timeline --help. Work on a directory needs its server
stopped; commands that change something take it for themselves.

Exit codes:
  0  done
  1  the answer is no: no such run, version or letter, an ID that several runs begin with,
     problems found by `verify`, runs that `export` or `import` left out, a refusal, or a
     directory, a file or an output that cannot be written
  2  the command line is wrong, or the command does not work there
  3  the directory cannot be read: missing, not a data directory, in use by a server,
     of a newer format, or damaged
  4  a mistake in replay-tool itself
  5  the server cannot be reached, has no time, or is no Backstitch server";

/// `list`
pub const LIST: &str = "\
Examples:
  replay-tool list
  replay-tool list --status compensation_failed --workflow order --limit 500
  replay-tool list --tag vip --submitted-after 2026-01-31T00:00:00Z --order asc
  replay-tool --json list | jq -r '.executions[].execution_id'

Offline and online. `quarantined` runs can be listed offline only.";

/// `show`
pub const SHOW: &str = "\
Examples:
  replay-tool show exec_0003019a
  replay-tool --json show exec_0003019a | jq .error

Offline and online.";

/// `why`
pub const WHY: &str = "\
Examples:
  replay-tool why exec_0003019a
  replay-tool --json why exec_0003019a | jq .blockers

Offline and online.";

/// `timeline`
pub const TIMELINE: &str = "\
Examples:
  replay-tool timeline exec_0003019a
  replay-tool --width 200 timeline --all exec_0003019a
  replay-tool --color always timeline exec_0003019a | less -R

Offline and online. A run of many steps shows neighbours that went alike on one line; --all
draws each. --ascii is chosen by itself on a terminal whose locale is not UTF-8.";

/// `events`
pub const EVENTS: &str = "\
Examples:
  replay-tool events exec_0003019a
  replay-tool --json events exec_0003019a | jq '.events[] | select(.type == \"StepFailed\")'

Offline and online.";

/// `state`
pub const STATE: &str = "\
Examples:
  replay-tool state exec_0003019a --version 12
  replay-tool state exec_0003019a --at 2026-01-31T03:00:00Z

Offline and online. `events` shows the versions and their instants.";

/// `diff`
pub const DIFF: &str = "\
Examples:
  replay-tool diff exec_0003019a
  replay-tool diff exec_0003019a --from 12 --to 2026-01-31T03:00:00Z

Offline and online. A point is a version (a number) or an instant.";

/// `compare`
pub const COMPARE: &str = "\
Examples:
  replay-tool compare exec_0003019a exec_0007ff02
  replay-tool --json compare exec_0003019a exec_0007ff02 | jq .first_divergence

Offline and online. Runs are aligned by what their steps did, not by time.";

/// `verify`
pub const VERIFY: &str = "\
Examples:
  replay-tool verify && echo whole
  replay-tool --data-dir /backups/monday --json verify | jq .problems

Offline only. Changes nothing. Exit code 0 if everything is whole, 1 if not. What is `healable`
is whole elsewhere: the next start or `salvage` puts it right, and of a backup
the next run of it.";

/// `backup`
pub const BACKUP: &str = "\
Examples:
  replay-tool --data-dir backstitch-data backup /backups/monday
  replay-tool --data-dir /backups/monday verify

  replay-tool --server http://127.0.0.1:8080 backup nightly

Offline and online. Online the directory is a name below the server's `backup_directory`. A
backup that was broken off goes on where it was. Online an interrupted command leaves it to the
server, which goes on; the same command again waits for it.";

/// `restore`
pub const RESTORE: &str = "\
Examples:
  replay-tool --data-dir /backups/monday restore /srv/restored --at 2026-01-31T03:00:00Z --dry-run
  replay-tool --data-dir /backups/monday restore /srv/restored --at 2026-01-31T03:00:00Z

Offline only. The source is never changed. Effects that happened after the point are listed:
they may happen again when a server starts on what was restored.";

/// `salvage`
pub const SALVAGE: &str = "\
Examples:
  replay-tool --data-dir backstitch-data salvage /srv/salvaged --dry-run
  replay-tool --data-dir backstitch-data salvage /srv/salvaged

Offline only. The source is never changed. Exit code 1 if something was lost.";

/// `archive`
pub const ARCHIVE: &str = "\
Examples:
  replay-tool archive
  replay-tool --json archive | jq .oldest

Offline only. Changes nothing.";

/// `stats`
pub const STATS: &str = "\
Examples:
  replay-tool stats
  replay-tool --json stats | jq .bytes
  replay-tool --server http://127.0.0.1:8080 stats --database

Offline and online. Without --database a directory is only read; with it, it is opened as a
server would open it.";

/// `retention`
pub const RETENTION: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 retention plan
  replay-tool --server http://127.0.0.1:8080 retention apply --confirm

Offline and online. Offline the directory is taken exclusively, runs of every namespace are
looked at, and a policy that stands only in a server's settings is not known: name its file with
--policy.";

/// `retention policy`
pub const RETENTION_POLICY: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 --json retention policy | jq .policy > policy.json

Offline and online. Offline the policy that was set by the API is shown; one of a server's
settings is not in the directory.";

/// `retention plan`
pub const RETENTION_PLAN: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 retention plan
  replay-tool --server http://127.0.0.1:8080 retention plan --policy policy.json --limit 1000
  replay-tool --data-dir backstitch-data retention plan --policy policy.json

Offline and online. Nothing changes.";

/// `retention apply`
pub const RETENTION_APPLY: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 retention apply --confirm
  replay-tool --server http://127.0.0.1:8080 retention apply --policy policy.json --confirm
  replay-tool --data-dir backstitch-data retention apply --policy policy.json --confirm

Offline and online. Online it goes on in the server if this is interrupted; offline what is gone
stays gone, and the same command goes on.";

/// `cut`
pub const CUT: &str = "\
Examples:
  replay-tool cut plan --keep-for 90d
  replay-tool --server http://127.0.0.1:8080 cut apply --keep-for 90d --confirm

Offline and online. Whole segments go; what is kept of them stays in a base, so that every
retained run can still be read and the store be made anew.";

/// `cut plan`
pub const CUT_PLAN: &str = "\
Examples:
  replay-tool cut plan --keep-for 90d
  replay-tool --server http://127.0.0.1:8080 --json cut plan --before 2026-01-31T00:00:00Z

Offline and online. Nothing is cut. Offline the directory is opened as a server would open it.";

/// `cut apply`
pub const CUT_APPLY: &str = "\
Examples:
  replay-tool cut apply --keep-for 90d --confirm --actor 'night shift'
  replay-tool --server http://127.0.0.1:8080 cut apply --before 2026-01-31T00:00:00Z --confirm

Offline and online. Recorded in every partition first; a cut that was broken off is finished by
the next one, or when a server starts.";

/// `key`
pub const KEY: &str = "\
Examples:
  replay-tool --data-dir backstitch-data key --name operator --permission '*' --expires 90d

Offline only; a server makes keys by `backstitch token create`. The key is printed once and kept
nowhere: only its hash is recorded. Start the server with --authentication on.";

/// `fork`
pub const FORK: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 fork EXECUTION --from charge --reason 'card renewed'
  replay-tool fork EXECUTION --version 12 --input mended.json --reason 'wrong amount'

Online only. The new run keeps what the other steps did; the run itself stays as it is.";

/// `replays`
pub const REPLAYS: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 replays list
  replay-tool --server http://127.0.0.1:8080 replays start --url http://127.0.0.1:9000/events

Online only. A replay delivers recorded events again; it never runs a step.";

/// `replays list`
pub const REPLAYS_LIST: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 replays list

Online only.";

/// `replays show`
pub const REPLAYS_SHOW: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 --json replays show REPLAY | jq .delivered

Online only.";

/// `replays start`
pub const REPLAYS_START: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 replays start --url http://127.0.0.1:9000/events \\
    --from 2026-01-31T00:00:00Z --to 2026-02-01T00:00:00Z --workflow order --rate 100
  replay-tool --server http://127.0.0.1:8080 replays start --view runs

Online only. Answers once the replay is recorded; it goes on in the server, also behind a
restart. A view is made anew from the whole history: it takes no range, filter or rate.";

/// `replays stop`
pub const REPLAYS_STOP: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 replays stop REPLAY --reason 'the receiver is full'

Online only.";

/// `replays resume`
pub const REPLAYS_RESUME: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 replays resume REPLAY

Online only. What was delivered since the last recorded progress may be delivered again.";

/// `rebuild`
pub const REBUILD: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 rebuild
  replay-tool --server http://127.0.0.1:8080 rebuild --view runs
  replay-tool --data-dir backstitch-data rebuild

Offline and online. The old view serves until the new one is whole; what breaks off leaves it
in force. A view that cannot prove itself is made anew at the next start by itself.";

/// `export`
pub const EXPORT: &str = "\
Examples:
  replay-tool export exec_0003019a --output run.jsonl
  replay-tool export --workflow order --status failed --redact card,/customer/email -o failed.jsonl
  replay-tool --server http://127.0.0.1:8080 export --status completed -o completed.jsonl
  replay-tool export --tag vip --ended-after 2026-01-01T00:00:00Z -o vip.jsonl

Offline and online. Fields named by --redact are replaced by \"[redacted]\". The file appears
under its name when it is whole. Exit code 1 if a run was left out because it does not fold.";

/// `import`
pub const IMPORT: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 import runs.jsonl
  replay-tool --data-dir backstitch-data import runs.jsonl --actor 'night shift'

Offline and online. Only closed runs are taken in, with their whole histories; one that is here
already, the same, is passed over. Offline the directory is taken exclusively, and must hold a
store: a server makes one at its first start. The same file can be taken again and goes on where
it broke off. Exit code 1 if a run was refused, or is here with another history.";

/// `payload`
pub const PAYLOAD: &str = "\
Examples:
  replay-tool --json events exec_0003019a | jq -r '.events[].kept_beside[].digest'
  replay-tool --server http://127.0.0.1:8080 payload collect --dry-run

Online only: the server that owns the payloads knows who names them.";

/// `payload show`
pub const PAYLOAD_SHOW: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 payload show DIGEST

Online only.";

/// `payload erase`
pub const PAYLOAD_ERASE: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 payload erase DIGEST --dry-run
  replay-tool --server http://127.0.0.1:8080 payload erase DIGEST --reason 'asked by the customer'

Online only. Recorded first, then gone for good. The hash chain still covers the digest.";

/// `payload collect`
pub const PAYLOAD_COLLECT: &str = "\
Examples:
  replay-tool --server http://127.0.0.1:8080 payload collect --dry-run

Online only.";

/// `completions`
pub const COMPLETIONS: &str = "\
Examples:
  replay-tool completions bash > /etc/bash_completion.d/replay-tool
  replay-tool completions zsh > ~/.zfunc/_replay-tool";

/// `man`
pub const MAN: &str = "\
Examples:
  replay-tool man | man -l -
  replay-tool man --directory /usr/local/share/man/man1";

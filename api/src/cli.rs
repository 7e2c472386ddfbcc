//! The command line: what `backstitch` can be told, and how it explains itself.

mod serve;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::commands::{runs, workflows};
use crate::{Error, commands, demo};

pub use serve::ServeFlags;

const AFTER_HELP: &str = "\
Examples:
  backstitch demo                                  see it at work: a shop, a crash, the books
  backstitch serve --data-dir ./backstitch-data    serve on http://127.0.0.1:8080
  backstitch validate order.yaml                   every problem of a definition, with its place
  backstitch dry-run order.yaml --mocks mocks.yaml played with mocks, on virtual time
  backstitch test order.yaml --every-fault         every step fails, every moment is a crash
  backstitch apply workflows/                      define what is in a folder, begin nothing
  backstitch submit order.yaml --input '{\"order_id\":\"o-1\",\"amount\":5}' --follow
  backstitch follow exec_...                       a run live, from its beginning to its end
  backstitch list --active                         runs that have not ended
  backstitch why exec_...                          what a run waits for, and since when

Exit codes:
  0  done
  1  the command failed, or what it checked is wrong
  2  the command line, the environment or the configuration file is wrong, or a file that
     they name can't be read
  3  the data directory can't be used: locked, foreign, unwritable, full or damaged
  4  the address is in use or may not be listened on
  5  the journal failed while the server ran
  130  a second signal ended the server at once";

const AFTER_COMPLETION: &str = "\
Examples:
  backstitch completion bash > /etc/bash_completion.d/backstitch
  backstitch completion zsh > ~/.zfunc/_backstitch";

/// A durable orchestrator: every step of a workflow is in a journal before anything acts on it.
#[derive(Debug, Parser)]
#[command(name = "backstitch", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API over a data directory
    Serve(Box<ServeFlags>),
    /// Check a definition without a server: every problem with its place
    Validate(commands::validate::Flags),
    /// Play a run of a definition with mocks or past answers: nothing is called or recorded
    DryRun(commands::dry_run::Flags),
    /// Run a definition under every fault, in a server of its own unless told otherwise, and say
    /// what is left behind
    Test(commands::test::Flags),
    /// Define workflows at a running server, or make them new revisions; no run is begun
    Apply(commands::apply::Flags),
    /// List the templates: definitions to begin with
    Templates,
    /// Print a template's definition, or define a workflow of it
    New(commands::templates::NewFlags),
    /// Define a workflow at a running server and begin a run of it
    Submit(commands::submit::SubmitFlags),
    /// The same, and show the run until it ends; exit 0 if it completes, 1 otherwise
    Run(commands::submit::Flags),
    /// Show a run, a workflow or everything live
    Follow(commands::follow::Flags),
    /// Show a run as it stands
    Get(runs::OneFlags),
    /// List runs, the newest first
    List(runs::ListFlags),
    /// Show the items of a loop, and what became of each
    Items(runs::ItemsFlags),
    /// Show whom a run told of what, and what came of it
    Callbacks(runs::OneFlags),
    /// Send a callback of a run again
    Redeliver(runs::RedeliverFlags),
    /// Say what a run waits for, and since when
    Why(runs::OneFlags),
    /// Stop a run; what was done is undone as its workflow says
    Cancel(runs::CancelFlags),
    /// Start no step of a run until it is resumed
    Pause(runs::ActFlags),
    /// Have a suspended run go on
    Resume(runs::ActFlags),
    /// Undo what a run did, or what builds on a step of it, or say what that would undo
    Rollback(runs::RollbackFlags),
    /// Say what became of undos that wait for a person or have failed
    Undo(runs::UndoFlags),
    /// Hand a run a signal; it is kept until a step takes it
    Signal(runs::SignalFlags),
    /// Try a dead letter again, or those of a run that can be retried where it stands
    Retry(runs::RetryFlags),
    /// Run an ended run again from a step or a version on, as a new run that keeps the rest
    Rerun(runs::RerunFlags),
    /// Have a run, or every run of a workflow, go on with another revision
    Migrate(runs::MigrateFlags),
    /// Skip a step of a suspended run
    SkipStep(runs::SkipFlags),
    /// Say what a step of a suspended run is taken to have answered
    SetOutput(runs::OutputFlags),
    /// Look at dead letters, try them again, give them up
    #[command(subcommand)]
    Dlq(commands::dlq::Dlq),
    /// Say which revision new runs of a workflow get: roll-outs, A/B, beta, kill switch
    #[command(subcommand)]
    Rollout(commands::rollout::Rollout),
    /// List workflows and how they stand
    Workflows(workflows::ListFlags),
    /// Have runs of a disabled workflow begin again
    Enable(commands::rollout::ActFlags),
    /// Let no run of a workflow begin; those under way go on
    Disable(commands::rollout::ActFlags),
    /// Take a workflow out of use: no runs, no revisions, and no list shows it
    Archive(commands::rollout::ActFlags),
    /// Take an archived workflow into use again
    Restore(commands::rollout::ActFlags),
    /// Let the revisions of an archived workflow go of which no run is kept
    Purge(commands::rollout::ActFlags),
    /// Show how much may go on at a time, who holds what, and who waits
    Limits(runs::At),
    /// Show the circuit breakers before services; open, close, release or reset one
    Breakers(commands::breakers::Flags),
    /// Show the server's log, and set how much is logged
    Logs(Box<commands::logs::Flags>),
    /// Show who did what, and what it changed
    Audit(commands::audit::Flags),
    /// Have a server read its configuration file again, and say what changed
    Reload(runs::At),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Token(commands::token::Token),
    /// Operate a server or its data directory
    #[command(subcommand)]
    Admin(commands::admin::Admin),
    /// Print completions for a shell
    Completion(CompletionFlags),
    /// Show it at work: a shop, its orders, a kill -9 halfway, and the books at the end
    Demo(demo::Flags),
}

/// What `completion` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_COMPLETION)]
pub struct CompletionFlags {
    /// Which shell
    pub shell: clap_complete::Shell,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// As the command says.
    pub async fn run(self) -> Result<(), Error> {
        match self {
            Self::Serve(flags) => commands::serve::run(&flags).await,
            Self::Validate(flags) => commands::validate::run(&flags),
            Self::DryRun(flags) => commands::dry_run::run(&flags).await,
            Self::Test(flags) => commands::test::run(flags).await,
            Self::Apply(flags) => commands::apply::run(flags).await,
            Self::Templates => commands::templates::list(),
            Self::New(flags) => commands::templates::new(flags).await,
            Self::Submit(flags) => commands::submit::submit(flags).await,
            Self::Run(flags) => commands::submit::run(flags).await,
            Self::Follow(flags) => commands::follow::run(flags).await,
            Self::Get(flags) => runs::get(flags).await,
            Self::List(flags) => runs::list(flags).await,
            Self::Items(flags) => runs::items(flags).await,
            Self::Callbacks(flags) => runs::callbacks(flags).await,
            Self::Redeliver(flags) => runs::redeliver(flags).await,
            Self::Why(flags) => runs::why(flags).await,
            Self::Cancel(flags) => runs::cancel(flags).await,
            Self::Pause(flags) => runs::act(flags, "pause").await,
            Self::Resume(flags) => runs::act(flags, "resume").await,
            Self::Rollback(flags) => runs::roll_back(flags).await,
            Self::Undo(flags) => runs::undo(flags).await,
            Self::Signal(flags) => runs::signal(flags).await,
            Self::Retry(flags) => runs::retry(flags).await,
            Self::Rerun(flags) => runs::rerun(flags).await,
            Self::Migrate(flags) => runs::migrate(flags).await,
            Self::SkipStep(flags) => runs::skip_step(flags).await,
            Self::SetOutput(flags) => runs::set_output(flags).await,
            Self::Dlq(dlq) => commands::dlq::run(dlq).await,
            Self::Rollout(rollout) => commands::rollout::run(rollout).await,
            Self::Workflows(flags) => workflows::workflows(flags).await,
            Self::Enable(flags) => workflows::act(flags, "enable").await,
            Self::Disable(flags) => workflows::act(flags, "disable").await,
            Self::Archive(flags) => workflows::act(flags, "archive").await,
            Self::Restore(flags) => workflows::act(flags, "restore").await,
            Self::Purge(flags) => workflows::purge(flags).await,
            Self::Limits(at) => commands::limits::run(at).await,
            Self::Breakers(flags) => commands::breakers::run(flags).await,
            Self::Logs(flags) => commands::logs::run(*flags).await,
            Self::Audit(flags) => commands::audit::run(flags).await,
            Self::Reload(at) => commands::reload::run(at).await,
            Self::Token(token) => commands::token::run(token).await,
            Self::Admin(admin) => commands::admin::run(admin).await,
            Self::Completion(flags) => {
                let (cli, mut stdout) = (&mut Cli::command(), std::io::stdout());
                clap_complete::generate(flags.shell, cli, "backstitch", &mut stdout);
                Ok(())
            }
            Self::Demo(flags) => demo::run(flags).await,
        }
    }
}

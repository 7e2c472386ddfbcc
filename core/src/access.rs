//! Who may do what: permissions, and the words for them.
//!
//! Knows nothing of how somebody proves who they are: that is the shell's.

use std::collections::BTreeSet;

use crate::api_keys::KEY_ID_PREFIX;

/// The word that stands for every permission, those still to come included.
pub const EVERYTHING: &str = "*";

/// Names under which the program itself acts, or somebody whom it does not know.
const OWN_NAMES: [&str; 4] = ["anonymous", "backstitch", "retention", "shutdown"];
/// What the ids of runs, redrives, replays and keys begin with, which act, too.
const OWN_PREFIXES: [&str; 4] = ["exec_", "redrive_", "replay_", KEY_ID_PREFIX];

/// Whether nobody from outside may be called so: what they do would look like somebody else's deed.
#[must_use]
pub fn is_taken_name(name: &str) -> bool {
    OWN_NAMES.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// One thing that a caller may be allowed. None of them includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Read definitions, revisions, roll-outs and statistics; check and rehearse definitions.
    WorkflowsRead,
    /// Define workflows, roll revisions out, disable and archive them.
    WorkflowsWrite,
    /// Let the revisions of archived workflows go.
    WorkflowsPurge,
    /// Begin runs.
    WorkflowsExecute,
    /// Cancel runs.
    WorkflowsCancel,
    /// Read runs, their events and why they wait.
    ExecutionsRead,
    /// Pause, resume, roll back, fork and migrate runs; set steps and undos by hand.
    ExecutionsControl,
    /// Send signals to runs.
    ExecutionsSignal,
    /// Read dead letters and redrives.
    LettersRead,
    /// Retry, discard, assign and note dead letters; begin and steer redrives.
    LettersWrite,
    /// Change and read schedules.
    SchedulesAdmin,
    /// Register and steer services and executors of tasks.
    ServicesAdmin,
    /// Read the audit.
    AuditRead,
    /// List API keys.
    KeysRead,
    /// Make and revoke API keys.
    KeysWrite,
    /// Make, list and revoke API keys of other namespaces.
    NamespacesAdmin,
    /// Read limits, who holds them, and breakers.
    LimitsRead,
    /// Read metrics, the state of the server, caches, backups and policies.
    OperationsRead,
    /// Read policies, environments, adapters, alert channels and alert rules.
    ConfigurationRead,
    /// Set and remove policies, environments, adapters, alert channels and alert rules.
    ConfigurationWrite,
    /// Open, close, release and reset breakers.
    BreakersWrite,
    /// Empty the result cache.
    CacheWrite,
    /// Read the whole history of the store, and export it.
    HistoryRead,
    /// Import runs.
    HistoryImport,
    /// Read replays of recorded events.
    ReplaysRead,
    /// Begin and steer replays.
    ReplaysWrite,
    /// Set and apply retention, cut the log.
    RetentionWrite,
    /// Read, collect and erase payloads by their digests.
    PayloadsAdmin,
    /// Begin and cancel backups.
    BackupsWrite,
    /// Make views anew.
    ViewsWrite,
    /// Read the server's log, which tells of every namespace.
    LogsRead,
    /// Set how much is logged.
    LogsWrite,
    /// Have the settings of the node read again.
    SettingsReload,
}

impl Permission {
    /// Every permission and its word.
    pub const WORDS: [(Self, &'static str); 33] = [
        (Self::WorkflowsRead, "workflows:read"),
        (Self::WorkflowsWrite, "workflows:write"),
        (Self::WorkflowsPurge, "workflows:purge"),
        (Self::WorkflowsExecute, "workflows:execute"),
        (Self::WorkflowsCancel, "workflows:cancel"),
        (Self::ExecutionsRead, "executions:read"),
        (Self::ExecutionsControl, "executions:control"),
        (Self::ExecutionsSignal, "executions:signal"),
        (Self::LettersRead, "letters:read"),
        (Self::LettersWrite, "letters:write"),
        (Self::SchedulesAdmin, "schedules:admin"),
        (Self::ServicesAdmin, "services:admin"),
        (Self::AuditRead, "audit:read"),
        (Self::KeysRead, "keys:read"),
        (Self::KeysWrite, "keys:write"),
        (Self::NamespacesAdmin, "namespaces:admin"),
        (Self::LimitsRead, "limits:read"),
        (Self::OperationsRead, "operations:read"),
        (Self::ConfigurationRead, "configuration:read"),
        (Self::ConfigurationWrite, "configuration:write"),
        (Self::BreakersWrite, "breakers:write"),
        (Self::CacheWrite, "cache:write"),
        (Self::HistoryRead, "history:read"),
        (Self::HistoryImport, "history:import"),
        (Self::ReplaysRead, "replays:read"),
        (Self::ReplaysWrite, "replays:write"),
        (Self::RetentionWrite, "retention:write"),
        (Self::PayloadsAdmin, "payloads:admin"),
        (Self::BackupsWrite, "backups:write"),
        (Self::ViewsWrite, "views:write"),
        (Self::LogsRead, "logs:read"),
        (Self::LogsWrite, "logs:write"),
        (Self::SettingsReload, "settings:reload"),
    ];

    /// The word of the permission.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(own, _)| *own == self).map_or("", |(_, word)| word)
    }

    /// The permission of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, own)| *own == word).map(|(own, _)| *own)
    }

    /// Whether it concerns the store as a whole and not what one namespace has in it. Such a
    /// permission counts in the default namespace only.
    #[must_use]
    pub fn is_of_the_store(self) -> bool {
        match self {
            Self::WorkflowsRead
            | Self::WorkflowsWrite
            | Self::WorkflowsPurge
            | Self::WorkflowsExecute
            | Self::WorkflowsCancel
            | Self::ExecutionsRead
            | Self::ExecutionsControl
            | Self::ExecutionsSignal
            | Self::LettersRead
            | Self::LettersWrite
            | Self::SchedulesAdmin
            | Self::AuditRead
            | Self::KeysRead
            | Self::KeysWrite
            | Self::LimitsRead
            | Self::ConfigurationRead
            | Self::ConfigurationWrite
            | Self::BreakersWrite => false,
            Self::ServicesAdmin
            | Self::NamespacesAdmin
            | Self::OperationsRead
            | Self::CacheWrite
            | Self::HistoryRead
            | Self::HistoryImport
            | Self::ReplaysRead
            | Self::ReplaysWrite
            | Self::RetentionWrite
            | Self::PayloadsAdmin
            | Self::BackupsWrite
            | Self::ViewsWrite
            | Self::LogsRead
            | Self::LogsWrite
            | Self::SettingsReload => true,
        }
    }
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    everything: bool,
    single: BTreeSet<Permission>,
}

impl Permissions {
    /// Every permission, those still to come included.
    #[must_use]
    pub fn everything() -> Self {
        Self { everything: true, single: BTreeSet::new() }
    }

    /// The permissions of some words; words that are none of this version's allow nothing.
    #[must_use]
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut own = Self::default();
        for word in words {
            own.everything |= word == EVERYTHING;
            own.single.extend(Permission::of_word(word));
        }
        own
    }

    /// Whether one is among them.
    #[must_use]
    pub fn allow(&self, permission: Permission) -> bool {
        self.everything || self.single.contains(&permission)
    }

    /// The words of others that are not among them: what nobody with these may give away.
    #[must_use]
    pub fn lack<'a>(&self, words: &'a [String]) -> Vec<&'a str> {
        let has = |word: &&str| {
            self.everything || Permission::of_word(word).is_some_and(|own| self.allow(own))
        };
        words.iter().map(String::as_str).filter(|word| !has(word)).collect()
    }

    /// Their words.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        match self.everything {
            true => vec![EVERYTHING],
            false => self.single.iter().map(|own| own.word()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_one_word_of_its_own() {
        let words: BTreeSet<_> = Permission::WORDS.iter().map(|(_, word)| word).collect();
        let permissions: BTreeSet<_> = Permission::WORDS.iter().map(|(own, _)| own).collect();
        assert_eq!((words.len(), permissions.len()), (33, 33));
        for (own, word) in Permission::WORDS {
            assert_eq!((Permission::of_word(word), own.word()), (Some(own), word));
        }
    }

    #[test]
    fn a_permission_allows_itself_and_nothing_else() {
        for (own, word) in Permission::WORDS {
            let one = Permissions::of_words([word]);
            let allowed: Vec<_> =
                Permission::WORDS.iter().filter(|(other, _)| one.allow(*other)).collect();
            assert_eq!(allowed, [&(own, word)]);
            assert!(Permissions::everything().allow(own) && !Permissions::default().allow(own));
        }
        assert_eq!(Permissions::of_words(["workflows", "Workflows:read", ""]).words(), [""; 0]);
    }

    #[test]
    fn nobody_gives_away_what_they_lack() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let asked: Vec<String> = words(&["workflows:read", "audit:read", EVERYTHING, "new:word"]);
        let one = Permissions::of_words(["workflows:read"]);
        assert_eq!(one.lack(&asked), ["audit:read", EVERYTHING, "new:word"]);
        assert_eq!(Permissions::everything().lack(&asked), [""; 0]);
    }
}

//! `docs/command-line.md` is what `backstitch --help` says, printed; and every command and flag that
//! the documents name beside `backstitch` is there.

use std::fmt::Write as _;

use backstitch_api::cli::Cli;
use clap::{Arg, Command, CommandFactory as _};

use super::sources::{self, Source};

const PAGE: &str = "docs/command-line.md";
const PROGRAM: &str = "backstitch";

const HEAD: &str = "\
# The command line

Every command of `backstitch` with its arguments and flags, as `backstitch COMMAND --help` says them, which has
examples, too. This page is printed from the program. Exit codes, and where the server is looked for, are in
[Configuration](configuration.md#exit-codes); `replay-tool` has [a page of its own](replay-tool.md).
";

fn program() -> Command {
    let mut program = Cli::command();
    program.build();
    program
}

fn printed() -> String {
    let mut page = HEAD.to_owned();
    print(&program(), &mut page);
    page
}

/// The commands below one, each with those below it.
fn print(above: &Command, page: &mut String) {
    for command in above.get_subcommands().filter(|own| own.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        write!(page, "\n## {name}\n\n{about}.\n").expect("texts take all");
        let shown = command.get_arguments().filter(|own| own.get_id() != "help");
        let rows: Vec<_> = shown.map(row).collect();
        if !rows.is_empty() {
            write!(page, "\n| | |\n|---|---|\n{}", rows.concat()).expect("texts take all");
        }
        print(command, page);
    }
}

fn row(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default().join(" ");
    let takes_values = argument.get_action().takes_values();
    let shown = match argument.get_long() {
        Some(long) if takes_values => format!("--{long} {values}"),
        Some(long) => format!("--{long}"),
        None => values,
    };
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<_> =
        argument.get_possible_values().iter().map(|own| own.get_name().to_owned()).collect();
    if takes_values && !words.is_empty() {
        help = format!("{help}: {}", words.join(", "));
    }
    let default = argument.get_default_values().iter().map(|own| own.to_string_lossy());
    let default = default.collect::<Vec<_>>().join(", ");
    if takes_values && !default.is_empty() {
        help = format!("{help} [default: {default}]");
    }
    // Brackets would be links, angles tags, and a bar ends the cell.
    let escaped = |text: &str| text.replace('|', "\\|");
    let help = escaped(&help).replace('[', "(").replace(']', ")").replace('<', "\\<");
    format!("| `{}` | {help} |\n", escaped(&shown))
}

/// What the documents have `backstitch` do that it can't.
fn problems(sources: &[Source]) -> Vec<String> {
    let program = program();
    let pages =
        sources.iter().filter(|own| own.path.ends_with(".md") && own.path != "CHANGELOG.md");
    let told = |page: &Source| -> Vec<String> {
        let calls = calls(&page.text).into_iter();
        calls
            .filter_map(|call| Some(format!("{}: {}", page.path, problem(&program, &call)?)))
            .collect()
    };
    pages.flat_map(told).collect()
}

/// Calls of the program in code blocks, where lines may go on, and in code spans.
fn calls(text: &str) -> Vec<String> {
    let mut calls = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        let part = part.replace("\\\n", " ").replace("\\|", "|");
        let lines: Vec<_> = match at % 2 {
            1 => part.lines().map(str::to_owned).collect(),
            _ => part.split('`').skip(1).step_by(2).map(|own| own.replace('\n', " ")).collect(),
        };
        let called = |line: &String| {
            Some(line.trim_start().strip_prefix(PROGRAM)?.strip_prefix(' ')?.to_owned())
        };
        calls.extend(lines.iter().filter_map(called));
    }
    calls
}

/// What is wrong with a call. Words of which one is to be chosen have bars between them; what is
/// written large stands for something.
fn problem(program: &Command, call: &str) -> Option<String> {
    let mut command = program;
    let mut chosen = vec![command];
    for word in call.split_whitespace().take_while(|own| !["#", "|", "&&", ">"].contains(own)) {
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.split(['=', ',', ';', ']', ')']).next().unwrap_or_default();
            let knows = |own: &Command| {
                own.get_arguments().any(|argument| argument.get_long() == Some(flag))
            };
            if !flag.is_empty() && !chosen.iter().copied().all(knows) {
                return Some(format!("`{PROGRAM} {call}`: there is no --{flag}"));
            }
        } else if command.has_subcommands() {
            let is_word = |own: &str| own.chars().all(|own| own.is_ascii_lowercase() || own == '-');
            if !word.split('|').all(is_word) {
                continue;
            }
            let found: Option<Vec<_>> =
                word.split('|').map(|own| command.find_subcommand(own)).collect();
            match found {
                None => return Some(format!("`{PROGRAM} {call}`: there is no command `{word}`")),
                Some(found) => {
                    command = found[0];
                    chosen = found;
                }
            }
        }
    }
    None
}

#[test]
fn the_page_is_what_the_program_says() {
    let path = sources::root().join(PAGE);
    let printed = printed();
    if std::env::var_os("BACKSTITCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &printed).expect("docs can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == printed,
        "{PAGE} is not what the program says; run this test with BACKSTITCH_WRITE_DOCS=1"
    );
}

#[test]
fn every_command_and_flag_that_is_documented_is_there() {
    super::assert_none("documents name what there is not", &problems(&sources::all()));
}

#[test]
fn commands_and_flags_that_there_are_not_are_found() {
    let page = "`backstitch pause|resume ID --reason TEXT` `backstitch COMMAND --help`\n\
                ```sh\nbackstitch rollout set order --stable 3 \\\n  --sable 4 # --not this\n\
                backstitch conjure\n```\n`backstitch pause|list --reason x`, `backstitch-data --x`";
    let found = problems(&[
        Source::new("docs/page.md", page),
        Source::new("CHANGELOG.md", "`backstitch gone`"),
    ]);
    let expected = [
        "docs/page.md: `backstitch rollout set order --stable 3    --sable 4 # --not this`: there is no --sable",
        "docs/page.md: `backstitch conjure`: there is no command `conjure`",
        "docs/page.md: `backstitch pause|list --reason x`: there is no --reason",
    ];
    assert_eq!(found, expected);
}

//! The program itself: pipes, exit codes, and no colours where nobody can see them.

use std::io::pipe;
use std::process::{Command, Stdio};

use crate::directory::Written;
use crate::runs::{Day, day};

fn program(written: &Written) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay-tool"));
    command.env("BACKSTITCH_DATA_DIR", written.path()).stdin(Stdio::null());
    command
}

#[test]
fn a_reader_that_goes_away_is_no_mistake() {
    let Day { written, undone, .. } = day();
    for arguments in [vec!["list"], vec!["events", &undone], vec!["--help"], vec!["verify"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = program(&written).args(&arguments).stdout(writer).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8(ended.stderr).unwrap(), "", "{arguments:?}");
    }
}

#[test]
fn a_pipe_gets_the_text_as_it_is() {
    let Day { written, undone, .. } = day();
    for arguments in [vec!["timeline", &undone], vec!["--json", "show", &undone]] {
        let ended = program(&written).args(&arguments).output().unwrap();
        assert_eq!(ended.status.code(), Some(0));
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), written.text(&arguments));
    }
}

#[test]
fn the_exit_code_is_the_answers() {
    let Day { written, .. } = day();
    let code =
        |arguments: &[&str]| program(&written).args(arguments).output().unwrap().status.code();
    assert_eq!(code(&["verify"]), Some(0));
    assert_eq!(code(&["show", "exec_0009"]), Some(1));
    assert_eq!(code(&["shw"]), Some(2));
    let bare = program(&written).output().unwrap();
    let words = "replay-tool: no command was given; `replay-tool --help` shows what there is\n";
    assert_eq!((bare.status.code(), bare.stderr.as_slice()), (Some(2), words.as_bytes()));
    assert_eq!(code(&["--data-dir", "nowhere", "list"]), Some(3));
}

#!/usr/bin/env python3
"""Puts one deliberate fault at a time into a copy of the sources and runs the test that is to
catch it. See docs/mutants.md.

    run.py [--every-test] [NAME-OR-PREFIX ...]

Exits with 1 unless every mutant is caught.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

LISTS = pathlib.Path(__file__).resolve().parent
ROOT = LISTS.parent.parent
PLACE = ROOT / "target" / "mutants"
TREE = PLACE / "tree"
BUILD = PLACE / "build"
# A test that has not ended by then hangs.
SECONDS_MAX = 900
CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"


def mutants():
    """All of them, in the order of their lists, so that one crate is built after the other."""
    found = []
    for path in sorted(LISTS.glob("*.toml")):
        with open(path, "rb") as file:
            found += [own | {"list": path.stem} for own in tomllib.load(file)["mutant"]]
    return found


def chosen(all_mutants, wanted):
    def fits(own):
        return any(own["name"].startswith(word) or own["list"] == word for word in wanted)

    return [own for own in all_mutants if not wanted or fits(own)]


def copy_tree():
    """Brings the copy up to date; what is as it was keeps its time, so that it is not rebuilt."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    paths = {path for path in listed.split("\0") if path and (ROOT / path).is_file()}
    for path in sorted(paths):
        source, copy = ROOT / path, TREE / path
        if not copy.is_file() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    for copy in TREE.rglob("*"):
        if copy.is_file() and copy.relative_to(TREE).as_posix() not in paths:
            copy.unlink()


def copy_build():
    """Dependencies that were built already are not built again."""
    if not BUILD.exists() and (ROOT / "target" / "debug").is_dir():
        ignored = shutil.ignore_patterns("incremental", "examples")
        shutil.copytree(ROOT / "target" / "debug", BUILD / "debug", ignore=ignored)


def cargo_test(package, target, names):
    """What each test said (`ok` or `FAILED`), and everything that was printed."""
    which = ["--lib"] if target == "lib" else ["--test", target]
    exact = ["--exact", *names] if names else []
    command = [os.environ.get("CARGO", "cargo"), "test", "--locked", "--package", package, *which]
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("BACKSTITCH_BIN", "REPLAY_TOOL_BIN", "RUSTFLAGS")
    } | {
        "CARGO_TARGET_DIR": str(BUILD),
        # One line changes between two builds, and nobody debugs them.
        "CARGO_INCREMENTAL": "1",
        "CARGO_PROFILE_DEV_DEBUG": "0",
        "CARGO_TERM_COLOR": "never",
        "INSTA_UPDATE": "no",
        "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1",
    }
    process = subprocess.Popen(
        [*command, "--", *exact],
        cwd=TREE, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    try:
        printed, _ = process.communicate(timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        printed += f"\nerror: not ended after {SECONDS_MAX} s"
    # A test of a process may print between its name and its verdict.
    said = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED)$", printed, re.M)
    failed = re.findall(r"^---- (\S+) stdout ----$", printed, re.M)
    return dict(said) | {name: "FAILED" for name in failed}, printed


def why_broken(printed):
    lines = [line for line in printed.splitlines() if line.startswith("error")]
    return "; ".join(lines[:3]) or "the test is not there"


def baseline(selected):
    """Without a fault every named test passes; else a failure would say nothing."""
    targets = {}
    for own in selected:
        test = own["test"]
        targets.setdefault((test["package"], test["target"]), set()).add(test["name"])
    problems = []
    for (package, target), names in targets.items():
        said, printed = cargo_test(package, target, sorted(names))
        wrong = [name for name in sorted(names) if said.get(name) != "ok"]
        if wrong:
            print(printed[-4000:], file=sys.stderr)
        problems += [f"{package} {target} {name}: {said.get(name, why_broken(printed))}" for name in wrong]
    return problems


def try_out(own, every_test):
    """The verdict over one mutant, and what to say about it."""
    file, test = TREE / own["file"], own["test"]
    text = file.read_text()
    if text.count(own["find"]) != 1:
        return BROKEN, f"`find` occurs {text.count(own['find'])} times in {own['file']}"
    file.write_text(text.replace(own["find"], own["replace"]))
    try:
        names = [] if every_test else [test["name"]]
        said, printed = cargo_test(test["package"], test["target"], names)
    finally:
        file.write_text(text)
    failed = [name for name, verdict in said.items() if verdict == "FAILED"]
    if test["name"] in failed:
        return CAUGHT, " ".join(failed) if every_test else ""
    if every_test and failed:
        return SURVIVED, "but others caught it: " + " ".join(failed)
    if said.get(test["name"]) == "ok" or (every_test and said):
        return SURVIVED, own["fault"]
    return BROKEN, why_broken(printed)


def main(arguments):
    every_test = "--every-test" in arguments
    selected = chosen(mutants(), [word for word in arguments if not word.startswith("--")])
    if not selected:
        sys.exit("no mutant has such a name")
    begun = time.monotonic()
    copy_build()
    copy_tree()
    if not every_test and (problems := baseline(selected)):
        sys.exit("without a fault these tests do not pass:\n  " + "\n  ".join(problems))
    print(f"{len(selected)} mutants; built and passed without them in {time.monotonic() - begun:.0f} s")
    counts = dict.fromkeys([CAUGHT, SURVIVED, BROKEN], 0)
    for own in selected:
        since = time.monotonic()
        verdict, told = try_out(own, every_test)
        counts[verdict] += 1
        seconds = time.monotonic() - since
        print(f"{verdict:8} {seconds:6.1f} s  {own['list']:7} {own['name']:44} {told}", flush=True)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"{counted}, {time.monotonic() - begun:.0f} s")
    sys.exit(0 if counts[CAUGHT] == len(selected) else 1)


if __name__ == "__main__":
    main(sys.argv[1:])

"""schemathesis against a real server: requests that the document describes, and many that it does not.

Fails for an answer with 5xx, one that is not described, wrong data that is taken, a server that ends, and fewer cases than
promised. First without authentication, where every case comes to its handler; then with it, by a key with every permission,
where a request without a key and one with a wrong key must be refused as well.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

from server import ROOT, Server, environment

PACKAGES = ["schemathesis==4.32.5"]
CASES_MIN = 5_000
SEED = "20260101"
HERE = ROOT / "tests/openapi"
MANY = ["--max-examples", "30"]
SOME = ["--max-examples", "5"]


def configured(server):
    """The configuration, with ids that are there for half of the parameters that take one."""
    text = (HERE / "schemathesis.toml").read_text()
    for name, ids in server.seed().items():
        text += f"\n[dictionaries.{name}]\nvalues = {json.dumps(ids)}\n"
        text += f'[parameters."path.{name}"]\ndictionary = "{name}"\nprobability = 0.5\n'
    file = pathlib.Path(server.folder.name) / "schemathesis.toml"
    file.write_text(text)
    return file


def run(tool, server, *more):
    """Whether all was well, and how many cases there were."""
    command = [
        tool, "--config-file", configured(server), "run", server.url + "/openapi.json", "--checks", "all",
        "--seed", os.environ.get("SEED") or SEED, "--workers", "2", "--request-timeout", "80",
        "--suppress-health-check", "all", "--continue-on-failure", *more]
    variables = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=server.folder.name, env=variables) as process:
        told = []
        for line in process.stdout:
            print(line, end="", flush=True)
            told.append(line)
    cases = re.search(r"(\d+) generated", "".join(told))
    alive = server.process.poll() is None
    if not alive:
        print("the server ended")
    return process.returncode == 0 and alive, int(cases[1]) if cases else 0


def main():
    short = "--short" in sys.argv
    os.environ["BACKSTITCH_KEY"] = "none"
    tool = environment("schemathesis", PACKAGES) / "bin/schemathesis"
    few = ["--phases", "examples,fuzzing", "--max-examples", "3"]
    with Server(authentication=False) as server:
        # Without authentication nobody's key is looked at.
        open_to_all, cases = run(tool, server, "--exclude-checks", "ignored_auth", *(few if short else MANY))
    if not short and cases < CASES_MIN:
        print(f"{cases} cases, and {CASES_MIN} were promised")
        open_to_all = False
    with Server(authentication=True) as server:
        os.environ["BACKSTITCH_KEY"] = server.key
        guarded, _ = run(tool, server, *(few if short else SOME))
    sys.exit(0 if open_to_all and guarded else 1)


main()

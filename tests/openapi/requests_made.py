"""schemathesis against a real server: requests that the document describes, and many that it does not.

Fails for an answer with 5xx, one that is not described, wrong data that is taken, a server that ends, and fewer cases than
promised. First without authentication, where every case comes to its handler, then a few of each with it.
"""

import os
import re
import subprocess
import sys

from server import ROOT, Server, environment

PACKAGES = ["schemathesis==4.32.5"]
CASES_MIN = 5_000
SEED = "20260101"
HERE = ROOT / "tests/openapi"


def run(tool, server, *more):
    """Whether all was well, and how many cases there were."""
    command = [
        tool, "--config-file", HERE / "schemathesis.toml", "run", server.url + "/openapi.json", "--checks", "all",
        "--seed", os.environ.get("SEED") or SEED, "--workers", "2", "--request-timeout", "60",
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
    os.environ["BACKSTITCH_KEY"] = "none"
    tool = environment("schemathesis", PACKAGES) / "bin/schemathesis"
    with Server(authentication=False) as server:
        server.seed()
        whole, cases = run(tool, server, "--exclude-checks", "ignored_auth", "--max-examples", "30")
    if cases < CASES_MIN:
        print(f"{cases} cases, and {CASES_MIN} were promised")
        whole = False
    if whole:
        with Server(authentication=True) as server:
            server.seed()
            os.environ["BACKSTITCH_KEY"] = server.key
            whole, _ = run(tool, server, "--phases", "examples,fuzzing", "--max-examples", "3")
    sys.exit(0 if whole else 1)


main()

"""schemathesis against a real server: every request that the document describes, and many that it does not.

Fails for an answer with 5xx, one that is not described, wrong data that is taken, and for fewer cases than promised.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from server import ROOT, Server, environment

PACKAGES = ["schemathesis==4.32.5"]
CASES_MIN = 5_000
SEED = "20260101"


def main():
    short = "--short" in sys.argv
    tool = environment("schemathesis", PACKAGES) / "bin/schemathesis"
    with Server(authentication=True) as server, tempfile.TemporaryDirectory() as folder:
        server.seed()
        report = pathlib.Path(folder) / "report.json"
        done = subprocess.run(
            [tool, "--config-file", ROOT / "tests/openapi/schemathesis.toml", "run", server.url + "/openapi.json",
             "--checks", "all", "--max-examples", "5" if short else os.environ.get("EXAMPLES", "40"),
             "--seed", SEED, "--workers", "2", "--header", f"Authorization: Bearer {server.key}",
             "--report", "json", "--report-json-path", report, "--request-timeout", "30",
             "--suppress-health-check", "all", "--continue-on-failure"])
        told = json.loads(report.read_text())
        print(json.dumps({k: v for k, v in told.items() if not isinstance(v, (list, dict))}))
        alive = server.process.poll() is None
    sys.exit(done.returncode or (0 if alive else 1))


main()

"""A server over an empty journal, for tests of its description from outside."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "openapi-tests-openapi-tests-openapi-tests"
WORKFLOW = {
    "id": "order",
    "steps": [
        {"id": "reserve", "type": "noop", "undo": {"type": "noop"}},
        {"id": "ship", "type": "noop", "needs": ["reserve"]},
    ],
}
FAILING = {
    "id": "failing",
    "steps": [{"id": "call", "type": "http", "with": {"url": "http://127.0.0.1:1/"}, "retry": {"max_attempts": 1}}],
}
SLOW = {"id": "slow", "steps": [{"id": "nap", "type": "wait", "with": {"duration": "1h"}}]}


class Server:
    """The program, with authentication on or off, in a folder that goes with it."""

    def __init__(self, authentication):
        self.folder = tempfile.TemporaryDirectory()
        binary = os.environ.get("BACKSTITCH_BIN", str(ROOT / "target/release/backstitch"))
        environment = dict(os.environ)
        self.key = KEY if authentication else None
        if authentication:
            environment["ORCHESTRATOR_API_KEY"] = KEY
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data-dir", self.folder.name + "/data"],
            env=environment, stderr=self.log, stdout=subprocess.DEVNULL)
        self.url = f"http://{self._address()}"

    def _address(self):
        while self.process.poll() is None:
            for line in pathlib.Path(self.log.name).read_text().splitlines():
                if "is ready" in line:
                    return json.loads(line)["fields"]["address"]
            time.sleep(0.05)
        sys.exit("the server ended:\n" + pathlib.Path(self.log.name).read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=70) as answer:
            return json.load(answer)

    def seed(self):
        """Workflows, a run that has ended, one with a dead letter and one that goes on; the ids of all of it."""
        for definition in (WORKFLOW, FAILING, SLOW):
            self.ask("POST", "/api/v1/workflows", definition)
        begun = [
            self.ask("POST", f"/api/v1/workflows/{name}/execute", {"wait_seconds": wait})["execution_id"]
            for name, wait in (("order", 30), ("failing", 30), ("slow", 0))]
        letters = self.ask("GET", "/api/v1/dlq")["letters"]
        return {
            "execution_id": begun,
            "other_id": begun,
            "saga_id": begun,
            "workflow_id": ["order", "failing", "slow", *begun],
            "step_id": ["reserve", "ship", "call", "nap"],
            "letter_id": [letter["letter_id"] for letter in letters],
        }


def environment(name, packages):
    """The folder of a Python environment below `target` that has the packages."""
    folder = ROOT / "target" / name
    wanted = "\n".join(packages)
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return folder

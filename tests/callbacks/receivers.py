"""Callbacks of a real server, read by the public packages of the standards that they follow.

standardwebhooks and cloudevents from PyPI.
"""

import base64
import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "openapi"))

from server import Server, environment  # noqa: E402

PACKAGES = ["standardwebhooks==1.1.0", "cloudevents==1.12.0"]
OLD, NEW = (f"whsec_{base64.b64encode(bytes([byte]) * 32).decode()}" for byte in (1, 2))


class Receiver(http.server.ThreadingHTTPServer):
    """Takes every request but the first, which it is sent again for that."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Hook)
        self.seen = queue.Queue()
        self.refused = threading.Semaphore(1)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        refused = self.server.refused.acquire(blocking=False)
        self.send_response(503 if refused else 204)
        self.end_headers()
        self.server.seen.put({"path": self.path, "headers": dict(self.headers.items()), "body": body})

    def log_message(self, *_):
        pass


def main():
    receiver = Receiver()
    told = [
        {"event": "workflow.completed", "url": receiver.url("backstitch")},
        {"events": ["workflow.started", "workflow.completed"], "url": receiver.url("cloudevents"), "format": "cloudevents"},
        {"event": "workflow.completed", "url": receiver.url("slack"), "format": "slack"},
    ]
    with tempfile.TemporaryDirectory() as folder:
        secrets = pathlib.Path(folder) / "secrets"
        secrets.write_text(f"{NEW}\n{OLD}\n")
        os.environ["BACKSTITCH_WEBHOOK_SECRETS"] = str(secrets)
        with Server(authentication=False) as server:
            server.seed()
            submission = {"callbacks": told, "correlation_id": 'für "Ü" \\ 1/2'}
            server.ask("POST", "/api/v1/workflows/order/execute", submission)
            # Four, of which the first comes twice.
            seen = [receiver.seen.get(timeout=60) for _ in range(5)]
    requests = json.dumps({"secrets": [OLD, NEW], "seen": seen})
    python = environment("callbacks-python", PACKAGES) / "bin/python"
    subprocess.run([python, HERE / "read.py"], input=requests, text=True, check=True)


main()

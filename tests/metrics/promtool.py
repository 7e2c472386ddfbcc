"""`promtool check metrics`, of Debian's package prometheus, over the metrics of a server that has worked.

The package is fetched into `target` and unpacked there: it needs no apt, no dpkg and no rights. `PROMTOOL` names a promtool
that is there already. The names of the documents are left out: they are printed as they are, and some break its rules.
"""

import hashlib
import io
import lzma
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/openapi"))

from server import Server  # noqa: E402

MIRROR = os.environ.get("DEBIAN_MIRROR", "https://deb.debian.org/debian")
RELEASE = "bookworm"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def fetched(path):
    with urllib.request.urlopen(f"{MIRROR}/{path}", timeout=120) as answer:
        return answer.read()


def package():
    """The bytes of the package, as the release lists it."""
    machine = MACHINES[platform.machine()]
    listed = lzma.decompress(fetched(f"dists/{RELEASE}/main/binary-{machine}/Packages.xz")).decode()
    [own] = [one for one in listed.split("\n\n") if one.startswith("Package: prometheus\n")]
    fields = dict(line.split(": ", 1) for line in own.splitlines() if line[:1] != " " and ": " in line)
    package = fetched(fields["Filename"])
    assert hashlib.sha256(package).hexdigest() == fields["SHA256"], "another package than the one that is listed"
    return package


def members(archive):
    """The files of an `ar` archive, by name."""
    assert archive.startswith(b"!<arch>\n"), "no ar archive"
    at, found = 8, {}
    while at < len(archive):
        name, size = archive[at:at + 16].decode().strip().rstrip("/"), int(archive[at + 48:at + 58])
        found[name] = archive[at + 60:at + 60 + size]
        at += 60 + size + size % 2
    return found


def promtool():
    if os.environ.get("PROMTOOL"):
        return os.environ["PROMTOOL"]
    tool = ROOT / "target/promtool/promtool"
    if not tool.exists():
        data = members(package())["data.tar.xz"]
        tool.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:xz") as files, open(tool, "wb") as target:
            shutil.copyfileobj(files.extractfile("./usr/bin/promtool"), target)
        tool.chmod(0o755)
    return tool


def main():
    tool = promtool()
    with Server(authentication=False) as server:
        server.seed()
        server.ask("GET", "/api/v1/stats/db")
        with urllib.request.urlopen(server.url + "/metrics?names=own", timeout=60) as answer:
            text = answer.read()
    names = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE ")}
    assert len(names) > 20, f"{len(names)} metrics"
    checked = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, check=False)
    print((checked.stdout + checked.stderr).decode(), end="")
    print(f"promtool check metrics: {len(names)} metrics, exit code {checked.returncode}")
    sys.exit(checked.returncode)


main()

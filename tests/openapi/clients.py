"""Clients that public generators make of the document compile, and work against a real server.

openapi-python-client from PyPI, openapi-typescript from npm.
"""

import compileall
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.request

from server import ROOT, Server, environment

PYTHON = ["openapi-python-client==0.29.1", "httpx==0.28.1", "attrs==26.1.0", "python-dateutil==2.9.0.post0"]
NODE = ["openapi-typescript@7.13.0", "openapi-fetch@0.15.0", "typescript@5.9.3", "@types/node@20.19.0"]
HERE = ROOT / "tests/openapi"


def generate(command, variables):
    """Generators say much; it is shown when they fail."""
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, check=False)
    if made.returncode != 0:
        sys.exit(made.stdout.decode(errors="replace"))


def python(server, document):
    folder = environment("openapi-python", PYTHON)
    made = folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    generate(
        [folder / "bin/openapi-python-client", "generate", "--path", document, "--meta", "none",
         "--output-path", made / "backstitch_client", "--overwrite"],
        {**os.environ, "PATH": path})
    assert compileall.compile_dir(made, quiet=1), "the Python client does not compile"
    subprocess.run([folder / "bin/python", HERE / "use_python.py", server.url, server.key],
                   check=True, env={**os.environ, "PYTHONPATH": str(made)})
    print("openapi-python-client: submit, follow, cancel and letter retry are done")


def typescript(server, document):
    folder = ROOT / "target/openapi-typescript"
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != "\n".join(NODE):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{ "private": true, "type": "module" }\n')
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *NODE], cwd=folder, check=True)
        stamp.write_text("\n".join(NODE))
    tool = folder / "node_modules/.bin"
    generate([tool / "openapi-typescript", document, "--output", folder / "api.d.ts"], os.environ)
    shutil.copy(HERE / "use_typescript.ts", folder / "use.ts")
    subprocess.run([tool / "tsc", "--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck",
                    "--types", "node", "use.ts"], cwd=folder, check=True)
    subprocess.run(["node", "use.js", server.url, server.key], cwd=folder, check=True)
    print("openapi-typescript: submit, follow, cancel and letter retry are done")


def main():
    for name in sys.argv[1:] or ["python", "typescript"]:
        with Server(authentication=True) as server:
            server.seed()
            document = pathlib.Path(server.folder.name) / "openapi.json"
            with urllib.request.urlopen(server.url + "/openapi.json") as answer:
                document.write_bytes(answer.read())
            {"python": python, "typescript": typescript}[name](server, document)


main()

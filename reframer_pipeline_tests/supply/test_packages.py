"""What is installed is known: a list of all locked packages that other programs read, and their known defects."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from reframer_pipeline_tests.servers import free_port
from reframer_pipeline_tests.support import REPOSITORY

PYTHON = REPOSITORY / ".tools" / "supply" / "bin" / "python"
LOCKS = sorted([REPOSITORY / "requirements.lock", *(REPOSITORY / "reframer_pipeline_tests").glob("*/*.lock")])
VALID = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
print(wrong)
sys.exit(wrong is not None)
"""
with_tools = pytest.mark.skipif(
    not PYTHON.exists(), reason="the tools are not here: scripts/setup.sh installs them where REFRAMER_TEST_SERVERS is set"
)


def said(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """What `scripts/supply.py` says."""
    return subprocess.run([PYTHON, REPOSITORY / "scripts" / "supply.py", *words], capture_output=True, text=True, timeout=900)


@with_tools
@pytest.mark.slow
def test_the_sbom_names_every_locked_package_and_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "made" / "sbom.json"
    ended = said("sbom", path)
    assert ended.returncode == 0, ended.stderr
    made = json.loads(path.read_text())
    locked = set(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE))
    assert {(one["name"], one["version"]) for one in made["components"]} == locked and len(locked) > 200
    assert all(one["purl"].partition("?")[0] == f"pkg:pypi/{one['name']}@{one['version']}" for one in made["components"])
    assert all(one["externalReferences"][0]["hashes"] for one in made["components"])
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert made["metadata"]["component"]["name"] == "reframer_pipeline"
    checked = subprocess.run([PYTHON, "-c", VALID, path], capture_output=True, text=True, timeout=900)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    path.write_text(json.dumps({**made, "components": [{"type": "library"}]}))
    judged = subprocess.run([PYTHON, "-c", VALID, path], capture_output=True, text=True, timeout=900)
    assert judged.returncode == 1 and "'name' is a required property" in judged.stdout


@pytest.fixture
def service() -> Iterator[str]:
    """A service as osv.dev is, which knows one defect: of flask 0.5."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known: dict[str, Any] = {}
            if (asked["package"]["name"], asked["version"]) == ("flask", "0.5"):
                fixed = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.12.3"}]}]
                affected = [{"package": {"name": "flask", "ecosystem": "PyPI"}, "ranges": fixed}]
                known = {"vulns": [{"id": "PYSEC-1", "summary": "It is old.", "affected": affected, "published": "2018-08-20T19:31:00Z"}]}
            content = json.dumps(known).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@with_tools
@pytest.mark.slow
def test_known_defects_are_told_and_an_empty_answer_is_not_taken_for_none(service: str, tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"

    def audited(version: str, url: str, *words: str) -> tuple[int, str]:
        lock.write_text(f"flask=={version} --hash=sha256:{'0' * 64}\nclick==8.1.8 --hash=sha256:{'1' * 64}\n")
        ended = said("audit", lock, "--osv-url", url, *words)
        return ended.returncode, ended.stdout + ended.stderr

    assert audited("0.5", service) == (1, "flask 0.5: PYSEC-1, mended in 0.12.3\n1 known defects in 2 packages; 0 could not be judged.\n")
    assert audited("0.12.3", service) == (0, "0 known defects in 2 packages; 0 could not be judged.\n")
    status, told = audited("0.5", f"http://127.0.0.1:{free_port()}/v1/query")
    assert status == 2 and told.startswith("Nobody could be asked for known defects: nothing was checked.")
    assert audited("0.5", service, "--limit-s", "0.01")[0] == 2


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_locked_package_has_a_version_and_digests_and_no_lock_names_a_host(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    packages = re.findall(r"^\S+==\S+.*?(?=^\S|\Z)", "\n".join(lines), re.MULTILINE | re.DOTALL)
    assert packages and len(packages) == sum(not line.startswith(" ") for line in lines)
    assert all("--hash=sha256:" in one for one in packages)
    assert not re.search(r"://|--(extra-)?index-url|--find-links|^/", "\n".join(lines), re.MULTILINE)

"""The page's files: libraries are what they were, types fit, and what is served is held to the policy."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from reframer_pipeline.api.policy import FOLDER, headers
from reframer_pipeline.editing import writing
from reframer_pipeline.editing.reframe import order
from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.support import REPOSITORY

VENDOR = FOLDER / "vendor"
TSC = REPOSITORY / ".tools" / "typescript" / "bin" / "tsc"


def test_vendored_files_are_what_they_were() -> None:
    said = json.loads((VENDOR / "VENDOR.json").read_text())
    digests = {one["file"]: one["sha256"] for one in said}
    assert digests == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert {one["name"] for one in said} == {path.stem for path in (VENDOR / "licences").iterdir()}


def test_the_import_map_holds_the_libraries_to_it() -> None:
    (written,) = re.findall(r'<script type="importmap">(.*?)</script>', (FOLDER / "index.html").read_text(), re.DOTALL)
    importmap = json.loads(written)
    assert set(importmap["imports"].values()) == set(importmap["integrity"]) == {f"./vendor/{path.name}" for path in VENDOR.glob("*.js")}
    for name, integrity in importmap["integrity"].items():
        digest = hashlib.sha384((FOLDER / name).read_bytes()).digest()
        assert integrity == f"sha384-{base64.b64encode(digest).decode()}", name


def test_what_a_video_needs_is_loaded_ahead() -> None:
    """Every script of shell and video screen, so that none waits for the one that names it. The screen's do not hold up the shell."""
    index = (FOLDER / "index.html").read_text()
    importmap = json.loads(re.findall(r'<script type="importmap">(.*?)</script>', index, re.DOTALL)[0])
    shell = needed("./app/main.js", importmap["imports"])
    screen = needed("./app/video/screen.js", importmap["imports"])
    wanted = []
    for path in [*shell, *(path for path in screen if path not in shell)]:
        digest = importmap["integrity"].get(path)
        integrity, later = f' integrity="{digest}"' * bool(digest), ' fetchpriority="low"' * (path not in shell)
        wanted.append(f'<link rel="modulepreload" href="{path[2:]}"{integrity}{later}>')
    written = [line for line in index.splitlines() if "modulepreload" in line]
    assert written == wanted, "these lines belong into index.html:\n" + "\n".join(wanted)


def needed(first: str, imports: dict[str, str]) -> list[str]:
    """A script and all that it imports at once, in the order in which a browser hears of them; paths beside `index.html`."""
    found = [first]
    for path in found:
        for name in re.findall(r'^(?:import|export) (?:[^;]*? from )?"([^"]+)";$', (FOLDER / path).read_text(), re.MULTILINE):
            target = imports.get(name) or f"./{os.path.normpath(Path(path).parent / name)}"
            if target not in found:
                found.append(target)
    return found


def test_every_format_is_told() -> None:
    """In the window that exports: those that the server makes."""
    assert sorted(re.findall(r'format: "(\w+)"', (FOLDER / "app" / "formats.js").read_text())) == sorted(FORMATS)


def test_every_form_for_editing_is_told() -> None:
    told = re.findall(r'form: "(\w+)"', (FOLDER / "app" / "video" / "wishes.js").read_text())
    assert sorted(told) == sorted([*writing.FORMS, *order.FORMS])


def test_types_fit() -> None:
    node = shutil.which("node")
    if node is None or not TSC.exists():
        pytest.skip("node or .tools/typescript is not here (REFRAMER_TEST_SERVERS=1 scripts/setup.sh puts them there)")
    checked = subprocess.run([node, TSC, "-p", FOLDER], capture_output=True, text=True, timeout=300)
    assert checked.returncode == 0, checked.stdout


def test_the_page_is_served_under_a_strict_policy(serving: Serving) -> None:
    with serving.client() as client:
        for path in ("/", "/v1/", "/style.css", "/config.json", "/icon.svg", "/app/main.js", "/app/video/screen.js", "/vendor/preact.js"):
            answer = client.get(path)
            assert (
                answer.status_code == 200 and headers().items() <= {name.title(): value for name, value in answer.headers.items()}.items()
            )
            assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert client.get("/config.json").json() == {"api": ""}
    policy = headers()["Content-Security-Policy"]
    assert "unsafe" not in policy and "http" not in policy and "{" not in policy


def test_a_static_host_has_one_setting(tmp_path: Path) -> None:
    command = [
        "/usr/bin/env",
        "-i",
        "PAGE_API=https://api.example.org/",
        sys.executable,
        "-I",
        REPOSITORY / "deploy" / "static_page.py",
        tmp_path,
    ]
    subprocess.run(command, check=True, timeout=300)
    assert json.loads((tmp_path / "config.json").read_text()) == {"api": "https://api.example.org"}
    said = (tmp_path / "_headers").read_text()
    assert headers("https://api.example.org")["Content-Security-Policy"] in said and "connect-src 'self' https://api.example.org;" in said
    assert (tmp_path / "index.html").read_bytes() == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize(
    "path", ["/app/nothing.js", "/app/", "/vendor/..%2f..%2fsettings.py", "/app/%2e%2e/%2e%2e/settings.py", "/tsconfig.json"]
)
def test_nothing_else_is_served(serving: Serving, path: str) -> None:
    with httpx2.Client(base_url=serving.url) as client:
        answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "nothing_there")

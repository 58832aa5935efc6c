"""Names that mean something to a shell, a path, a terminal or a reader: through the watched folder, the command line and the API.

That a name means nothing to ffmpeg is `media/test_probe`; what exports make of one is `exports/test_videos`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.ingest import take_in
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline_tests.api.serving import Serving, serving
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.factories import video_bytes

__all__ = ["serving"]

NAMES = (
    b"$(touch pwned).mp4", b"`touch pwned`.mp4", b";touch pwned;.mp4", b"| touch pwned #.mp4", b"&& touch pwned.mp4", b"-rf --help.mp4",
    b"%s%n%x.mp4", b"{0.__class__}.mp4", b"' OR 1=1; --.mp4", b"<script>alert(1)<\\script>.mp4", b"..%2f..%2fetc%2fpasswd.mp4",
    b"..\\..\\evil.mp4", b"two\nlines\r.mp4", b"\x1b[2J\x07\x7f.mp4", "\u202egpj.mp4".encode(), "\u2066a\u2069\u200b.mp4".encode(),
    b"\xff\xfe\x80.mp4", b"\xed\xb3\xbf.mp4", "e\u0301\U0001f3ac.mp4".encode(), b"file:concat:a|b.mp4", b"*?[a].mp4", b"~root.mp4",
)  # fmt: skip


def test_through_the_watched_folder(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, here = tmp_path / "bucket", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_bytes(video_bytes(number))
    bucket = Bucket(str(folder))
    entries = list_bucket(bucket, 20)
    assert len(entries) == len(NAMES)
    for one in entries:
        assert take_in(bucket, one.key, one.etag, storage.db, storage.store, storage.settings).failure is None
    rows = storage.db.fetch("SELECT DISTINCT video_id, status FROM uploads")
    assert len(rows) == len(NAMES) and {row["status"] for row in rows} == {"completed"}
    assert list(here.iterdir()) == [] and {one.name for one in tmp_path.iterdir()} == {"bucket", "here", "home"}
    assert all(not one.name.endswith((".mp4", "pwned")) for one in storage.settings.home_dir.rglob("*"))


def test_through_the_command_line(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, here = tmp_path / "footage", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    for number, name in enumerate(NAMES):
        (folder / os.fsdecode(name)).write_text(f"no video {number}")
    assert storage.settings.database_url is not None
    variables = {"REFRAMER_DATABASE_URL": storage.settings.database_url.get_secret_value(), "COLUMNS": "200"}
    home = storage.settings.home_dir
    ran = called(home, "run", str(folder), "--models", "demo", "--json", **variables)
    ended = [json.loads(line) for line in ran.stdout.splitlines()]
    visible = [name for name in NAMES if not name.startswith(b".")]  # what begins with a point is hidden
    assert [one["failure_code"] for one in ended] == ["not_a_video"] * len(visible), ran.stderr
    shown = called(home, "run", str(folder), "--models", "demo", **variables)
    said = shown.stdout + shown.stderr
    assert said.count("not_a_video") >= len(visible)
    assert [mark for mark in ("\x07", "\x7f", "\u202e", "\u2066", "\x1b[2J", "\r") if mark in said] == []
    assert list(here.iterdir()) == []


@pytest.mark.deployment
def test_through_the_api(serving: Serving) -> None:
    with serving.client(serving.key()) as client:
        for number, name in enumerate((*NAMES, b"../../etc/passwd.mp4", b"/etc/passwd.mp4", b"C:\\boot.mp4", b"..", b"", b"a" * 5000)):
            quoted = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + quoted + b'"\r\n\r\n'
            body = head + video_bytes(1000 + number) + b"\r\n--x--\r\n"
            answer = client.post("/jobs", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
            if answer.status_code != 202:
                assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid"), (name, answer.text)
                assert b"\n" in name or b"\x1b" in name or len(name) > 4000, name  # what no header may hold
                continue
            told = client.get(answer.headers["location"]).json()["filename"]
            assert told and "/" not in told and "\\" not in told and len(told) <= 200, name
    kept = {one.name for one in serving.home.rglob("*")}
    assert not kept & {"passwd.mp4", "boot.mp4", "evil.mp4", "pwned"} and not Path("pwned").exists()

"""`reframer matte`, as people call it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reframer_pipeline.editing.matte.making import published
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.command import called, environment
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.editing.films import streams
from reframer_pipeline_tests.media.made import numbered

pytestmark = pytest.mark.models
DEMO = {"REFRAMER_MODELS": "demo", "REFRAMER_DEVICE": "cpu"}  # the tests' deployment has no settings of its own


@pytest.fixture(scope="module")
def home(shared: Storage, done: VideoOutcome) -> Path:
    return shared.settings.home_dir


def test_a_track_by_the_beginning_of_an_id(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    ran = called(home, "matte", str(done.video_id)[:8], "--track", "obj_001", "-o", str(tmp_path / "new" / "matte.webm"), **DEMO)
    assert ran.returncode == 0, ran.stderr
    said = re.fullmatch(r"Wrote (.+): frames 0 to (\d+) \(00:00:00:00 to 00:00:(\d\d):(\d\d)\) of obj_001\n", ran.stdout)
    assert said and said[1] == str(tmp_path / "new" / "matte.webm") and int(said[2]) == 25 * int(said[3]) + int(said[4])
    assert streams(tmp_path / "new" / "matte.webm")["video"]["tags"]["alpha_mode"] == "1"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["matte.webm"]


def test_one_for_each_track(home: Path, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    tracks = published(shared, str(done.video_id))["trajectories"].batches(["track_id", "start_frame", "end_frame"])
    rows = sorted((row for batch in tracks for row in batch.to_pylist()), key=lambda row: row["end_frame"] - row["start_frame"])[:2]
    named = [word for row in rows for word in ("--track", row["track_id"])]
    ran = called(home, "matte", str(done.video_id), *named, "--each", "--form", "png", "-o", str(tmp_path / "each"), **DEMO)
    assert ran.returncode == 0, ran.stderr
    folders = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert folders == sorted(row["track_id"] for row in rows) and ran.stdout.rstrip().endswith(", ".join(folders))
    for row in rows:
        pictures = {path.name for path in (tmp_path / "each" / row["track_id"]).iterdir()}
        assert pictures >= {f"{number:08d}.png" for number in range(row["start_frame"], row["end_frame"])}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "x.mov"], "name what to cut out"),
        (["--track", "obj_001"], "Missing option"),
        (["--element", "2", "-o", "x.mov"], "say SCENE.PLACE"),
        (["--track", "obj_001", "--form", "luma", "--cutout", "-o", "x.mov"], "has no picture"),
        (["--track", "obj_001", "--form", "webm", "-o", "x.mov"], "must end in .webm"),
        (["--track", "obj_001", "--soften", "-1", "-o", "x.mov"], "--soften"),
    ],
)
def test_wrong_usage_is_said(home: Path, done: VideoOutcome, arguments: list[str], says: str) -> None:
    ran = called(home, "matte", str(done.video_id), *arguments, **DEMO)
    assert ran.returncode == 2 and says in ran.stderr


def test_what_is_not_there_is_one_clear_error(home: Path, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    new = add(shared, numbered(tmp_path / "new.mp4", size="128x96"))
    for words, code in (
        ([str(done.video_id), "--track", "obj_999"], "nothing_there"),
        (["ffffffff-ffff", "--track", "obj_001"], "unknown_video"),
        ([new, "--track", "obj_001"], "not_published"),
    ):
        ran = called(home, "matte", *words, "-o", str(tmp_path / "out" / "x.mov"), **DEMO)
        assert ran.returncode == 1 and f"[{code}]" in ran.stderr, ran.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    ran = called(home, "matte", str(done.video_id), "--track", "obj_001", "--form", "png", "-o", str(tmp_path / "full"), **DEMO)
    assert ran.returncode == 1 and "[output_not_writable]" in ran.stderr and (tmp_path / "full" / "mine").exists()
    assert not (tmp_path / "out").exists()


def test_ctrl_c_leaves_nothing(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    target = tmp_path / "out"
    command = [sys.executable, "-m", "reframer_pipeline", "matte", str(done.video_id), "--scene", "1", "--form", "png", "-o", str(target)]
    process = subprocess.Popen(command, env=environment(home, **DEMO), stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob("*/*.png")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 130 and "Interrupted. Nothing was written." in said
    assert not list(tmp_path.iterdir())

"""`reframer reframe`, as people call it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.command import called, started
from reframer_pipeline_tests.computed import add

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def home(shared: Storage, done: VideoOutcome) -> Path:
    return shared.settings.home_dir


def test_a_clip(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    ran = started(home, "reframe", str(done.video_id)[:8], "--ratio", "9:16", "-o", str(tmp_path / "new" / "tall.mp4"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"Wrote {tmp_path / 'new' / 'tall.mp4'}: 202x360, 2 shots, main subject inside in ")
    entries = ["-show_entries", "stream=codec_name,width,height,pix_fmt,nb_frames", "-of", "csv=p=0"]
    said = subprocess.run(["ffprobe", "-v", "error", *entries, tmp_path / "new" / "tall.mp4"], capture_output=True, text=True).stdout
    assert said.strip() == "h264,202,360,yuv420p,50"


def test_the_ending_or_as_says_what_is_written(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    def written(name: str, *more: str) -> str:
        ran = called(home, "reframe", str(done.video_id), "--ratio", "1:1", "-o", str(tmp_path / name), *more)
        assert ran.returncode == 0, ran.stderr
        return (tmp_path / name).read_text()

    document = json.loads(written("path.json"))
    assert document["output"] == {"width": 360, "height": 360} and len(document["shots"]) == 2
    assert json.loads(written("path.data", "--as", "json")) == document
    assert written("path.txt").startswith("Adobe After Effects 8.0 Keyframe Data\n")
    assert written("path.sendcmd").splitlines()[1].endswith(";")
    written("path.otio")
    assert len(otio.adapters.read_from_file(tmp_path / "path.otio").find_clips()) == 2


def test_chosen_tracks_that_do_not_fit_are_named(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    chosen = ["--track", "obj_001", "--track", "obj_002", "-o", str(tmp_path / "path.json")]
    ran = called(home, "reframe", str(done.video_id), "--ratio", "1:16", *chosen)
    assert ran.returncode == 0 and "what you chose is inside in " in ran.stdout and "Try --letterbox." in ran.stderr
    ran = called(home, "reframe", str(done.video_id), "--ratio", "16:9", *chosen)
    assert ran.returncode == 0 and "letterbox" not in ran.stderr


def test_the_choice_of_a_track_a_label_and_a_scene(home: Path, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    def shots(*more: str, ratio: str = "9:16") -> list[dict[str, Any]]:
        ran = called(home, "reframe", str(done.video_id), "--ratio", ratio, "-o", str(tmp_path / "path.json"), *more)
        assert ran.returncode == 0, ran.stderr
        return list(json.loads((tmp_path / "path.json").read_text())["shots"])

    def subjects(*more: str) -> set[str]:
        return {subject["track_id"] for shot in shots(*more) for subject in shot["subjects"]}

    for one in ("obj_001", "obj_002"):
        assert [subject["track_id"] for subject in shots("--track", one)[0]["subjects"]] == [one]
    assert [shot["scene_number"] for shot in shots("--scene", "2")] == [2]
    rows = shared.db.fetch("SELECT track_id, label FROM tracks WHERE video_id = %s", (done.video_id,))
    persons = {row["track_id"] for row in rows if row["label"] == "person"}
    chosen = subjects("--label", "person")
    assert chosen and chosen <= persons and subjects() - persons
    both = ["--track", "obj_001", "--track", "obj_002"]
    assert [shot["letterbox"] for more in ([], ["--letterbox"]) for shot in shots(*both, *more, ratio="1:16")[:1]] == [False, True]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--ratio", "wide"], "ratio_impossible"),
        (["--ratio", "1:100"], "ratio_impossible"),
        (["--ratio", "1:1", "--track", "obj_999"], "nothing_there"),
        (["--ratio", "1:1", "--label", "boat"], "nothing_there"),
        (["--ratio", "1:1", "--scene", "7"], "nothing_there"),
    ],
)
def test_what_cannot_be_is_one_clear_error_and_no_file(home: Path, done: VideoOutcome, tmp_path: Path, more: list[str], code: str) -> None:
    ran = called(home, "reframe", str(done.video_id), *more, "-o", str(tmp_path / "out.mp4"))
    assert ran.returncode == 1 and f"[{code}]" in ran.stderr and list(tmp_path.iterdir()) == []


def test_a_video_without_results_and_none(home: Path, shared: Storage, tmp_path: Path) -> None:
    write_clip(make_clip(2_000_777, n_frames=10, shots=1), tmp_path / "new.mp4")
    for video, code in ((add(shared, tmp_path / "new.mp4"), "not_published"), ("ffffffff-ffff", "unknown_video")):
        ran = called(home, "reframe", video, "--ratio", "1:1", "-o", str(tmp_path / "out.mp4"))
        assert ran.returncode == 1 and f"[{code}]" in ran.stderr and not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    "arguments",
    [["-o", "x.mp4"], ["--ratio", "1:1"], ["--ratio", "1:1", "-o", "x.gif"], ["--ratio", "1:1", "--letterbox", "-o", "x.sendcmd"]],
)
def test_wrong_usage_is_said(home: Path, done: VideoOutcome, arguments: list[str]) -> None:
    assert called(home, "reframe", str(done.video_id), *arguments).returncode == 2

"""`reframer export`, as people call it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from reframer_pipeline.exports.videos import have_results
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.command import called, started

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def home(shared: Storage, done: VideoOutcome) -> Path:
    return shared.settings.home_dir


def test_ids_by_their_beginning_into_a_folder(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    ran = started(home, "export", str(done.video_id)[:8], "--format", "coco", "-o", str(tmp_path / "new" / "coco"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["Wrote", str(tmp_path / "new" / "coco")]
    written = json.loads((tmp_path / "new" / "coco" / "annotations.json").read_text())
    assert [video["video_id"] for video in written["videos"]] == [done.video_id] and len(written["annotations"]) == done.detections


def test_all_into_a_zip_and_one_into_a_file(home: Path, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    assert called(home, "export", "--all", "--format", "vtt", "-o", str(tmp_path / "all.zip")).returncode == 0
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert len(archive.namelist()) == len(have_results(shared))
    assert called(home, "export", str(done.video_id), "--format", "vtt", "-o", str(tmp_path / "chapters.vtt")).returncode == 0
    assert (tmp_path / "chapters.vtt").read_text().startswith("WEBVTT\n")


def test_some_tracks_alone(home: Path, done: VideoOutcome, tmp_path: Path) -> None:
    chosen = ["--track", "obj_002", "--track", "obj_003"]
    assert called(home, "export", str(done.video_id), "--format", "coco", *chosen, "-o", str(tmp_path / "coco")).returncode == 0
    written = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert {one["attributes"]["track"] for one in written["annotations"]} == {"obj_002", "obj_003"}
    assert called(home, "export", "--all", "--format", "coco", "--track", "obj_001").returncode == 2


def test_a_track_alone_is_named_by_video_and_track(home: Path, done: VideoOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = called(home, "export", str(done.video_id), "--format", "davis", "--track", "obj_002")
    assert ran.returncode == 0 and ran.stdout.split() == ["Wrote", "drawn-obj_002-davis"]
    assert (tmp_path / "drawn-obj_002-davis" / "meta.json").exists()


def test_by_default_it_is_a_folder_here(home: Path, done: VideoOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert called(home, "export", str(done.video_id), "--format", "mot").returncode == 0
    assert (tmp_path / "reframer-mot" / "drawn" / "gt" / "gt.txt").exists()
    again = called(home, "export", str(done.video_id), "--format", "mot")
    assert again.returncode == 1 and "[output_not_writable]" in again.stderr


@pytest.mark.parametrize("arguments", [["--format", "coco"], ["--all", "0", "--format", "coco"], ["0", "--format", "exe"], ["0"]])
def test_wrong_usage_is_said(home: Path, arguments: list[str]) -> None:
    assert called(home, "export", *arguments).returncode == 2


def test_an_unknown_video_is_one_clear_error(home: Path, tmp_path: Path) -> None:
    ran = called(home, "export", "ffffffff-ffff", "--format", "coco", "-o", str(tmp_path / "x"))
    assert ran.returncode == 1 and "[unknown_video]" in ran.stderr and not (tmp_path / "x").exists()


def test_with_nothing_computed_all_is_said_to_be_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    try:
        assert called(home, "db", "migrate").returncode == 0
        ran = called(home, "export", "--all", "--format", "coco", "-o", str(tmp_path / "x"))
        assert ran.returncode == 1 and "[not_published]" in ran.stderr
    finally:
        assert called(home, "db", "stop").returncode == 0

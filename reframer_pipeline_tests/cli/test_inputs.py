"""Files, folders and patterns on the command line: which files they stand for, and what is said of the others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reframer_pipeline.cli.inputs import Input, find
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.command import called

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Videos by name and by content, at two depths, among what is none."""
    folder = tmp_path / "footage"
    for name, content in {
        "b.MP4": MP4, "a.mp4": b"damaged", "no ending": MP4, "notes.txt": b"text", "cover.jpg": b"\xff\xd8\xff", "._a.mp4": b"hidden",
        "day 2/c.mov": MP4, "day 2/song.mp3": b"ID3", "day 2/empty": b"", ".trash/d.mp4": MP4, "data/objects/e.mp4": MP4,
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe")
    (folder / "gone.lnk").symlink_to("nowhere")
    (folder / "loop").symlink_to(folder)
    return folder


def test_a_folder_is_its_videos_in_order(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = find((footage,), footage / "data")
    assert [one.name for one in found] == ["a.mp4", "b.MP4", "no ending", "day 2/c.mov"]
    assert [one.path for one in found] == [footage / one.name for one in found] and not any(one.failure for one in found)
    said = " ".join(capsys.readouterr().err.split())
    assert "6 left out, no mp4, mov or avi: cover.jpg, gone.lnk, notes.txt, …" in said


def test_linked_folders_are_looked_into_once(footage: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f.mp4").write_bytes(MP4)
    (elsewhere / "back").symlink_to(footage)
    (footage / "linked").symlink_to(elsewhere)
    (footage / "linked too").symlink_to(elsewhere)
    assert [one.name for one in find((footage,), footage / "data")][-2:] == ["day 2/c.mov", "linked/f.mp4"]


def test_what_is_named_is_taken_as_it_is_and_once(footage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, text = footage / "day 2" / "c.mov", footage / "notes.txt"
    assert find((text, video, footage / "day 2", footage / "missing.mp4"), footage / "data") == [
        Input(text, "notes.txt"),
        Input(video, "c.mov"),
        Input(footage / "missing.mp4", "missing.mp4"),
    ]
    assert "empty, song.mp3" in capsys.readouterr().err


def test_a_pattern_is_what_the_shell_would_make_of_it(footage: Path) -> None:
    home = footage / "data"
    assert [one.path for one in find((footage / "*.[Mm][Pp]4",), home)] == [footage / "a.mp4", footage / "b.MP4"]
    assert [one.name for one in find((footage / "**" / "*.mov",), home)] == ["c.mov"]
    assert [one.name for one in find((footage / "day*",), home)] == ["c.mov"]
    brackets = footage / "x [1].mp4"
    brackets.write_bytes(MP4)
    assert find((brackets,), home) == [Input(brackets, "x [1].mp4")]


def test_a_pattern_goes_round_in_no_circle(footage: Path) -> None:
    """Two links to their own folder: 2 to the power of 40 ways through them."""
    (footage / "day 2" / "again").symlink_to(footage)
    (footage / "day 2" / "here").symlink_to(footage / "day 2")
    found = {one.path for one in find((footage / "**" / "*.[Mm]*",), footage / "data")}
    assert found == {footage / name for name in ("a.mp4", "b.MP4", "day 2/c.mov", "day 2/song.mp3", "data/objects/e.mp4")}
    assert find((footage / "day*" / "again" / "a.mp4",), footage / "data")[0].name == "a.mp4"
    assert {one.path for one in find((footage / ".tr*" / "*",), footage / "data")} == {footage / ".trash" / "d.mp4"}


def test_where_no_video_is_there_is_a_failure(footage: Path) -> None:
    empty = footage / "stills"
    empty.mkdir()
    (of_folder, of_pattern) = find((empty, footage / "*.mkv"), footage / "data")
    assert of_folder.failure is not None and of_folder.failure.code == "no_videos_there" and str(empty) in of_folder.failure.message
    assert of_pattern.failure is not None and of_pattern.failure.code == "no_videos_there" and "*.mkv" in of_pattern.failure.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_not_passed_over(footage: Path) -> None:
    (footage / "day 2").chmod(0)
    try:
        assert [one.failure.code for one in find((footage,), footage / "data") if one.failure] == ["file_not_readable"]
    finally:
        (footage / "day 2").chmod(0o755)


def test_run_takes_a_folder(shared: Storage, done: VideoOutcome, clip: Path, tmp_path: Path) -> None:
    home, folder, empty = shared.settings.home_dir, tmp_path / "footage", tmp_path / "empty"
    (folder / "day 2").mkdir(parents=True)
    empty.mkdir()
    (folder / "day 2" / "drawn").write_bytes(clip.read_bytes())
    (folder / "cut off.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("no video")
    ran = called(home, "run", str(folder), str(empty), "--models", "demo", "--json")
    assert ran.returncode == 1 and "1 left out, no mp4, mov or avi: notes.txt" in " ".join(ran.stderr.split())
    ended = {one["filename"]: one["failure_code"] or one["status"] for one in map(json.loads, ran.stdout.splitlines())}
    assert ended == {"day 2/drawn": "completed", "cut off.mp4": "not_a_video", str(empty): "no_videos_there"}
    called_by_pattern = called(home, "run", str(folder / "day*" / "*"), "--models", "demo")
    assert called_by_pattern.returncode == 0 and f"{done.detections} detections" in called_by_pattern.stdout

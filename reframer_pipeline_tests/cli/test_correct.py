"""`reframer correct`, as people use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reframer_pipeline.reading.tables import ELEMENTS, TRACKS
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.command import Ended, called
from reframer_pipeline_tests.corrections.walkers import Less, computed, recompute, seen

Reframer = Callable[..., Ended]


@pytest.fixture
def video_id(storage: Storage) -> str:
    return computed(storage)


@pytest.fixture
def reframer(storage: Storage) -> Reframer:
    url = storage.settings.database_url
    assert url is not None
    return lambda *args: called(storage.settings.home_dir, *args, REFRAMER_DATABASE_URL=url.get_secret_value())


def test_all_kinds_their_list_and_taking_them_back(storage: Storage, video_id: str, reframer: Reframer) -> None:
    short, before = video_id[:8], seen(storage, video_id, TRACKS)
    done = [
        reframer("correct", "rename", short, "obj_003", "red mug"),
        reframer("correct", "class", short, "obj_003", "person"),
        reframer("correct", "merge", short, "obj_001", "obj_005"),
        reframer("correct", "split", short, "obj_002", "--at", "0:01.5"),  # of 30 frames a second
        reframer("correct", "delete", short, "obj_004"),
        reframer("correct", "difficulty", short, "1:1", "hard"),
    ]
    assert [one.returncode for one in done] == [0] * 6, [one.stderr for one in done]
    assert [one.stdout.strip() for one in done] == [
        "obj_003 is red mug (correction 1)", "obj_003 is a person (correction 2)", "obj_005 is part of obj_001 (correction 3)",
        "obj_002 is another thing from frame 45 on (correction 4)", "obj_004 is deleted (correction 5)",
        "element 1 of scene 1 is hard (correction 6)",
    ]  # fmt: skip
    assert {row["track_id"] for row in seen(storage, video_id, TRACKS)} == {"obj_001", "obj_002", "obj_003", "obj_006"}
    assert "difficulty" in seen(storage, video_id, ELEMENTS)[0]["by_hand"]
    shown = reframer("show", short).stdout
    assert "by hand: class, label" in shown and "by hand: merged" in shown and "corrected by hand" in shown and "    1:1 hard" in shown
    listed = [json.loads(line) for line in reframer("correct", "list", short, "--json").stdout.splitlines()]
    assert [one["kind"] for one in listed] == ["rename", "class", "merge", "split", "delete", "difficulty"]
    assert {one["email"] for one in listed} == {"local@localhost"}
    for number in (6, 5, 4, 3, 2, 1):
        assert reframer("correct", "undo", short, str(number)).stdout == f"correction {number} is undone\n"
    assert seen(storage, video_id, TRACKS) == before
    again = reframer("correct", "undo", short, "1")
    assert again.returncode == 1 and "[unknown_correction]" in again.stderr
    assert reframer("correct", "list", short).stdout.count("undone") == 6


def test_what_no_longer_matches_is_said(storage: Storage, video_id: str, reframer: Reframer) -> None:
    reframer("correct", "rename", video_id[:8], "obj_003", "red mug")
    recompute(storage, video_id, kind=Less, conf=0.45)
    assert "no longer matches: what it speaks of is not in these results" in reframer("correct", "list", video_id[:8]).stdout
    assert "correction 1 no longer matches, obj_003 is red mug" in reframer("show", video_id[:8]).stdout


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("rename", "obj_099", "x"), 1, "[unknown_track]"),
        (("rename", "the cup", "x"), 1, "[unknown_track] 'the cup' is no track such as obj_003."),
        (("rename", "obj_003", " \x1b "), 2, "label"),
        (("class", "obj_003", "cat"), 2, "person"),
        (("merge", "obj_001", "obj_002"), 1, "[tracks_overlap]"),
        (("split", "obj_002"), 2, "--frame or --at"),
        (("split", "obj_002", "--frame", "1", "--at", "1"), 2, "--frame or --at"),
        (("split", "obj_002", "--at", "soon"), 2, "no time"),
        (("split", "obj_002", "--at", "1:00:00"), 1, "[correction_refused]"),
        (("split", "obj_002", "--frame", "5000"), 1, "[correction_refused]"),
        (("difficulty", "first", "hard"), 2, "no element"),
        (("difficulty", "7:1", "hard"), 1, "[unknown_element]"),
        (("undo", "1"), 1, "[unknown_correction]"),
    ],
)
def test_what_does_not_fit_is_said_and_changes_nothing(
    video_id: str, reframer: Reframer, args: tuple[str, ...], code: int, said: str
) -> None:
    ended = reframer("correct", args[0], video_id, *args[1:])
    assert ended.returncode == code and said in ended.stderr
    assert reframer("correct", "list", video_id).stdout == "Nothing was corrected.\n"


def test_a_file_of_cvat_is_imported(storage: Storage, video_id: str, reframer: Reframer, tmp_path: Path) -> None:
    file = tmp_path / "clip.xml"
    assert reframer("export", video_id, "--format", "cvat", "-o", str(file)).returncode == 0
    assert reframer("correct", "import", video_id, str(file)).stdout == "Nothing was corrected in this file.\n"
    file.write_text(file.read_text().replace(">cup<", ">red mug<"))
    tried = reframer("correct", "import", video_id, str(file), "--dry-run")
    assert (tried.returncode, tried.stdout) == (0, "obj_003 is red mug\n") and not seen(storage, video_id, TRACKS)[2]["by_hand"]
    assert reframer("correct", "import", video_id, str(file)).stdout == "obj_003 is red mug\n"
    assert seen(storage, video_id, TRACKS)[2]["label"] == "red mug" and "(CVAT)" in reframer("correct", "list", video_id).stdout
    file.write_text("<!DOCTYPE x><annotations/>")
    assert "[annotations_refused]" in reframer("correct", "import", video_id, str(file)).stderr

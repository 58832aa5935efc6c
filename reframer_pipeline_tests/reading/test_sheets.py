"""Previews of results: tables that stream, and pictures with the mark of the demo models."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import NothingThere, NotPublished, TruncatedVideo
from reframer_pipeline.handover import StageInput
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES
from reframer_pipeline.vision.overlay import Look
from reframer_pipeline.work import status
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.factories import Maker
from reframer_pipeline_tests.reading.weights import official
from reframer_pipeline_tests.support import MemoryInput

MAKER = Maker("0" * 64, Settings(), frame_count=300)


class Long(MemoryInput):
    """The rows over and over again, 200 batches of them; knows how many batches its reader held at most."""

    most_held = 0

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        given: list[weakref.ref[pa.RecordBatch]] = []
        (batch,) = super().batches(columns)
        for _ in range(200):
            again = batch.slice(0)
            given.append(weakref.ref(again))
            yield again
            del again
            object.__setattr__(self, "most_held", max(self.most_held, sum(one() is not None for one in given)))


@pytest.mark.parametrize("stage", NAMES[1:])
def test_a_table_takes_no_more_memory_for_a_long_video(stage: str) -> None:
    rows = MAKER.rows(stage)
    long = Long(stage, (rows * (300 // len(rows) + 1))[:300])
    sheets.table(MemoryInput(stage, rows))  # imports and caches
    tracemalloc.start()
    sheets.table(long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert long.most_held <= 2
    assert peak < 1_000_000


@pytest.mark.parametrize("stage", NAMES)
def test_a_table_is_the_same_however_the_rows_are_cut(stage: str) -> None:
    whole, cut = (sheets.table(MemoryInput(stage, MAKER.rows(stage), batch_rows=size)) for size in (1000, 3))
    assert whole == cut


def test_a_table_counts_all_and_shows_the_first() -> None:
    frames = MAKER.rows("frames")
    for place, frame in enumerate((7, 250, 33, 120, 299)):
        frames[frame]["content_score"] = 100.0 + place
    shown = sheets.table(MemoryInput("frames", frames, batch_rows=40))
    assert "| source frames | 300 |" in shown and f"| sampled | {sum(row['sampled'] for row in frames)} |" in shown
    assert "| last at | 9.967 s |" in shown
    assert shown.splitlines()[-5:] == [f"| change at frame {n} | {s} |" for n, s in zip(
        (7, 33, 120, 250, 299), ("100.0", "102.0", "103.0", "101.0", "104.0"), strict=True
    )]  # fmt: skip
    people = [row for row in MAKER.rows("detections") if row["object_class"] == "person"]
    assert f"| person | person | {len(people)} | 0.92 | 0.92 |" in sheets.table(
        MemoryInput("detections", MAKER.rows("detections"), batch_rows=9)
    )
    (track, *_) = MAKER.rows("trajectories")
    lines = sheets.table(MemoryInput("trajectories", [track] * 30, batch_rows=5)).splitlines()
    assert len(lines) == 2 + sheets.TABLE_ROWS + 1 and "18 more" in lines[-1]
    assert sheets.table(MemoryInput("masks", [])).endswith("| masks | 0 |")


@pytest.fixture(scope="module")
def results(shared: Storage, done: VideoOutcome) -> dict[str, StageInput]:
    """The drawn clip's results, made by the demo models."""
    return sheets.published(shared, done.video_id or "")


def test_sheets_say_that_they_are_of_the_demo_models(results: dict[str, StageInput]) -> None:
    assert sheets.is_demo(results) and not sheets.is_demo(official(results))
    assert not sheets.is_demo({stage: results[stage] for stage in ("metadata", "frames")})

    marked, plain = (cv2.imdecode(np.frombuffer(sheets.sheet(one, 1), np.uint8), 1) for one in (results, official(results)))
    rows = np.flatnonzero((np.abs(marked.astype(int) - plain) > 60).any(axis=(1, 2)))
    assert rows.size > 0 and rows.max() < marked.shape[0] / 6  # in the title, at the top
    assert "demonstration models" in sheets.inline_sheet(results) and "demonstration" not in sheets.inline_sheet(official(results))


def test_a_video_without_results_says_why(shared: Storage, tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    write_clip(make_clip(3_700_001, n_frames=10, shots=1), path)
    video = add(shared, path)
    with pytest.raises(NotPublished) as new:
        sheets.published(shared, video)
    assert "reframer run" in new.value.remedy
    status.fail(shared.db, video, TruncatedVideo("Half of it is missing."))
    with pytest.raises(NotPublished) as failed:
        sheets.published(shared, video)
    assert "[truncated]: Half of it is missing." in failed.value.remedy


def test_tracks_with_few_sightings_can_be_left_out(results: dict[str, StageInput]) -> None:
    plain = official(results)
    seen = sorted(len(row["frames"]) for batch in plain["trajectories"].batches() for row in batch.to_pylist())
    assert seen[0] < seen[-1]
    (all_drawn, least, some, none) = (sheets.sheet(plain, 2, Look(min_sightings=n)) for n in (1, seen[0], seen[-1], seen[-1] + 1))
    nothing_known = sheets.sheet({stage: plain[stage] for stage in ("metadata", "frames")}, 2)
    assert all_drawn == sheets.sheet(plain, 2) == least and none == nothing_known and some not in (all_drawn, none)


def test_what_a_sheet_shows_can_be_chosen(results: dict[str, StageInput]) -> None:
    looks = [
        Look(),
        Look(boxes=False),
        Look(masks=False),
        Look(caption=False),
        Look(boxes=False, masks=False),
        Look(track_ids=frozenset(["obj_001"])),
    ]
    assert len({sheets.sheet(results, 2, look) for look in looks}) == len(looks)
    with pytest.raises(NothingThere, match="obj_999"):
        sheets.sheet(results, 2, Look(track_ids=frozenset(["obj_999"])))


def test_the_table_of_scenes_says_what_happens_when_and_what_could_be_replaced() -> None:
    text = "A woman pours tea [from a pot](https://example.org/x.png) | and <b>talks</b> about it at length. " * 4
    scenes = Maker("0" * 64, Settings(), frame_count=300, text=text).rows("scenes")
    lines = sheets.table(MemoryInput("scenes", scenes)).splitlines()
    assert lines[0] == "| scene | seconds | type | difficulty | what happens, and what could be replaced |"
    whole = text.strip().replace("[", r"\[").replace("]", r"\]").replace("|", r"\|").replace("<", r"\<").replace(">", r"\>")
    assert lines[2] == f"| 1 | 0.00–5.00 | both |  | {whole} |"
    assert lines[3] == "|  |  | person | easy | walks (obj_001) |"
    assert lines[4].startswith("| 2 | 5.00–10.00 | both |") and len(lines) == 6


def test_a_table_of_many_long_scenes_fits_into_the_event_log() -> None:
    text = "word " * 400
    (scene, _) = Maker("0" * 64, Settings(), frame_count=300, text=text).rows("scenes")
    lines = sheets.table(MemoryInput("scenes", [scene] * 30)).splitlines()
    assert sum(map(len, lines)) <= sheets.TABLE_CHARACTERS + 100
    assert all(line.endswith("word |") for line in lines if line.startswith("| 1 |"))
    shown = sum(line.startswith("| 1 |") for line in lines)
    assert 5 < shown < sheets.TABLE_ROWS and lines[-1].startswith(f"| … {30 - shown} more |")

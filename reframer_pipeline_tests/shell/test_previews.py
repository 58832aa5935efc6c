"""What people see of results: tables that stream, the mark of the demo models, and names that look like markup."""

from __future__ import annotations

import io
import json
import tracemalloc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from rich.console import Console

from reframer_pipeline import previews
from reframer_pipeline.cli import app, progress, show, tables
from reframer_pipeline.resources import Pipeline
from reframer_pipeline.results import StageInput
from reframer_pipeline.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage.stored import StoredResult
from reframer_pipeline.versions import STAGES
from reframer_pipeline_tests.factories import Maker
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


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_table_takes_no_more_memory_for_a_long_video(stage: str) -> None:
    rows = MAKER.rows(stage)
    long = Long(stage, (rows * (300 // len(rows) + 1))[:300])
    previews.table(MemoryInput(stage, rows))  # imports and caches
    tracemalloc.start()
    previews.table(long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert long.most_held <= 2
    assert peak < 1_000_000


@pytest.mark.parametrize("stage", STAGES)
def test_a_table_is_the_same_however_the_rows_are_cut(stage: str) -> None:
    whole, cut = (previews.table(MemoryInput(stage, MAKER.rows(stage), batch_rows=size)) for size in (1000, 3))
    assert whole == cut


def test_a_table_counts_all_and_shows_the_first() -> None:
    frames = MAKER.rows("frames")
    for place, frame in enumerate((7, 250, 33, 120, 299)):
        frames[frame]["content_score"] = 100.0 + place
    shown = previews.table(MemoryInput("frames", frames, batch_rows=40))
    assert "| source frames | 300 |" in shown and f"| sampled | {sum(row['sampled'] for row in frames)} |" in shown
    assert "| last at | 9.967 s |" in shown
    assert shown.splitlines()[-5:] == [f"| change at frame {n} | {s} |" for n, s in zip(
        (7, 33, 120, 250, 299), ("100.0", "102.0", "103.0", "101.0", "104.0"), strict=True
    )]  # fmt: skip
    people = [row for row in MAKER.rows("detections") if row["object_class"] == "person"]
    assert f"| person | person | {len(people)} | 0.92 | 0.92 |" in previews.table(
        MemoryInput("detections", MAKER.rows("detections"), batch_rows=9)
    )
    (track, *_) = MAKER.rows("trajectories")
    lines = previews.table(MemoryInput("trajectories", [track] * 30, batch_rows=5)).splitlines()
    assert len(lines) == 2 + previews.TABLE_ROWS + 1 and "18 more" in lines[-1]
    assert previews.table(MemoryInput("masks", [])).endswith("| masks | 0 |")


@pytest.fixture(scope="module")
def results(pipeline: Pipeline, done: VideoOutcome) -> dict[str, StageInput]:
    """The drawn clip's results, made by the demo models."""
    return previews.published(pipeline.storage, done.video_id or "")


def official(results: dict[str, StageInput]) -> dict[str, StageInput]:
    """The same rows, as if other weights had made them."""
    made: dict[str, StageInput] = {}
    for stage, result in results.items():
        assert isinstance(result, StoredResult)
        components = result.manifest.components
        weights = components["weights"] and components["weights"].replace("demo:", "sha256:")
        made[stage] = replace(result, manifest=replace(result.manifest, components={**components, "weights": weights}))
    return made


def test_sheets_and_videos_say_that_they_are_of_the_demo_models(results: dict[str, StageInput], tmp_path: Path) -> None:
    assert previews.is_demo(results) and not previews.is_demo(official(results))
    assert not previews.is_demo({stage: results[stage] for stage in ("metadata", "frames")})

    marked, plain = (cv2.imdecode(np.frombuffer(previews.sheet(one, 1), np.uint8), 1) for one in (results, official(results)))
    rows = np.flatnonzero((np.abs(marked.astype(int) - plain) > 60).any(axis=(1, 2)))
    assert rows.size > 0 and rows.max() < marked.shape[0] / 6  # in the title, at the top
    assert "demonstration models" in previews.inline_sheet(results) and "demonstration" not in previews.inline_sheet(official(results))

    pictures = []
    for name, one in (("marked.mp4", results), ("plain.mp4", official(results))):
        previews.write_video(one, tmp_path / name)
        pictures.append(cv2.VideoCapture(str(tmp_path / name)).read()[1].astype(int))
    rows = np.flatnonzero((np.abs(pictures[0] - pictures[1]) > 60).any(axis=(1, 2)))
    assert rows.size > 0 and rows.min() > pictures[0].shape[0] / 2  # in the caption, at the bottom


def test_list_and_show_say_that_they_are_of_the_demo_models(terminal: io.StringIO, pipeline: Pipeline, done: VideoOutcome) -> None:
    assert previews.demo_videos(pipeline.storage, [done.video_id or ""]) == {done.video_id}
    assert previews.demo_videos(pipeline.storage, []) == set()
    home, video_id = ("--home", str(pipeline.settings.home_dir)), done.video_id or ""
    listed = [json.loads(line) for line in invoke("list", "--json", *home).splitlines()]
    assert {row["video_id"]: row["demo_models"] for row in listed}[video_id] is True
    assert json.loads(invoke("show", video_id, "--json", *home))["demo_models"] is True
    invoke("list", *home)
    assert f"{done.filename} (demo models)" in terminal.getvalue()
    invoke("show", video_id, *home)
    assert tables.DEMO_NOTICE in terminal.getvalue()


def invoke(*args: str) -> str:
    ran = CliRunner().invoke(app, args, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the commands write to a wide terminal without colours or styles."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, color_system=None, width=300)
    for module, name in ((progress, "ERR"), (tables, "ERR"), (show, "OUT")):
        monkeypatch.setattr(module, name, console)
    return shown


def test_progress_shows_a_name_with_brackets_as_it_is(terminal: io.StringIO, pipeline: Pipeline) -> None:
    with progress.StageBars(pipeline.storage.db, {"a": "[/red]x.mp4", "b": "[bold]y.mp4"}) as bars:
        bars._draw("a", "frames", 1, 2)
        bars._draw("b", "frames", 1, 2)
    assert "[/red]x.mp4" in terminal.getvalue() and "[bold]y.mp4" in terminal.getvalue()


def test_show_prints_texts_with_brackets_as_they_are(terminal: io.StringIO) -> None:
    element = {"difficulty": "easy", "type": "product", "description": "a [/b] box", "tracks": ["obj_001"]}
    analysis = {"importance": 5, "scene_type": "[both]", "describer": "gemini", "description": "A [/i] sign."}
    found: dict[str, Any] = {
        "video": {"filename": "[/red]x.mp4", "id": "1", "status": "failed", "failure_code": "not_a_video", "failure_message": "[/red]x"},
        "stages": [],
        "tracks": [
            {
                "track_id": "obj_001",
                "class": "product",
                "label": "cup [/x]",
                "start_frame": 0,
                "end_frame": 9,
                "frames": 3,
                "avg_confidence": 1.0,
            }
        ],
        "scenes": [{"scene_number": 1, "start_frame": 0, "end_frame": 9, "analysis_data": {**analysis, "replaceable_elements": [element]}}],
        "demo_models": True,
    }
    show.print_video(found)
    tables.notice("see [/red]x.mp4")
    for text in ("[/red]x.mp4", "cup [/x]", "A [/i] sign.", "[both]", "a [/b] box", "see [/red]x.mp4", "Demonstration models"):
        assert text in terminal.getvalue()


def test_preview_names_a_file_with_brackets(terminal: io.StringIO, pipeline: Pipeline, done: VideoOutcome, tmp_path: Path) -> None:
    output = tmp_path / "[" / "red]x.jpg"
    invoke("preview", done.video_id or "", "-o", str(output), "--home", str(pipeline.settings.home_dir))
    assert output.is_file() and f"Wrote {output}" in terminal.getvalue()

"""The same clip gives the same results, until a code version says otherwise.

A difference here means that a stage's code, or a library below it, changed what comes out. If that is meant, raise the stage's
`code_version` in `stages`, so that stored results become stale, and write the file anew with REFRAMER_UPDATE_GOLDEN=1.
Tolerances cover the last digits that differ between processors.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reframer_pipeline.demo.world import bundled_clip_path
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.stages import CODE_VERSIONS, NAMES
from reframer_pipeline.vision import weights
from reframer_pipeline_tests.computed import add

GOLDEN = Path(__file__).with_name("golden.json")
UPDATE = bool(os.environ.get("REFRAMER_UPDATE_GOLDEN"))  # read now: the settings fixture clears such variables


@pytest.fixture(scope="module")
def made(shared: Storage) -> dict[str, Any]:
    video_id = add(shared, bundled_clip_path())
    (outcome,) = run_videos(shared.settings, [video_id])
    assert outcome.status == "completed", outcome.failure_message
    results = sheets.published(shared, video_id)
    rows = {stage: [row for batch in results[stage].batches() for row in batch.to_pylist()] for stage in NAMES}
    return {"code_versions": CODE_VERSIONS, "weights": weights.digests(shared.settings), **_figures(rows)}


@pytest.fixture(scope="module")
def golden(made: dict[str, Any]) -> dict[str, Any]:
    if UPDATE:
        GOLDEN.write_text(json.dumps(made, indent=1))
    kept: dict[str, Any] = json.loads(GOLDEN.read_text())
    return kept


def test_versions_and_weights_are_the_golden_ones(made: dict[str, Any], golden: dict[str, Any]) -> None:
    assert made["code_versions"] == golden["code_versions"]
    assert made["weights"] == golden["weights"]


def test_what_is_said_of_the_scenes(made: dict[str, Any], golden: dict[str, Any]) -> None:
    """Every word and figure of the analysis, so that no change of it goes by without a look at the stage's code version."""
    _assert_alike(made["analysis"], golden["analysis"], "analysis")


@pytest.mark.parametrize("stage", ["metadata", "trajectories", "scenes"])
def test_exact(stage: str, made: dict[str, Any], golden: dict[str, Any]) -> None:
    assert made[stage] == golden[stage]


def test_frames(made: dict[str, Any], golden: dict[str, Any]) -> None:
    assert made["frames"]["pts"] == golden["frames"]["pts"]
    np.testing.assert_allclose(made["frames"]["scores"], golden["frames"]["scores"], atol=0.3)


def test_detections(made: dict[str, Any], golden: dict[str, Any]) -> None:
    assert [row[:3] for row in made["detections"]] == [row[:3] for row in golden["detections"]]
    np.testing.assert_allclose([row[3] for row in made["detections"]], [row[3] for row in golden["detections"]], atol=0.03)
    np.testing.assert_allclose([row[4:] for row in made["detections"]], [row[4:] for row in golden["detections"]], atol=2.0)


def test_masks(made: dict[str, Any], golden: dict[str, Any]) -> None:
    np.testing.assert_allclose(made["masks"], golden["masks"], rtol=0.03, atol=20)


def _assert_alike(made: Any, golden: Any, where: str) -> None:
    """The same structure and words; numbers, also those in sentences, may differ a little."""
    if isinstance(golden, dict):
        assert made.keys() == golden.keys(), where
        for name in golden:
            _assert_alike(made[name], golden[name], f"{where}.{name}")
    elif isinstance(golden, list):
        assert len(made) == len(golden), where
        for index, (one, kept) in enumerate(zip(made, golden, strict=True)):
            _assert_alike(one, kept, f"{where}.{index}")
    elif isinstance(golden, str):
        assert re.sub(r"\d+(\.\d+)?", "0", made) == re.sub(r"\d+(\.\d+)?", "0", golden), where
    elif isinstance(golden, float):
        assert made == pytest.approx(golden, rel=0.05, abs=2.0 if ".bbox." in where else 0.03 if abs(golden) <= 1 else 1.0), where
    else:
        assert made == golden, where


def _figures(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return json.loads(  # type: ignore[no-any-return]
        json.dumps(
            {
                "metadata": [{name: value for name, value in rows["metadata"][0].items() if name != "container"}],
                "frames": {
                    "pts": [row["pts"] for row in rows["frames"]],
                    "scores": [round(row["content_score"], 2) for row in rows["frames"]],
                },
                "detections": [
                    [row["frame_number"], row["object_class"], row["label"], round(row["confidence"], 3)]
                    + [round(row[side], 1) for side in ("x1", "y1", "x2", "y2")]
                    for row in rows["detections"]
                ],
                "masks": [row["area"] for row in rows["masks"]],
                "trajectories": [
                    [row[name] for name in ("track_id", "object_class", "start_frame", "end_frame")] for row in rows["trajectories"]
                ],
                "scenes": [[row["scene_number"], row["start_frame"], row["end_frame"]] for row in rows["scenes"]],
                "analysis": [json.loads(row["analysis"]) for row in rows["scenes"]],
            }
        )
    )

"""The Python API: what it gives is what is stored, and the examples of docs/python.md run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reframer_pipeline as rp
from reframer_pipeline.failures import HomeMissing, NotPublished, SettingsInvalid, UnknownFormat, UnknownFrame, UnknownVideo
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.reading.sheets import published
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.rle import decode
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.support import REPOSITORY

EXAMPLES = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "python.md").read_text(), re.S)


@pytest.fixture(scope="module")
def video(shared: Storage, done: VideoOutcome) -> rp.Video:
    assert done.video_id is not None
    return rp.open(done.video_id[:12], home=shared.settings.home)


@contextmanager
def reaching(storage: Storage) -> Iterator[dict[str, Any]]:
    """The keyword arguments that lead there. What they open is closed at the end, so that the database can be dropped."""
    given = {"home": storage.settings.home, "database_url": storage.settings.database_url}
    with closing(storage_of(Settings(**given))):
        yield given


def test_importing_is_light() -> None:
    code = "import sys, reframer_pipeline as rp; print(*sys.modules); rp.run, rp.videos, rp.open; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout
    imported, used = (set(line.split()) for line in said.splitlines())
    assert not {"pyarrow", "numpy", "pydantic"} & imported
    assert not {"pandas", "torch", "dagster", "supervision", "psycopg"} & used


def test_tables_are_the_published_ones(video: rp.Video, done: VideoOutcome) -> None:
    assert (len(video.scenes), len(video.tracks)) == (done.scenes, done.tracks)
    assert len(video.detections) == done.detections and len(video.elements) > 0
    assert set(video.detections["track_id"].dropna()) <= set(video.tracks["track_id"])


def test_an_export_is_that_of_the_command(video: rp.Video, tmp_path: Path) -> None:
    assert video.export("coco", tmp_path / "coco") == tmp_path / "coco"
    assert len(json.loads((tmp_path / "coco" / "annotations.json").read_text())["annotations"]) == len(video.detections)
    with pytest.raises(UnknownFormat, match="'coko'.*coco, mot"):
        video.export("coko", tmp_path / "other")


def test_masks_and_pictures_of_a_frame_are_the_stored_ones(video: rp.Video, shared: Storage) -> None:
    results = published(shared, video.id)
    stored = {row["detection_id"]: row for batch in results["masks"].batches() for row in batch.to_pylist()}
    with FrameStore(results["frames"].open_attachment()) as store:
        assert video.frame_numbers == list(store.frame_numbers)
        for number in video.frame_numbers:
            boxes, masks = video.detections[video.detections["frame_number"] == number], video.masks(number)
            assert masks.shape == (len(boxes), video.facts["height"], video.facts["width"]) and masks.dtype == bool
            for mask, detection_id in zip(masks, boxes["detection_id"], strict=True):
                row = stored.pop(detection_id)
                np.testing.assert_array_equal(mask, decode(row["rle"], row["height"], row["width"]))
            np.testing.assert_array_equal(video.frame(number), store.read(number))
    assert stored == {}


def test_supervision_has_boxes_masks_and_ids(video: rp.Video) -> None:
    number = int(video.detections["frame_number"].iloc[0])
    boxes, found = video.detections[video.detections["frame_number"] == number], video.supervision(number)
    assert len(found) == len(boxes) and found.mask is not None and found.tracker_id is not None and found.class_id is not None
    np.testing.assert_allclose(found.xyxy[:, 2] - found.xyxy[:, 0], boxes["width"])
    assert [f"obj_{number:03}" for number in found.tracker_id] == boxes["track_id"].tolist()
    assert [("person", "product")[kind] for kind in found.class_id] == boxes["class"].tolist()
    assert found.data["class_name"].tolist() == boxes["label"].tolist()


def test_sightings_without_a_track_or_mask(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    settings = storage.settings.model_copy(update={"track_low_conf": 0.1})
    commit_all(storage, video_id, Maker(sha, settings, candidates=True))
    storage.db.execute("UPDATE videos SET width = 64, height = 48")
    storage.db.execute("DELETE FROM track_sightings WHERE track_id = 'obj_002'")
    storage.db.execute("DELETE FROM segmentation_masks WHERE detection_id IN (SELECT detection_id FROM track_sightings)")
    with reaching(storage) as given:
        found = rp.open(video_id, **given).supervision(0)
        assert found.tracker_id is not None and found.mask is not None
        assert found.tracker_id.tolist() == [1, -1] and found.data["track_id"].tolist()[0] == "obj_001"
        assert found.mask.any(axis=(1, 2)).tolist() == [False, True]
        assert len(rp.open(video_id, **given).supervision(10)) == 0  # every third sampled frame is empty


def test_what_was_opened_stays(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings))
    with reaching(storage) as given:
        before = rp.open(video_id, **given)
        commit_all(storage, video_id, Maker(sha, storage.settings.model_copy(update={"vid_stride": 4}), text="Anew."))
        assert set(before.scenes["description"]) == {"Two things."}
        assert set(rp.open(video_id, **given).scenes["description"]) == {"Anew."}


def test_what_cannot_be_is_said(video: rp.Video, shared: Storage, tmp_path: Path) -> None:
    with pytest.raises(UnknownFrame, match="was not looked at") as refused:
        video.frame(1)
    assert "0" in refused.value.remedy
    with pytest.raises(SettingsInvalid, match="Did you mean home"):
        rp.videos(hoem=tmp_path)
    for read in (rp.videos, lambda **where: rp.open("no such id", **where)):
        with pytest.raises(HomeMissing, match="typo"):
            read(home=tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    with pytest.raises(UnknownVideo):
        rp.open("no such id", home=shared.settings.home)
    waiting, _ = add_video(shared, seed=77)
    with pytest.raises(NotPublished):
        rp.open(waiting, home=shared.settings.home)


def test_examples_of_the_docs(
    clip: Path, done: VideoOutcome, shared: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.mp4").symlink_to(clip)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFRAMER_HOME", str(shared.settings.home))
    known: dict[str, object] = {}
    for example in EXAMPLES:
        exec(example, known)
    assert "unknown_video" in capsys.readouterr().out and len(EXAMPLES) >= 6
    assert [one.failure_code for one in rp.run(["clip.mp4", "broken.mp4"], models="demo", quiet=True)] == [None, "not_a_video"]

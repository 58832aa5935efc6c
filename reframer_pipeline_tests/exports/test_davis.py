"""DAVIS and YouTube-VOS, read back by Pillow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reframer_pipeline.exports.videos import Video, published_videos
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision.rle import encode
from reframer_pipeline_tests.exports import truth
from reframer_pipeline_tests.factories import Maker, add_video, commit_all

Exported = Callable[..., Path]


@pytest.mark.models
def test_the_computed_clip_is_as_in_the_database(drawn: Video, exported: Exported) -> None:
    _compare(exported("davis", drawn), drawn, [f"{number:05d}" for number in range(0, 50, 5)])


def test_what_is_awkward_is_as_in_the_database(made: list[Video], exported: Exported) -> None:
    folder = exported("davis", *made)
    odd, nothing, _ = made
    _compare(folder, odd, ["00000", "00005", "00015"])  # in 00010 is only a weak box, which has no mask
    _compare(folder, nothing, ["00000", "00005", "00010", "00015"])
    objects = json.loads((folder / "meta.json").read_text())["videos"][odd.name]["objects"]
    assert {one["track"]: one["frames"] for one in objects.values()} == {"obj_001": ["00000", "00015"], "obj_002": ["00000"]}
    assert json.loads((folder / "meta.json").read_text())["videos"][nothing.name] == {"objects": {}}


def test_the_palette_is_that_of_davis(odd: Video, exported: Exported) -> None:
    picture = Image.open(exported("davis", odd) / "Annotations" / odd.name / "00000.png")
    assert picture.mode == "P" and picture.getpalette()[: 3 * 8] == [
        0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128,
    ]  # fmt: skip


def _compare(folder: Path, video: Video, frames: list[str]) -> None:
    """Each pixel has the number of the most confident track whose mask covers it."""
    objects = json.loads((folder / "meta.json").read_text())["videos"][video.name]["objects"]
    numbers = {one["track"]: int(number) for number, one in objects.items()}
    assert all(one["category"] == truth.tracks(video)[one["track"]]["label"] for one in objects.values())
    masks, pictures = truth.masks(video), sorted((folder / "Annotations" / video.name).iterdir())
    assert [path.stem for path in pictures] == frames
    for path in pictures:
        picture = np.asarray(Image.open(path))
        here = [one for one in truth.sightings(video).values() if one["frame_number"] == int(path.stem) and one["track_id"]]
        expected = np.zeros_like(picture)
        for one in sorted(here, key=lambda row: -row["ordinal"]):
            if one["detection_id"] in masks and masks[one["detection_id"]].any():
                expected[masks[one["detection_id"]]] = numbers[one["track_id"]]
                assert path.stem in objects[str(numbers[one["track_id"]])]["frames"]
        assert np.array_equal(picture, expected)


class Crowd(Maker):
    """Two frames with 150 tracks each, 40 of which are in both, and each of a pixel of its own."""

    def _placed(self) -> Iterator[tuple[int, int, int, int]]:
        """Frame, ordinal, track, pixel."""
        return ((frame, place, first + place, place) for frame, first in ((0, 0), (5, 110)) for place in range(150))

    def _detections(self) -> Iterator[dict[str, Any]]:
        for frame, place, _, pixel in self._placed():
            x, y = pixel % 64, pixel // 64
            yield {
                "detection_id": row_id(self._result("detections"), f"{frame}:{place}"), "frame_number": frame, "timestamp": frame / 30,
                "ordinal": place, "object_class": "product", "label": "cup", "confidence": 0.9, "x1": x, "y1": y, "x2": x + 1, "y2": y + 1,
                "candidate": False,
            }  # fmt: skip

    def _masks(self) -> Iterator[dict[str, Any]]:
        for row in self._detections():
            mask = np.zeros((self.height, self.width), np.uint8)
            mask[int(row["y1"]), int(row["x1"])] = 1
            rle, area = encode(mask)
            yield {
                "mask_id": row_id(self._result("masks"), row["detection_id"]), "detection_id": row["detection_id"],
                "frame_number": row["frame_number"], "timestamp": row["timestamp"], "height": self.height, "width": self.width, "rle": rle,
                "area": area, "predicted_iou": 0.9, "stability": 0.95,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        tracks: dict[int, list[dict[str, Any]]] = {}
        for row, (_, _, track, _) in zip(self._detections(), self._placed(), strict=True):
            tracks.setdefault(track, []).append(row)
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        for track, rows in tracks.items():
            yield {
                "track_id": f"obj_{track + 1:03}", "object_class": "product", "label": "cup", "start_frame": rows[0]["frame_number"],
                "end_frame": rows[-1]["frame_number"] + 1, "avg_confidence": 0.9,
                "frames": [{"frame": row["frame_number"], "seconds": 0.2, **{name: row[name] for name in names}} for row in rows],
            }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        for row in super()._scenes():
            yield row | {"analysis": json.dumps(json.loads(row["analysis"]) | {"replaceable_elements": [], "tracks": []})}


def test_more_than_255_objects_are_parted(storage: Storage, exported: Exported) -> None:
    video_id, sha256 = add_video(storage)
    commit_all(storage, video_id, Crowd(sha256, storage.settings, frame_count=6))
    (video,) = published_videos(storage, [video_id])
    folder = exported("davis", video)
    videos = json.loads((folder / "meta.json").read_text())["videos"]
    assert [len(one["objects"]) for one in videos.values()] == [150, 150] and list(videos) == [video.name, f"{video.name}+2"]
    for name, frame, first in ((video.name, "00000", 0), (f"{video.name}+2", "00005", 110)):
        numbers = {one["track"]: int(number) for number, one in videos[name]["objects"].items()}
        pixels = np.asarray(Image.open(folder / "Annotations" / name / f"{frame}.png")).ravel()
        assert [numbers[f"obj_{first + place + 1:03}"] for place in range(150)] == pixels[:150].tolist() and not pixels[150:].any()

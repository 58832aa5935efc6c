"""What is drawn where, sheets that fit, and the preview video."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from reframer_pipeline.demo.world import make_clip
from reframer_pipeline.failures import InternalError
from reframer_pipeline.schemas import DETECTIONS, MASKS
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import row_id
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.boxes import by_frame
from reframer_pipeline.vision.drawing import INLINE_BYTES, Item, annotate, colour_of, contact_sheet, spread
from reframer_pipeline.vision.encoder import encode_video
from reframer_pipeline.vision.overlay import Tracks, annotated_frames, tracks_of
from reframer_pipeline.vision.trajectories import track_detections

RESULT = "00000000-0000-5000-8000-000000000004"
GREY = np.full((240, 320, 3), 90, np.uint8)


def test_a_mask_colours_its_own_pixels_only_and_a_box_its_outline() -> None:
    mask = np.zeros((240, 320), bool)
    mask[100:140, 100:180] = True
    drawn = annotate(GREY, [Item((90, 90, 190, 150), "", (255, 0, 0), mask)])
    assert drawn.shape == GREY.shape and (GREY == 90).all()
    assert drawn[120, 140].tolist() == [164, 50, 50]  # 45 % red over grey
    assert drawn[100, 140].tolist() == [255, 0, 0]  # the mask's edge
    assert drawn[90, 150].tolist() == [255, 0, 0]  # the box
    assert (drawn[160:, :] == 90).all() and (drawn[95, 95:185] == 90).all()


def test_text_leaves_ink() -> None:
    plain = annotate(GREY, [Item((0, 0, 100, 100), "", (0, 255, 0))])
    with_text = annotate(GREY, [Item((0, 0, 100, 100), "obj_001 person", (0, 255, 0))])
    assert (plain != with_text).any()


@pytest.mark.parametrize("box", [(300, 100, 318, 140), (2, 0, 40, 60), (290, 2, 319, 238)])
def test_a_label_lies_inside_the_picture(box: tuple[float, float, float, float]) -> None:
    in_the_middle, here = (annotate(GREY, [Item(one, "obj_001 wine glass", (0, 255, 0))]) for one in ((100, 100, 118, 140), box))
    ink = [((drawn[..., 0] == 0) & (drawn[..., 1] < 200)).sum() for drawn in (in_the_middle, here)]  # black letters on green
    assert ink[0] == ink[1] > 100


def test_what_was_told_from_others_looks_it() -> None:
    """Dashes in place of lines, a fainter mask without an edge."""
    mask = np.zeros((240, 320), bool)
    mask[100:140, 100:180] = True
    seen, told = (annotate(GREY, [Item((60, 60, 240, 200), "", (255, 0, 0), mask, measured)]) for measured in (True, False))
    side = [(one[60, 60:241] != 90).any(axis=1) for one in (seen, told)]
    assert side[0].all() and 0.4 < side[1].mean() < 0.7 and side[1][[0, 1, -2, -1]].all()
    assert told[120, 140].tolist() == told[100, 140].tolist() == [140, 63, 63]  # 30 % red over grey
    assert (annotate(GREY, [Item((60, 60, 240, 200), "", (255, 0, 0), None, False)], boxes=False, texts=False) == 90).all()


def test_colours_are_fixed_and_far_apart() -> None:
    assert colour_of(1) == colour_of(1)
    colours = np.array([colour_of(n) for n in range(1, 13)], int)
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 1000 * np.eye(12, dtype=int)
    assert distances.min() > 60


@pytest.mark.parametrize("count", [1, 3, 12])
def test_a_sheet_fits_where_it_must(count: int) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (360, 640, 3), dtype=np.uint8) for _ in range(count)]
    small = contact_sheet(noise, [f"frame {n}" for n in range(count)], max_bytes=INLINE_BYTES)
    assert len(small) <= INLINE_BYTES
    assert Image.open(io.BytesIO(small)).format == "JPEG"
    large = Image.open(io.BytesIO(contact_sheet(noise, columns=3, width=960)))
    columns = min(3, count)
    assert large.size == (960, round(960 / columns * 360 / 640) * -(-count // columns))


def test_spread_is_even_and_within() -> None:
    assert spread(100, 4) == [12, 37, 62, 87]
    assert spread(2, 9) == [0, 1] and spread(0, 4) == []


@pytest.fixture(scope="module")
def scene() -> tuple[list, list[pa.RecordBatch], list[pa.RecordBatch]]:
    """Ten frames of a drawn clip, with its truth as detections and masks."""
    clip = make_clip(1_000_007, n_frames=50, shots=1)
    frames, found, masks = [], [], []
    for number in range(0, 50, 5):
        image, truth = clip.frame(number)
        frames.append((number, image))
        for ordinal, one in enumerate(truth):
            detection_id = row_id(RESULT, f"{number}:{ordinal}")
            compressed, area = rle.encode(one.mask)
            place = {"detection_id": detection_id, "frame_number": number, "timestamp": number / 25}
            sides = dict(zip(("x1", "y1", "x2", "y2"), one.xyxy, strict=True))
            facts = {"object_class": one.object_class, "label": one.label, "confidence": 0.9, "ordinal": ordinal, "candidate": False}
            found.append(place | sides | facts)
            shape = {"height": one.mask.shape[0], "width": one.mask.shape[1], "rle": compressed, "area": area}
            masks.append(place | shape | {"mask_id": row_id(RESULT, detection_id), "predicted_iou": 1.0, "stability": 1.0})
    return frames, [pa.RecordBatch.from_pylist(found, DETECTIONS)], [pa.RecordBatch.from_pylist(masks, MASKS)]


def test_each_stage_of_knowledge_can_be_drawn(scene: tuple) -> None:
    frames, found, masks = scene
    times = [(number, number / 25, 0.2) for number, _ in frames]
    tracks = tracks_of(track_detections(times, by_frame(found), 0.2, Settings()))
    assert len(set(tracks.values())) >= 2 and min(tracks.values()) == (1, "obj_001")
    plain = dict(frames)
    boxes = dict(annotated_frames(frames, found))
    filled = dict(annotated_frames(frames, found, masks))
    named = dict(annotated_frames(frames[3:6], found, masks, tracks))
    assert list(boxes) == list(plain) and list(named) == [15, 20, 25]
    for number in named:
        changed = [(one[number] != plain[number]).any(axis=2).mean() for one in (boxes, filled, named)]
        assert 0 < changed[0] < changed[1] < changed[2]


def test_a_track_keeps_its_colour(scene: tuple) -> None:
    frames, found, _ = scene
    times = [(number, number / 25, 0.2) for number, _ in frames]
    trajectories = list(track_detections(times, by_frame(found), 0.2, Settings()))
    tracks = tracks_of(trajectories)
    longest = max(pa.Table.from_batches(trajectories).to_pylist(), key=lambda track: len(track["frames"]))
    colour = np.array(colour_of(int(longest["track_id"][4:])))
    shown = dict(annotated_frames(frames, found, (), tracks))
    for sighting in longest["frames"]:
        image = shown[sighting["frame"]]
        x1, y1, y2 = (int(sighting[side]) for side in ("x1", "y1", "y2"))
        edge = image[y1:y2, max(0, x1 - 3) : x1 + 4].astype(int)
        assert (np.abs(edge - colour).sum(axis=2).min(axis=1) < 40).mean() > 0.4  # others' boxes and labels may lie over it


def test_a_small_picture_shows_the_same_at_its_own_size(scene: tuple) -> None:
    frames, found, masks = scene
    small = [(number, np.ascontiguousarray(image[::2, ::2])) for number, image in frames]
    size = frames[0][1].shape[:2]
    large_drawn, small_drawn = (dict(annotated_frames(pictures, found, masks, size=size)) for pictures in (frames, small))
    for (number, plain), (_, little) in zip(frames, small, strict=True):
        coloured = (np.abs(large_drawn[number].astype(int) - plain).max(axis=2) > 20)[::2, ::2]
        also = np.abs(small_drawn[number].astype(int) - little).max(axis=2) > 20
        assert also.shape == coloured.shape and (coloured & also).sum() > 0.7 * coloured.sum()


def test_what_is_in_no_track_is_not_drawn(scene: tuple) -> None:
    """Whether the track was left out of the results or of the picture: here of what was seen in the first frame alone."""
    frames, (found,), masks = scene
    times, rows = [(number, number / 25, 0.2) for number, _ in frames], found.to_pylist()
    once = [pa.RecordBatch.from_pylist([row for row in rows if row["ordinal"] != 1 or row["frame_number"] == 0], DETECTIONS)]
    never = [pa.RecordBatch.from_pylist([row for row in rows if row["ordinal"] != 1], DETECTIONS)]

    def drawn(detections: list[pa.RecordBatch], tracks: Tracks) -> np.ndarray:
        return next(annotated_frames(frames, detections, masks, tracks))[1]

    every, several = (list(track_detections(times, by_frame(once), 0.2, Settings(min_sightings=n))) for n in (1, 2))
    assert (drawn(once, tracks_of(every)) != drawn(never, tracks_of(every))).any()
    for left_out in (tracks_of(several), tracks_of(several, min_sightings=2)):
        assert (drawn(once, left_out) == drawn(never, left_out)).all()
    assert (drawn(once, tracks_of(every, min_sightings=2)) == drawn(never, tracks_of(every))).all()


def test_names_for_some_frames_hold_only_their_sightings(scene: tuple) -> None:
    frames, found, masks = scene
    times = [(number, number / 25, 0.2) for number, _ in frames]
    trajectories = list(track_detections(times, by_frame(found), 0.2, Settings()))
    everything, some = tracks_of(trajectories), tracks_of(trajectories, [15, 20])
    assert some.items() <= everything.items() and 0 < len(some) <= len(everything) / 3
    drawn = (dict(annotated_frames(frames[3:5], found, masks, tracks)) for tracks in (everything, some))
    assert all((one == other).all() for one, other in zip(*(pictures.values() for pictures in drawn), strict=True))


def test_the_preview_is_a_video_that_plays(scene: tuple, tmp_path: Path) -> None:
    frames, found, masks = scene
    images = (image for _, image in annotated_frames(frames, found, masks))
    path = tmp_path / "new" / "preview.mp4"
    assert encode_video(images, path, fps=5, max_side=321) == 10
    assert [one.name for one in path.parent.iterdir()] == ["preview.mp4"]
    entries = "stream=codec_name,width,height,pix_fmt,nb_frames,r_frame_rate"
    line = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", str(path)]
    (stream,) = json.loads(subprocess.run(line, capture_output=True, check=True).stdout)["streams"]
    assert stream == {
        "codec_name": "h264",
        "width": 320,
        "height": 180,
        "pix_fmt": "yuv420p",
        "r_frame_rate": "5/1",
        "nb_frames": "10",
    }


def test_no_frames_no_file_and_a_failure_leaves_none(tmp_path: Path) -> None:
    assert encode_video([], tmp_path / "a.mp4", 5) == 0
    with pytest.raises(InternalError, match="differ in shape"):
        encode_video([GREY, GREY[:100]], tmp_path / "a.mp4", 5)
    with pytest.raises(InternalError, match="could not write"):
        encode_video([GREY], tmp_path / "a.mp4", 5, preset="none such")
    assert list(tmp_path.iterdir()) == []

"""Pictures are shown as FFmpeg's own player-side path shows them, with its autorotation: size, aspect, turn and pixels."""

from __future__ import annotations

import json
import math
import os
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reframer_pipeline.media import commands
from reframer_pipeline.media.display import Orientation, orientation
from reframer_pipeline.media.frame_store import decode, encode
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.made import corners, edited, facts, ffmpeg, ffprobe_pts, numbered, sampled, turn
from reframer_pipeline_tests.media.odd_files import CLIPS, HUNT, LARGE_CLIPS, ODD
from reframer_pipeline_tests.support import media_dir

pytestmark = pytest.mark.slow

TABLES = {"clips": CLIPS, "odd": ODD, "hunt": HUNT}
ACCEPTED = [(folder, name) for folder, table in TABLES.items() for name, end in table.items() if end == "completed"]

# Damaged pictures: packets that give none.
LOST = {"nal_corrupted.mp4": 1, "rotation_int64_min_no_timescale.mp4": 12}

# The eight ways in which a display matrix (a, b, c, d) turns by quarters and mirrors.
WAYS = {
    (1, 0, 0, 1): Orientation(0), (0, 1, -1, 0): Orientation(270), (-1, 0, 0, -1): Orientation(180), (0, -1, 1, 0): Orientation(90),
    (-1, 0, 0, 1): Orientation(0, mirrored=True), (1, 0, 0, -1): Orientation(180, mirrored=True),
    (0, 1, 1, 0): Orientation(270, mirrored=True), (0, -1, -1, 0): Orientation(90, mirrored=True),
}  # fmt: skip


def players_shape(video: Path, stream_index: int) -> tuple[int, int, Fraction]:
    """Width, height and pixel aspect of the first frame that ffmpeg shows, out of a y4m header."""
    command = ["ffmpeg", "-v", "error", "-i", f"file:{video}", "-map", f"0:{stream_index}", "-frames:v", "1"]
    shown = subprocess.run([*command, "-pix_fmt", "yuv444p", "-f", "yuv4mpegpipe", "-"], capture_output=True, check=True).stdout
    fields = {word[:1]: word[1:] for word in shown.split(b"\n")[0].decode().split()[1:]}
    num, den = map(int, fields["A"].split(":"))
    return int(fields["W"]), int(fields["H"]), Fraction(num, den) if num and den else Fraction(1)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a decoder puts in place of damage depends on its threads: on how many, and on which comes first."""
    monkeypatch.setattr(commands, "decoder_threads", lambda: 1)


def players_picture(video: Path, metadata: VideoMetadata, number: int) -> NDArray[np.uint8]:
    """Frame `number` as ffmpeg shows it, brought to the size of the facts."""
    size = (metadata.width, metadata.height)
    filters = f"select=eq(n\\,{number}),scale={size[0]}:{size[1]}:flags=bicubic+accurate_rnd+full_chroma_int"
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", f"file:{video}", "-map", f"0:{metadata.stream_index}", "-vf", filters]
    raw = ["-fps_mode", "passthrough", "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    shown = subprocess.run([*command, *raw], capture_output=True, check=True).stdout
    return np.frombuffer(shown, np.uint8).reshape(size[1], size[0], 3)


def compare(video: Path, store: Path, *, vid_stride: int = 5, numbers: tuple[int, ...] = (0, -1)) -> VideoMetadata:
    """Fails unless facts, times and pictures are those of ffmpeg."""
    metadata, rows, frames = sampled(video, store, Settings(vid_stride=vid_stride))
    width, height, aspect = players_shape(video, metadata.stream_index)
    # One side is kept and the other made to fit, within a pixel.
    assert metadata.width == pytest.approx(metadata.height * width * aspect / height, abs=0.5 * max(1, width * aspect / height) + 0.5)
    assert (metadata.width >= metadata.height) == (width * aspect >= height)
    theirs = ffprobe_pts(video, metadata.stream_index)
    assert len(rows) == len(theirs) == metadata.frame_count - LOST.get(video.name, 0)
    shown_at = -math.inf
    for row, told in zip(rows, theirs, strict=True):
        shown_at = max(shown_at, row["pts"] if told == "N/A" else int(told))  # damaged streams step back in time, which never falls here
        assert row["pts"] == shown_at
    for number in {frames.frame_numbers[at] for at in numbers}:
        mine, shown = frames.read(number), players_picture(video, metadata, number)
        assert mine.shape == shown.shape
        alike(mine, shown)
    return metadata


def alike(mine: NDArray[np.uint8], shown: NDArray[np.uint8]) -> None:
    """Pixel by pixel the same, but for what JPEG and the order of scaling and turning leave."""
    difference = np.abs(mine.astype(int) - decode(encode(shown)))
    assert difference.mean() < 1 and np.quantile(difference, 0.999) <= 12, (difference.mean(), np.quantile(difference, 0.999))


@pytest.mark.parametrize(("folder", "name"), ACCEPTED)
def test_shared_media_are_shown_as_ffmpeg_shows_them(tmp_path: Path, folder: str, name: str) -> None:
    if name in LARGE_CLIPS and not os.environ.get("REFRAMER_TEST_ALL_MEDIA"):
        pytest.skip("seconds of decoding: set REFRAMER_TEST_ALL_MEDIA=1")
    metadata = compare(media_dir() / folder / name, tmp_path / "store", vid_stride=20)
    recorded = json.loads((media_dir() / "facts.json").read_text()).get(folder, {}).get(name)
    if recorded:
        assert metadata.frame_count - LOST.get(name, 0) == int(recorded["counted_frames"])


@pytest.mark.parametrize(("matrix", "way"), WAYS.items())
def test_the_eight_ways_to_turn_and_mirror(tmp_path: Path, matrix: tuple[int, int, int, int], way: Orientation) -> None:
    metadata = compare(turn(corners(tmp_path / "a.mp4"), matrix), tmp_path / "store")
    assert (metadata.orientation, metadata.notes) == (way, ())


@pytest.mark.parametrize("aspect", ["4/3", "3/4", "16/9"])
@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0)])
def test_pixels_that_are_not_square(tmp_path: Path, aspect: str, matrix: tuple[int, int, int, int]) -> None:
    clip = tmp_path / "a.mp4"
    ffmpeg("-i", corners(tmp_path / "square.mp4"), "-vf", f"setsar={aspect}", "-c:v", "libx264", "-crf", "5", clip)
    width = round(96 * Fraction(aspect))
    metadata = compare(turn(clip, matrix), tmp_path / "store")
    assert (metadata.width, metadata.height) == ((width, 64) if matrix[0] else (64, width))


@pytest.mark.parametrize(("degrees", "rotation"), [(89.6, 90), (90.4, 90), (270.3, 270), (179.7, 180), (0.4, 0), (359.6, 0)])
def test_a_matrix_that_is_nearly_a_quarter_turn(tmp_path: Path, degrees: float, rotation: int) -> None:
    """Cameras write such; taken for no turn at all, the picture was pressed into the wrong shape."""
    metadata = compare(turn(corners(tmp_path / "a.mp4"), counter_clockwise(degrees)), tmp_path / "store")
    assert metadata.rotation == rotation and not metadata.notes


@pytest.mark.parametrize(("degrees", "rotation"), [(90.9, 90), (269.1, 270), (45.0, None), (88.8, None)])
def test_up_to_one_degree(tmp_path: Path, degrees: float, rotation: int | None) -> None:
    metadata, _, store = sampled(turn(corners(tmp_path / "a.mp4"), counter_clockwise(degrees)), tmp_path / "store")
    if rotation is None:  # ffmpeg would cut off corners and show black ones; here the picture is left as stored, and it is said
        assert (metadata.rotation, metadata.width, metadata.height) == (0, 96, 64) and "no quarter" in metadata.notes[0]
    else:
        assert (metadata.rotation, metadata.width, metadata.height) == (rotation, 64, 96) and not metadata.notes
    assert store.read(0).shape == (metadata.height, metadata.width, 3)


def test_an_orientation_in_the_stream_itself(tmp_path: Path) -> None:
    """ffmpeg turns by what the decoder says of the frame, over which the container's matrix is forgotten."""
    sei = tmp_path / "sei.mp4"
    ffmpeg("-i", corners(tmp_path / "a.mp4"), "-c", "copy", "-bsf:v", "h264_metadata=display_orientation=insert:rotate=90", sei)
    # ffmpeg turns the frames alone that bear the message; a player that turns one of them and not the next shows nobody's picture
    metadata = compare(sei, tmp_path / "store", numbers=(0,))
    assert (metadata.rotation, metadata.width, metadata.height) == (90, 64, 96)
    metadata = compare(turn(sei, (-1, 0, 0, -1)), tmp_path / "store", numbers=(0,))
    assert metadata.rotation == 90
    _, _, store = sampled(sei, tmp_path / "store", Settings(vid_stride=1))
    for number in store.frame_numbers:
        alike(store.read(number), store.read(0))


def test_an_orientation_in_a_stream_whose_beginning_is_cut_away(tmp_path: Path) -> None:
    """The part that is shown begins 50 pictures after the one that it is decoded from."""
    sei = "-g 100 -bf 0 -bsf:v h264_metadata=display_orientation=insert:rotate=90"
    clip = edited(numbered(tmp_path / "a.mp4", frames=80, options=sei), [(1.0, 2.0, 1)])
    metadata, rows, store = sampled(clip, tmp_path / "store")
    assert (metadata.rotation, metadata.frame_count, len(rows)) == (90, 25, 25)
    assert store.read(0).shape == (metadata.height, metadata.width, 3) == (64, 48, 3)


def test_no_matrix_and_nonsense() -> None:
    assert orientation(None) == Orientation()
    assert orientation("") is None
    zeros = "\n".join(f"0000000{row}: 0 0 0" for row in range(3))
    assert orientation(zeros) is None


def test_facts_of_the_eight_ways_survive_the_table(tmp_path: Path) -> None:
    metadata = facts(turn(corners(tmp_path / "a.mp4"), (0, 1, 1, 0)))
    assert VideoMetadata.from_batch(metadata.to_batch()) == metadata and metadata.mirrored
    old = metadata.to_batch().drop_columns(["mirrored", "tone_mapped_from", "notes"])  # as code version 1 wrote it
    assert VideoMetadata.from_batch(old).orientation == Orientation(270)


def counter_clockwise(degrees: float) -> tuple[float, float, float, float]:
    """The matrix (a, b, c, d) that shows a picture turned counter-clockwise."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return cosine, -sine, sine, cosine

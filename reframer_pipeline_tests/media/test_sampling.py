"""The one decode: every frame named rightly, nothing invented, nothing lost silently."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reframer_pipeline import schemas
from reframer_pipeline.failures import (
    DamagedVideo,
    DimensionsOutOfRange,
    FrameStoreTooLarge,
    NoDecodableFrames,
    ReframerError,
    TruncatedVideo,
    VideoTooLong,
)
from reframer_pipeline.media.frame_store import encode
from reframer_pipeline.media.sampling import DARK, PALE, ContentScores, Looks, sample_frames, small_size
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.checks import CheckResult
from reframer_pipeline.stages.frames import FramesValidator
from reframer_pipeline.versions import Recipe, StageKey
from reframer_pipeline_tests.media.made import avi, corners, facts, ffmpeg, ffprobe_pts, numbered, numbered_jpeg, sampled, turn
from reframer_pipeline_tests.media.odd_files import CLIPS, HUNT, ODD
from reframer_pipeline_tests.support import media_dir

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def level(frame: np.ndarray) -> int:
    """The number that a numbered frame shows: its luma is 16 + 4 N."""
    return round((float(frame.mean()) * 219 / 255) / 4)


def judged(rows: list[dict[str, Any]], *, vid_stride: int) -> list[CheckResult]:
    """What the stage's validator says; it raises where a rule is broken."""
    validator = FramesValidator(StageKey("frames", {"settings": {"vid_stride": vid_stride}}, Recipe("frames", 1, {}, None, {})), {})
    for start in range(0, len(rows), 7):
        validator.feed(pa.RecordBatch.from_pylist(rows[start : start + 7], schema=schemas.FRAMES))
    return validator.verdict()


@pytest.mark.parametrize(
    ("name", "filters", "options"),
    [
        ("a.mp4", "null", "-bf 3 -preset medium"),
        ("b.mov", "settb=1/1000,setpts='40*N+11*mod(N,3)'", "-bf 2 -preset medium"),
        ("c.avi", "null", "-bf 2"),
        ("d.mp4", "setpts=PTS+5/TB", ""),
    ],
)
def test_numbers_pictures_and_pts_belong_together(tmp_path: Path, name: str, filters: str, options: str) -> None:
    clip = numbered(tmp_path / name, frames=33, filters=filters, options=options)
    metadata, rows, store = sampled(clip, tmp_path / "store")
    assert [row["frame_number"] for row in rows] == list(range(33))
    assert store.frame_numbers == [row["frame_number"] for row in rows if row["sampled"]] == list(range(0, 33, 5))
    assert [level(store.read(number)) for number in store.frame_numbers] == store.frame_numbers
    theirs = ffprobe_pts(clip, metadata.stream_index)
    assert all(text in (str(row["pts"]), "N/A") for text, row in zip(theirs, rows, strict=True))
    assert "N/A" not in theirs[:-1]
    for row in rows:
        assert row["timestamp"] == pytest.approx(float((row["pts"] - rows[0]["pts"]) * metadata.time_base))


@pytest.mark.parametrize("name", [name for name, end in ODD.items() if end != "completed"])
def test_every_odd_file_ends_in_its_typed_failure(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReframerError) as caught:
        sampled(media_dir() / "odd" / name, tmp_path / "store")
    assert caught.value.code == ODD[name]
    assert caught.value.message and caught.value.remedy
    assert not list(tmp_path.iterdir()), "nothing half may stay behind"


def test_the_table_names_every_file() -> None:
    assert set(ODD) == {path.name for path in (media_dir() / "odd").iterdir()}
    assert set(CLIPS) == {path.name for path in (media_dir() / "clips").iterdir()}
    assert set(HUNT) == {path.name for path in (media_dir() / "hunt").iterdir()} - {"facts.json"}


def test_nasa_agrees_with_the_recorded_truth(tmp_path: Path) -> None:
    truth = json.loads((media_dir() / "truth" / "nasa_13013.mp4.stream0.all_frames_info.json").read_text())
    _, rows, _ = sampled(media_dir() / "clips" / "nasa_multistream.mp4", tmp_path / "store", Settings(vid_stride=100))
    assert [row["timestamp"] for row in rows] == pytest.approx([float(frame["pts_time"]) for frame in truth])


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (None, (RED, GREEN, BLUE, WHITE)),
        ((0.0, 1.0, -1.0, 0.0), (BLUE, RED, WHITE, GREEN)),  # a quarter clockwise
        ((0.0, -1.0, 1.0, 0.0), (GREEN, WHITE, RED, BLUE)),
        ((-1.0, 0.0, 0.0, -1.0), (WHITE, BLUE, GREEN, RED)),
    ],
)
def test_pictures_stand_upright(
    tmp_path: Path, matrix: tuple[float, float, float, float] | None, expected: tuple[tuple[int, ...], ...]
) -> None:
    clip = corners(tmp_path / "a.mp4")
    if matrix:
        turn(clip, matrix)
    metadata, _, store = sampled(clip, tmp_path / "store")
    frame = store.read(0)
    assert frame.shape == (metadata.height, metadata.width, 3)
    bottom, right = metadata.height - 10, metadata.width - 10
    seen = [frame[y, x] for y, x in ((10, 10), (10, right), (bottom, 10), (bottom, right))]
    assert np.abs(np.array(seen, int) - np.array(expected)).max() < 12


@pytest.mark.parametrize(
    "codec",
    ["libx264 -pix_fmt yuv420p", "mjpeg -pix_fmt yuvj422p", "prores_ks -pix_fmt yuv422p10le", "libx265 -pix_fmt gray", "png -pix_fmt pal8"],
)
def test_pictures_are_the_bytes_of_one_conversion_to_rgb(tmp_path: Path, codec: str) -> None:
    """By planes or by pixels: the way is chosen for speed. Of grey and of palettes the ways differ, by up to 38 of 255."""
    clip = tmp_path / "a.mov"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=98x66:r=25:d=0.2,setparams=range=tv", "-c:v", *codec.split(), clip)
    metadata, _, store = sampled(clip, tmp_path / "store")
    size = f"{metadata.width}:{metadata.height}"
    ffmpeg(
        "-i",
        clip,
        "-vf",
        f"scale={size}:flags=bicubic+accurate_rnd+full_chroma_int",
        "-pix_fmt",
        "rgb24",
        "-f",
        "rawvideo",
        tmp_path / "rgb",
    )
    shown = np.fromfile(tmp_path / "rgb", np.uint8).reshape(-1, metadata.height, metadata.width, 3)
    assert store.jpeg(0) == encode(shown[0])


def test_pixels_are_made_square(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=6, filters="setsar=4/3")
    assert sampled(clip, tmp_path / "store")[2].read(5).shape == (48, 85, 3)


@pytest.mark.parametrize("stride", [1, 7, 1000])
def test_every_nth_frame_is_kept(tmp_path: Path, stride: int) -> None:
    _, rows, store = sampled(numbered(tmp_path / "a.mp4", frames=20), tmp_path / "store", Settings(vid_stride=stride))
    assert len(rows) == 20 and store.frame_numbers == list(range(0, 20, stride))


def test_a_size_that_changes_within_the_file(tmp_path: Path) -> None:
    """ffmpeg would rebuild its filters then, and count from zero: numbers, pts and pictures must still belong together."""
    parts = []
    for name, size, first in (("a", "64x48", 0), ("b", "96x64", 13)):
        source = f"color=black:s={size}:r=25,geq=lum='16+4*(N+{first})':cb=128:cr=128,trim=end_frame=13"
        ffmpeg("-f", "lavfi", "-i", source, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "2", "-f", "image2pipe", tmp_path / name)
        parts.append((tmp_path / name).read_bytes())
    (tmp_path / "joined").write_bytes(b"".join(parts))
    ffmpeg("-f", "mjpeg", "-framerate", "25", "-i", tmp_path / "joined", "-c", "copy", tmp_path / "a.avi")
    _, rows, store = sampled(tmp_path / "a.avi", tmp_path / "store")
    assert [row["frame_number"] for row in rows] == list(range(26))
    assert {store.read(number).shape for number in store.frame_numbers} == {(48, 64, 3)}
    assert store.frame_numbers == list(range(0, 26, 5))
    assert [level(store.read(number)) for number in store.frame_numbers] == store.frame_numbers
    assert all(check.passed for check in judged(rows, vid_stride=5))


@pytest.mark.parametrize(
    ("rate", "stride", "looked_at"),
    [
        ("1", 5, [0, 1, 2, 3, 4, 5, 6]),
        ("2", 5, [0, 2, 4, 6]),
        ("2", 10, [0, 4]),
        ("5", 5, [0, 5]),
        ("25", 5, [0, 5]),
        ("1/60", 30, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_slow_footage_is_looked_at_by_time(tmp_path: Path, rate: str, stride: int, looked_at: list[int]) -> None:
    """With a picture per slide, every fifth picture would pass most slides by."""
    clip = numbered(tmp_path / "a.mp4", frames=7, rate=rate)
    metadata, rows, store = sampled(clip, tmp_path / "store", Settings(vid_stride=stride))
    assert store.frame_numbers == [row["frame_number"] for row in rows if row["sampled"]] == looked_at
    assert Looks.about(stride, metadata.frame_count, metadata.duration_seconds) == len(looked_at)
    assert [level(store.read(number)) for number in looked_at] == looked_at
    assert judged(rows, vid_stride=stride)


def test_a_pause_is_looked_at_and_what_follows_too(tmp_path: Path) -> None:
    """A sparse recording: ten frames at full pace, one after three seconds, ten more."""
    clip = numbered(tmp_path / "a.mp4", frames=21, filters="settb=1/1000,setpts='40*N+3000*gte(N,10)+3000*gte(N,11)'")
    _, rows, store = sampled(clip, tmp_path / "store")
    assert store.frame_numbers == [0, 5, 10, 11, 16]
    assert judged(rows, vid_stride=5)


def test_batches_progress_and_schema(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=2500, size="32x32", filters="loop=2500:1:0,trim=end_frame=2500")
    told: list[tuple[int, int]] = []
    batches = list(sample_frames(clip, facts(clip), Settings(), tmp_path / "store", lambda done, total: told.append((done, total))))
    assert [batch.num_rows for batch in batches] == [1024, 1024, 452]
    assert all(batch.schema == schemas.FRAMES for batch in batches)
    assert told[0] == (32, 2500) and told[-1] == (2500, 2500) and len(told) == 2500 // 32 + 1


def test_the_store_appears_whole_or_not(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=1100, size="32x32")
    rows = sample_frames(clip, facts(clip), Settings(), tmp_path / "store")
    next(rows)
    assert not (tmp_path / "store").exists()
    rows.close()  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


# --- content scores


def coloured(rng: np.random.Generator, hue: int, saturation: tuple[int, int], value: tuple[int, int]) -> np.ndarray:
    """A picture (BGR) of random colours in these ranges, hue from 0 up to but not including the one given."""
    import cv2

    planes = [rng.integers(low, high, (36, 64), dtype=np.uint8) for low, high in ((0, hue), saturation, value)]
    return cv2.cvtColor(np.dstack(planes), cv2.COLOR_HSV2BGR)


def test_scores_of_colours_that_show_are_pyscenedetects() -> None:
    from scenedetect import ContentDetector, FrameTimecode, StatsManager

    rng = np.random.default_rng(1)
    frames = [coloured(rng, 180, (100, 256), (80, 256)) for _ in range(6)]
    detector, scores = ContentDetector(), ContentScores()
    detector.stats_manager = StatsManager()
    mine, theirs = [], []
    for number, frame in enumerate(frames):
        timecode = FrameTimecode(number, 25.0)
        detector.process_frame(timecode, frame)
        mine.append(scores.next(frame))
        theirs.append(detector.stats_manager.get_metrics(timecode, ["content_val"])[0] if number else 0.0)
    assert mine == pytest.approx(theirs, abs=1e-9) and min(mine[1:]) > 20


@pytest.mark.parametrize(
    ("saturation", "value"), [((0, 256), (0, 14)), ((0, 8), (60, 256)), ((0, 8), (200, 256))], ids=["near black", "grey", "near white"]
)
def test_colours_that_cannot_be_seen_count_for_nothing(saturation: tuple[int, int], value: tuple[int, int]) -> None:
    """Only value differs visibly; PySceneDetect's hue alone would add 20 to the score."""
    import cv2

    rng = np.random.default_rng(2)
    before, after = (coloured(rng, 180, saturation, value) for _ in range(2))
    scores = ContentScores()
    scores.next(before)
    values = [cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)[..., 2].astype(int) for frame in (before, after)]
    assert scores.next(after) == pytest.approx(np.abs(values[1] - values[0]).mean() / 3, abs=2)


def test_the_scores_are_those_of_their_formula() -> None:
    """To the last bit: scores are part of a result, which its key determines."""
    import cv2

    def between(values: np.ndarray, low: int, high: int) -> np.ndarray:
        return np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)

    def formula(before: np.ndarray, after: np.ndarray) -> float:
        first, second = (cv2.cvtColor(frame, cv2.COLOR_BGR2HSV) for frame in (before, after))
        hue, saturation, value = cv2.split(cv2.absdiff(second, first))
        chroma = [hsv[..., 1].astype(np.float32) * hsv[..., 2] / np.float32(255) for hsv in (first, second)]
        lit = between(np.maximum(first[..., 2], second[..., 2]), *DARK)
        coloured = lit * between(np.maximum(*chroma), *PALE)
        return (cv2.mean(hue * coloured)[0] + cv2.mean(saturation * lit)[0] + cv2.mean(value)[0]) / 3

    rng = np.random.default_rng(3)
    frames = [coloured(rng, 180, (0, most), (0, 257 - most)) for most in range(1, 257, 15)]
    scores = ContentScores()
    assert [scores.next(frame) for frame in frames][1:] == [formula(*pair) for pair in pairwise(frames)]


def test_a_cut_from_black_or_from_grey_to_colour_counts_in_full() -> None:
    for dull in (np.zeros((36, 64, 3), np.uint8), np.full((36, 64, 3), 128, np.uint8)):
        red = np.zeros((36, 64, 3), np.uint8)
        red[..., 2], red[..., 0] = 200, 40
        scores = ContentScores()
        scores.next(dull)
        assert scores.next(red) > 80


def test_a_cut_scores_on_its_exact_frame(tmp_path: Path) -> None:
    sources = [
        f"color={color}:s=320x180:r=25,noise=alls=10:allf=t,trim=end_frame={n}" for color, n in (("teal", 8), ("orange", 9), ("navy", 6))
    ]
    graph = ";".join(f"{source}[s{n}]" for n, source in enumerate(sources)) + ";[s0][s1][s2]concat=n=3"
    ffmpeg("-filter_complex", graph, "-c:v", "libx264", "-bf", "3", tmp_path / "a.mp4")
    _, rows, _ = sampled(tmp_path / "a.mp4", tmp_path / "store")
    scores = [row["content_score"] for row in rows]
    assert scores[0] == 0 and [n for n, score in enumerate(scores) if score > 27] == [8, 17] and sorted(scores)[-3] < 10


def test_the_compared_copy_is_small_and_never_empty() -> None:
    assert small_size(1920, 1080) == (256, 144) and small_size(16, 4000) == (1, 256) and small_size(100, 50) == (100, 50)


# --- refusals


@pytest.mark.parametrize(("name", "options"), [("a.mp4", "-movflags +faststart"), ("a.avi", "")])
def test_half_a_file_is_found_out_by_its_span(tmp_path: Path, name: str, options: str) -> None:
    """Also where the facts were taken before the file shrank: the frames stage judges by itself."""
    clip = numbered(tmp_path / name, frames=59, filters="noise=alls=60:allf=t", options=f"-g 5 {options}")
    metadata = facts(clip)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedVideo):
        list(sample_frames(clip, metadata, Settings(), tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_few_lost_pictures_are_gaps_and_many_are_damage(tmp_path: Path) -> None:
    """Pictures are gone where their time shows nothing; a count that was never true refuses nothing."""
    pictures = [numbered_jpeg(n % 50) for n in range(60)]
    some = [None if n in (20, 21, 40) else picture for n, picture in enumerate(pictures)]
    metadata, rows, _ = sampled(avi(tmp_path / "some.avi", [picture or b"gone" for picture in some]), tmp_path / "store")
    assert (metadata.frame_count, len(rows)) == (60, 57)
    few = avi(tmp_path / "few.avi", [picture if n % 20 < 5 or n == 59 else b"gone" for n, picture in enumerate(pictures)])
    with pytest.raises(DamagedVideo, match="16 of 60"):
        sampled(few, tmp_path / "store")
    whole = avi(tmp_path / "whole.avi", pictures)
    assert list(sample_frames(whole, replace(facts(whole), frame_count=200), Settings(), tmp_path / "store"))


def test_pictures_of_noise_decode_to_nothing(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=30)
    metadata, data = facts(clip), clip.read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    clip.write_bytes(data[:start] + np.random.default_rng(0).bytes(end - start) + data[end:])
    with pytest.raises(NoDecodableFrames):
        list(sample_frames(clip, metadata, Settings(), tmp_path / "store"))


@pytest.mark.slow
def test_limits_while_decoding(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=40, size="320x240", filters="noise=alls=100:allf=t")
    metadata = facts(clip)
    for settings, failure in (
        (Settings(max_frames=39), VideoTooLong),
        (Settings(max_store_mb=1, vid_stride=1), FrameStoreTooLarge),
        (Settings(max_pixels=320 * 239), DimensionsOutOfRange),
    ):
        with pytest.raises(failure):
            list(sample_frames(clip, metadata, settings, tmp_path / "store"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Peak memory of a process that samples a clip, short and ten times as long."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from reframer_pipeline_tests.media.made import facts\n"
        "from reframer_pipeline.media.sampling import sample_frames; from reframer_pipeline.settings import Settings\n"
        "clip = Path(sys.argv[1])\n"
        "for _ in sample_frames(clip, facts(clip), Settings(), clip.with_suffix('.store')): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for frames in (50, 500):
        loop = f"loop={frames}:1:0,trim=end_frame={frames}"
        clip = numbered(tmp_path / f"{frames}.mp4", frames=1, size="320x240", filters=loop)
        done = subprocess.run([sys.executable, "-c", code, str(clip)], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 40_000  # kB; the pictures are 100 MB

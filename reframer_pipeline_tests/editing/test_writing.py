"""Films and pictures hold the mattes that were given, with the source's pictures, times, colours and sound beside them."""

from __future__ import annotations

import subprocess
import zipfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from reframer_pipeline.editing.source import read_frames
from reframer_pipeline.editing.writing import SUFFIXES, Matte, Shape, writing
from reframer_pipeline.failures import OutputNotWritable
from reframer_pipeline.media.headers import tone_maps
from reframer_pipeline.media.parts import part_of
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.editing.films import heard, planes, streams, tagged, ticks, uneven
from reframer_pipeline_tests.machine import small_disk
from reframer_pipeline_tests.media.made import corners, facts, ffmpeg, hdr, numbered, turn

FILMS = [Shape("prores"), Shape("prores", True), Shape("webm"), Shape("webm", True), Shape("luma")]
START, STOP = 4, 12
every_film = pytest.mark.parametrize("shape", FILMS, ids=lambda one: f"{one.form}{'-cutout' * one.cutout}")
# What a codec may change of a matte, of 255: ProRes keeps alpha without loss, but in ten bits.
TOLERANCE = {"prores": 1.0, "luma": 4.0, "webm": 12.0}


def _drawn(number: int, size: tuple[int, int]) -> Matte:
    """A bar whose place says which frame it is, and a soft edge."""
    width, height = size
    matte = np.zeros((height, width), np.uint8)
    matte[: height // 2, 2 * number : 2 * number + 16] = 255
    matte[-height // 4 :] = np.linspace(0, 255, width).astype(np.uint8)
    return matte


def _written(video: Path, shape: Shape, target: Path, start: int = START, stop: int = STOP) -> tuple[int, int]:
    metadata, settings = facts(video), Settings()
    cut = part_of(video, metadata, start, stop)
    times = ((number, number, 0.0) for number in range(start, stop))
    sound = float(start / metadata.fps), float(stop / metadata.fps)
    with writing(shape, target, cut, metadata, settings, sound) as writer:
        for frame in read_frames(cut, metadata, times, settings, clock=shape.is_film):
            writer.write(frame, _drawn(frame.number, cut.size))
    return cut.size


@every_film
def test_films_hold_the_mattes(tmp_path: Path, shape: Shape) -> None:
    target = tmp_path / f"film{SUFFIXES[shape.form]}"
    size = _written(numbered(tmp_path / "clip.mp4", size="96x64"), shape, target)
    found = planes(target, size, shape.form)
    assert len(found) == STOP - START
    mattes = found[:, -1]
    for number, matte in zip(range(START, STOP), mattes, strict=True):
        assert np.abs(matte - _drawn(number, size)).mean() < TOLERANCE[shape.form] / 4, number
        assert np.percentile(np.abs(matte - _drawn(number, size)), 98) <= TOLERANCE[shape.form], number
    if shape.cutout:  # frame N has a luma of 16 + 4 N: its own matte lies on it
        assert np.abs(found[:, 0].mean(axis=(1, 2)) - [16 + 4 * number for number in range(START, STOP)]).max() < 1.5
    elif shape.form != "luma":
        assert np.abs(found[:, 0] - 235).max() < 3  # white


@every_film
def test_films_say_what_they_are(tmp_path: Path, shape: Shape) -> None:
    target = tmp_path / f"film{SUFFIXES[shape.form]}"
    _written(heard(tmp_path / "clip.mp4", rate="30000/1001"), shape, target)
    found = streams(target)
    picture, sound = found["video"], found["audio"]
    assert (picture["width"], picture["height"]) == (64, 48) and Fraction(picture["avg_frame_rate"]) == Fraction(30000, 1001)
    if shape.form == "webm":
        assert (picture["codec_name"], picture["pix_fmt"], picture["tags"]["alpha_mode"]) == ("vp9", "yuv420p", "1")
        assert sound["codec_name"] == "opus"
    elif shape.form == "luma":
        assert (picture["codec_name"], picture["profile"], picture["pix_fmt"]) == ("prores", "HQ", "yuv422p10le")
    else:  # FFmpeg reads all of ProRes 4444 as 12 bits
        assert (picture["profile"], picture["codec_tag_string"]) == ("4444", "ap4h") and picture["pix_fmt"].startswith("yuva444p1")
    if shape.form != "webm":
        assert sound["codec_name"] == "pcm_s16le" and float(sound["duration"]) == pytest.approx((STOP - START) * 1001 / 30000, abs=0.03)


@every_film
def test_each_frame_keeps_its_time(tmp_path: Path, shape: Shape) -> None:
    video = uneven(tmp_path / "uneven.mp4")
    source = ticks(video)[START:STOP]
    target = tmp_path / f"film{SUFFIXES[shape.form]}"
    _written(video, shape, target)
    base = Fraction(streams(target)["video"]["time_base"])
    shown = [tick * base for tick in ticks(target)]
    wanted = [Fraction(tick - source[0], 600) for tick in source]
    assert len({after - before for before, after in zip(wanted, wanted[1:], strict=False)}) > 2
    rounding = Fraction(1, 1000) if shape.form == "webm" else 0
    assert all(abs(one - two) <= rounding for one, two in zip(shown, wanted, strict=True)), (shown, wanted)


@pytest.mark.parametrize("shape", [FILMS[0], FILMS[1], FILMS[3], Shape("png", True)], ids=["prores", "cutout", "webm", "png"])
def test_what_is_turned_is_written_upright(tmp_path: Path, shape: Shape) -> None:
    video = turn(corners(tmp_path / "turned.mp4"), (0, 1, -1, 0))
    target = tmp_path / f"film{SUFFIXES[shape.form] or '.zip'}"
    size = _written(video, shape, target, 0, 3)
    assert size == (64, 96)
    if shape.form == "png":
        with zipfile.ZipFile(target) as archive:
            picture = cv2.imdecode(np.frombuffer(archive.read("00000001.png"), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (96, 64, 4) and np.array_equal(picture[..., 3], _drawn(1, size)) and picture[5, 5].argmax() == 0  # blue
        return
    picture = streams(target)["video"]
    assert (picture["width"], picture["height"]) == size and not picture.get("side_data_list")
    found = planes(target, size, shape.form)
    assert np.abs(found[1, 3] - _drawn(1, size)).mean() < 3
    if shape.cutout:
        assert found[1, 1, 5, 5] > 170 > 120 > found[1, 1, 5, -5]  # Cb of blue, which was bottom left, and of red


@pytest.mark.parametrize("form", ["prores", "webm"])
def test_a_cutout_keeps_the_colour_tags(tmp_path: Path, form: str) -> None:
    target = tmp_path / f"film{SUFFIXES[form]}"  # type: ignore[index]
    _written(tagged(tmp_path / "tagged.mp4"), Shape(form, True), target)  # type: ignore[arg-type]
    found = streams(target)["video"]
    assert (found["color_space"], found["color_primaries"], found["color_transfer"]) == ("smpte170m",) * 3 and found["color_range"] == "tv"


def test_pixels_that_are_not_square_become_so(tmp_path: Path) -> None:
    video = numbered(tmp_path / "wide.mp4", size="64x48", filters="setsar=3/2")
    size = _written(video, Shape("prores", True), tmp_path / "film.mov")
    assert size == (96, 48)
    assert np.abs(planes(tmp_path / "film.mov", size, "prores")[0, 3] - _drawn(START, size)).max() <= 1
    assert streams(tmp_path / "film.mov")["video"]["sample_aspect_ratio"] == "1:1"


@pytest.mark.parametrize("shape", [Shape("prores", True), Shape("webm", True), Shape("luma")], ids=lambda one: one.form)
def test_odd_sides_stay(tmp_path: Path, shape: Shape) -> None:
    video = numbered(tmp_path / "odd.mp4", size="66x48", filters="setsar=21/22")
    size = _written(video, shape, tmp_path / f"film{SUFFIXES[shape.form]}")
    assert size == (63, 48)
    found = planes(tmp_path / f"film{SUFFIXES[shape.form]}", size, shape.form)
    assert np.abs(found[0, -1] - _drawn(START, size)).mean() < 3


def test_pictures_are_exact(tmp_path: Path) -> None:
    video = numbered(tmp_path / "clip.mp4")
    size = _written(video, Shape("png"), tmp_path / "mattes.zip")
    (tmp_path / "cut").mkdir()
    _written(video, Shape("png", True), tmp_path / "cut")
    with zipfile.ZipFile(tmp_path / "mattes.zip") as archive:
        assert archive.namelist() == [f"{number:08d}.png" for number in range(START, STOP)]
        mattes = [cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED) for name in archive.namelist()]
    metadata = facts(video)
    cut = part_of(video, metadata, START, STOP)
    for frame, matte in zip(read_frames(cut, metadata, ((n, n, 0.0) for n in range(START, STOP)), Settings()), mattes, strict=True):
        assert np.array_equal(matte, _drawn(frame.number, size))
        picture = cv2.imread(str(tmp_path / "cut" / f"{frame.number:08d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(picture[..., 2::-1], frame.rgb) and np.array_equal(picture[..., 3], matte)


def test_the_same_mattes_give_the_same_zip(tmp_path: Path) -> None:
    video = numbered(tmp_path / "clip.mp4")
    for name in ("one.zip", "two.zip"):
        _written(video, Shape("png"), tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_sound_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    tone = ["-f", "lavfi", "-i", "sine=duration=1"]
    ffmpeg("-i", numbered(tmp_path / "silent.mp4"), *tone, "-c:v", "mpeg4", "-c:a", "adpcm_yamaha", tmp_path / "clip.avi")
    _written(tmp_path / "clip.avi", Shape("prores"), tmp_path / "film.mov")
    assert set(streams(tmp_path / "film.mov")) == {"video"}


@pytest.mark.parametrize("form", ["prores", "webm"])
def test_sound_is_where_the_picture_has_it(tmp_path: Path, form: str) -> None:
    tone = ["-f", "lavfi", "-i", "sine=duration=1,volume='gte(t,0.4)':eval=frame"]
    ffmpeg("-i", numbered(tmp_path / "silent.mp4"), *tone, "-c:v", "copy", "-c:a", "aac", tmp_path / "clip.mp4")
    target = tmp_path / f"film{SUFFIXES[form]}"  # type: ignore[index]
    _written(tmp_path / "clip.mp4", Shape(form, True), target)  # type: ignore[arg-type]
    command = ["ffmpeg", "-v", "error", "-i", target, "-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    sound = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)
    assert np.argmax(np.abs(sound) > 500) / 8000 == pytest.approx(0.4 - START / 25, abs=0.04)


def test_a_film_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritable, match="No such file or directory"):
        _written(numbered(tmp_path / "clip.mp4", size="640x480"), Shape("prores"), tmp_path / "nowhere" / "film.mov")


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, pytest.raises(OutputNotWritable, match="no space left"):
        _written(numbered(tmp_path / "clip.mp4", size="640x480"), Shape("prores"), disk / "film.mov")


@pytest.mark.skipif(not tone_maps(), reason="this FFmpeg maps no HDR")
def test_prores_keeps_hdr_and_webm_has_what_is_shown(tmp_path: Path) -> None:
    video = hdr(tmp_path / "hdr.mp4", (200, 120, 60), "smpte2084")
    for shape, tags in ((Shape("prores", True), ("bt2020nc", "smpte2084")), (Shape("webm", True), ("bt709", "bt709"))):
        target = tmp_path / f"film{SUFFIXES[shape.form]}"
        size = _written(video, shape, target, 0, 3)
        picture = streams(target)["video"]
        assert (picture["color_space"], picture["color_transfer"]) == tags
        assert np.abs(planes(target, size, shape.form)[1, 3] - _drawn(1, size)).mean() < 3
    luma = 0.2126 * 200 + 0.7152 * 120 + 0.0722 * 60
    assert planes(target, size, "webm")[1, 0].mean() == pytest.approx(16 + luma * 219 / 255, abs=8)


def test_a_film_of_one_frame(tmp_path: Path) -> None:
    size = _written(numbered(tmp_path / "clip.mp4"), Shape("prores", True), tmp_path / "film.mov", 19, 20)
    assert planes(tmp_path / "film.mov", size, "prores").shape[0] == 1

"""A part that is decoded from a key frame has the frames and times that it has from the beginning; where it might not, it begins there."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from reframer_pipeline.editing.source import SourceFrame, read_frames
from reframer_pipeline.editing.writing import Shape, writing
from reframer_pipeline.media.cropping import Cut, make_cut
from reframer_pipeline.media.entry import LEAD_S, WORTH_S, entered
from reframer_pipeline.media.parts import Part, part_of
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.made import ffmpeg, sampled

SETTINGS = Settings()
FRAMES, RATE, LENGTH = 260, 25, 4
STARTS = (130, 149, 150, 211, 259)
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "3"]
UNEVEN = ["-vf", "settb=1/600,setpts='N*24+mod(N*7,11)'", "-enc_time_base", "1:600"]
KINDS = {
    "constant rate": [*X264, "-g", "30"],
    "variable rate": [*X264, "-g", "30", *UNEVEN],
    "late beginning": [*X264, "-g", "30", "-output_ts_offset", "3.7"],
    "open groups": [*X264, "-x264-params", "open-gop=1:keyint=30:bframes=3:b-pyramid=normal:scenecut=0"],
    "HEVC, open groups": [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "open-gop=1:keyint=30:log-level=none",
        "-tag:v",
        "hvc1",
    ],
    "MPEG-4": ["-c:v", "mpeg4", "-g", "30", "-bf", "2"],
    "fragments": [*X264, "-g", "30", "-movflags", "frag_keyframe+empty_moov"],
}
REFRESH = ["-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "intra-refresh=1:keyint=30:bframes=0"]


def film(target: Path, *options: str, sound: bool = False) -> Path:
    """A clip of which no two frames are the same."""
    tone = ["-f", "lavfi", "-i", f"sine=440:duration={FRAMES / RATE}", "-c:a", "aac"] if sound else []
    source = f"testsrc2=s=96x64:r={RATE},trim=end_frame={FRAMES}"
    ffmpeg("-f", "lavfi", "-i", source, *tone, "-pix_fmt", "yuv420p", "-fps_mode", "passthrough", *options, target)
    return target


def known(video: Path) -> tuple[VideoMetadata, npt.NDArray[np.int64]]:
    """Its facts, and the pts of the frames result."""
    metadata, rows, store = sampled(video, video.with_suffix(".zip"))
    store.close()
    return metadata, np.array([row["pts"] for row in rows])


def frames(part: Part, metadata: VideoMetadata, *, clock: bool = False) -> list[SourceFrame]:
    times = ((number, number, 0.0) for number in range(part.start, part.stop))
    return list(read_frames(part, metadata, times, SETTINGS, clock=clock))


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_the_same_from_a_key_frame(tmp_path: Path, kind: str) -> None:
    video = film(tmp_path / "clip.mov", *KINDS[kind])
    metadata, pts = known(video)
    assert len(pts) == FRAMES and (pts[0] > 0) == (kind in ("late beginning", "fragments"))
    assert (len(set(np.diff(pts))) > 1) == (kind == "variable rate")
    whole = frames(part_of(video, metadata, 0, FRAMES), metadata)
    for start in STARTS:
        part = part_of(video, metadata, start, min(start + LENGTH, FRAMES))
        later = entered(part, metadata, pts, SETTINGS)
        assert later.entry
        found, expected = frames(later, metadata, clock=True), frames(part, metadata, clock=True)
        assert [one.number for one in found] == list(range(part.start, part.stop))
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one.rgb, whole[one.number].rgb) and one.clock == other.clock


def test_a_cut_in_the_middle_of_a_group(tmp_path: Path) -> None:
    """Its edit list hides what decoding begins with."""
    whole = film(tmp_path / "whole.mov", *KINDS["open groups"])
    ffmpeg("-ss", "1.5", "-i", whole, "-c", "copy", tmp_path / "clip.mov")
    metadata, pts = known(tmp_path / "clip.mov")
    part = part_of(tmp_path / "clip.mov", metadata, 140, 150)
    later = entered(part, metadata, pts, SETTINGS)
    for one, other in zip(frames(later, metadata), frames(part, metadata), strict=True):
        assert np.array_equal(one.rgb, other.rgb)
    assert later.entry


def test_a_picture_that_is_refreshed_step_by_step_is_decoded_from_the_beginning(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mov", *REFRESH)
    metadata, pts = known(video)
    flags = ["-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0"]
    said = subprocess.run(["ffprobe", "-v", "error", *flags, video], capture_output=True, text=True, check=True).stdout
    assert said.count("K") > 5  # the container calls them key frames
    for start in STARTS:
        assert entered(part_of(video, metadata, start, FRAMES), metadata, pts, SETTINGS).entry is None


def test_what_cannot_be_known_begins_at_the_beginning(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mov", *KINDS["constant rate"])
    metadata, pts = known(video)
    part, early = part_of(video, metadata, 150, 160), int((WORTH_S - 0.1) * RATE)
    assert entered(part, metadata, pts, SETTINGS).entry and LEAD_S < WORTH_S
    still, back, other = pts.copy(), pts.copy(), pts.copy()
    still[149] = pts[150]  # two frames at one time
    back[155] = pts[154]  # one that steps back: the frames result has it at the time of the one before
    other[140] -= 1  # not what the file has
    for told in (still, back, other):
        assert entered(part, metadata, told, SETTINGS).entry is None
    assert entered(part_of(video, metadata, early, 160), metadata, pts, SETTINGS).entry is None
    assert entered(part_of(video, metadata, 0, FRAMES), metadata, pts, SETTINGS).entry is None


def test_damage_before_a_part_is_seen(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mov", *KINDS["constant rate"])
    entries = ["-select_streams", "v", "-show_entries", "packet=pos,size,flags", "-of", "csv=p=0"]
    said = subprocess.run(["ffprobe", "-v", "error", *entries, video], capture_output=True, text=True, check=True).stdout
    keys = [line.split(",") for line in said.split() if "K" in line]
    size, pos = map(int, keys[4][:2])  # of frame 120
    content = bytearray(video.read_bytes())
    content[pos + size // 2 : pos + size // 2 + 60] = bytes(60)
    video.write_bytes(content)
    metadata, pts = known(video)
    assert len(pts) == FRAMES
    assert entered(part_of(video, metadata, 130, 135), metadata, pts, SETTINGS).entry is None
    part = part_of(video, metadata, 185, 190)  # after the next key frame
    later = entered(part, metadata, pts, SETTINGS)
    assert later.entry
    for one, other in zip(frames(later, metadata), frames(part, metadata), strict=True):
        assert np.array_equal(one.rgb, other.rgb)


def test_one_key_frame_at_the_beginning_is_no_shortcut(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mov", *X264, "-g", "999", "-keyint_min", "999", "-sc_threshold", "0")
    metadata, pts = known(video)
    assert entered(part_of(video, metadata, 250, 260), metadata, pts, SETTINGS).entry is None


def test_avi_has_no_times_of_its_own(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.avi", "-c:v", "mpeg4", "-g", "30", "-bf", "2")
    metadata, pts = known(video)
    assert entered(part_of(video, metadata, 150, 160), metadata, pts, SETTINGS).entry is None


def test_a_reframed_scene_is_the_same_clip(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mov", *KINDS["late beginning"], sound=True)
    metadata, pts = known(video)
    (tmp_path / "moves.cmd").write_text("0.2 crop x 20, crop y 0;\n")
    cut = Cut((48, 64), (4, 0), [tmp_path / "moves.cmd"], (150, 200), (6.0, 8.0))
    heard, shown = [], []
    for name, one in (("beginning.mp4", cut), ("key.mp4", replace(cut, pts=pts))):
        assert make_cut(video, metadata, SETTINGS, one, tmp_path / name) == "encoded"
        raw = ["-f", "f32le", "-ac", "1", "-ar", "8000", "-"]
        sound = subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / name, *raw], capture_output=True, check=True).stdout
        heard.append(np.frombuffer(sound, np.float32))
        digests = ["-an", "-f", "framemd5", "-"]
        shown.append(subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / name, *digests], capture_output=True, check=True).stdout)
    assert shown[0] == shown[1] and shown[0].count(b"\n0,") == 50
    assert len(heard[0]) == len(heard[1]) > 15_000 and np.abs(heard[0] - heard[1]).max() < 0.01 < heard[0].max()


def test_a_cutout_has_the_same_pictures(tmp_path: Path) -> None:
    video = film(tmp_path / "clip.mov", *KINDS["variable rate"])
    metadata, pts = known(video)
    part, settings = part_of(video, metadata, 150, 156), SETTINGS
    for name, one in (("beginning.mov", part), ("key.mov", entered(part, metadata, pts, settings))):
        with writing(Shape("prores", True), tmp_path / name, one, metadata, settings, (0.0, 0.0)) as writer:
            for frame in read_frames(one, metadata, ((number, 0, 0.0) for number in range(150, 156)), settings, clock=True):
                writer.write(frame, np.full((64, 96), 40 * (frame.number - 150), np.uint8))
    assert (tmp_path / "beginning.mov").read_bytes() == (tmp_path / "key.mov").read_bytes()

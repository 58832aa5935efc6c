"""A cut clip has every frame at its time, the window where it was told, the colours and the sound of the video."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reframer_pipeline.failures import Interrupted, MediaToolTimeout, TruncatedVideo
from reframer_pipeline.media.cropping import Cut, make_cut
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.made import corners, facts, ffmpeg, hdr, turn
from reframer_pipeline_tests.support import media_dir

RAMP = "color=black:s=200x96:r=25,geq=lum='20+X':cb=128:cr=128"
SETTINGS = Settings()


def cut_of(known: VideoMetadata, folder: Path, moves: str = "", **more: Any) -> Cut:
    """Of the whole video, a square of 96 pixels that begins at 10."""
    x, y = more.get("at", (10, 0))
    (folder / "moves.cmd").write_text(f"0 crop x {x}, crop y {y};\n{moves}")
    span = {"frames": (0, known.frame_count), "seconds": (0.0, known.duration_seconds)}
    return Cut(**{"size": (96, 96), "at": (10, 0), "moves": [folder / "moves.cmd"], **span, **more})


def ramp(target: Path, *options: str, frames: int = 20, times: str = "N/25/TB", sound: str = "") -> Path:
    """A clip whose luma at x is 20 + x."""
    heard = [*sound.split(), "-f", "lavfi", "-i", "sine=440:duration=1"] if sound else []
    source = f"{RAMP},trim=end_frame={frames},settb=1/50000,setpts='{times}'"
    kept = ["-fps_mode", "vfr", "-enc_time_base", "1:50000", "-pix_fmt", "yuv420p"]
    ffmpeg("-f", "lavfi", "-i", source, *heard, *kept, *([] if "-c:v" in options else ["-c:v", "libx264", "-crf", "4"]), *options, target)
    return target


def described(path: Path) -> dict[str, dict[str, Any]]:
    """ffprobe's word on each kind of stream."""
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    return {one["codec_type"]: one for one in streams}


def times(path: Path) -> list[float]:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)]
    return [float(line.strip(",")) for line in subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()]


def pictures(path: Path, size: tuple[int, int], form: str = "gray") -> npt.NDArray[np.uint8]:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", form, "-f", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], *((3,) if form == "rgb24" else ()))


def left_edges(path: Path) -> list[int]:
    """Where a cut of the ramp begins, by its mean light."""
    return [round(float(one.mean()) * 219 / 255 + 16 - 20 - 47.5) for one in pictures(path, (96, 96))]


def test_the_window_is_where_it_was_told_to_the_pixel_and_the_frame(tmp_path: Path) -> None:
    known = facts(ramp(tmp_path / "ramp.mp4"))
    cut = cut_of(known, tmp_path, "# of frames 5 and 12\n0.18 crop x 11, crop y 0;\n0.46 crop x 77, crop y 0;\n")
    assert make_cut(tmp_path / "ramp.mp4", known, SETTINGS, cut, tmp_path / "cut.mp4") == "none"
    assert left_edges(tmp_path / "cut.mp4") == [10] * 5 + [11] * 7 + [77] * 8


def test_uneven_times_and_a_late_beginning_are_kept(tmp_path: Path) -> None:
    path = ramp(tmp_path / "ramp.mov", "-video_track_timescale", "50000", "-output_ts_offset", "0.5", times="(N*0.04+mod(N,3)*0.013)/TB")
    known = facts(path)
    assert known.variable_frame_rate and known.start_pts
    make_cut(path, known, SETTINGS, cut_of(known, tmp_path, "0.18 crop x 50, crop y 0;\n"), tmp_path / "cut.mp4")
    source = np.array(times(path))
    assert np.abs(np.array(times(tmp_path / "cut.mp4")) - (source - source[0])).max() < 2e-5
    assert left_edges(tmp_path / "cut.mp4") == [10 if at - source[0] < 0.18 else 50 for at in source]


def test_a_turned_picture_is_cut_upright_and_the_turn_is_gone(tmp_path: Path) -> None:
    path = turn(corners(tmp_path / "turned.mp4"), (0, 1, -1, 0))  # 96x64, shown 64x96: blue, red on top; white, green below
    known = facts(path)
    assert (known.width, known.height) == (64, 96)
    make_cut(path, known, SETTINGS, cut_of(known, tmp_path, size=(32, 32), at=(0, 0)), tmp_path / "cut.mp4")
    assert pictures(tmp_path / "cut.mp4", (32, 32), "rgb24")[2].mean(axis=(0, 1)) == pytest.approx([0, 0, 255], abs=12)
    assert not any(one.get("rotation") for one in described(tmp_path / "cut.mp4")["video"].get("side_data_list", []))


def test_colours_keep_their_tags_and_their_values(tmp_path: Path) -> None:
    tags = ["-colorspace", "smpte170m", "-color_primaries", "bt470bg", "-color_trc", "gamma28", "-color_range", "tv"]
    path = corners(tmp_path / "plain.mp4")
    ffmpeg("-i", path, *tags, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "4", tmp_path / "tagged.mp4")
    known = facts(tmp_path / "tagged.mp4")
    make_cut(tmp_path / "tagged.mp4", known, SETTINGS, cut_of(known, tmp_path, size=(96, 64), at=(0, 0)), tmp_path / "cut.mp4")
    video = described(tmp_path / "cut.mp4")["video"]
    names = ("color_space", "color_primaries", "color_transfer", "color_range", "pix_fmt", "sample_aspect_ratio")
    assert [video[name] for name in names] == ["smpte170m", "bt470bg", "bt470bg", "tv", "yuv420p", "1:1"]
    before, after = (pictures(tmp_path / name, (96, 64)).astype(int) for name in ("tagged.mp4", "cut.mp4"))
    assert np.abs(before - after).mean() < 1


def test_full_range_stays_as_bright(tmp_path: Path) -> None:
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "color=white:s=128x96:r=25:d=0.2",
        "-vf",
        "scale=out_range=pc,format=yuvj420p",
        "-c:v",
        "libx264",
        tmp_path / "full.mp4",
    )
    known = facts(tmp_path / "full.mp4")
    assert known.pix_fmt == "yuvj420p"
    make_cut(tmp_path / "full.mp4", known, SETTINGS, cut_of(known, tmp_path), tmp_path / "cut.mp4")
    assert pictures(tmp_path / "cut.mp4", (96, 96), "rgb24")[1].mean() > 250


def test_hdr_is_mapped_and_says_so(tmp_path: Path) -> None:
    path = hdr(tmp_path / "hdr.mp4", (200, 120, 60), "smpte2084")
    known = facts(path)
    if not known.tone_mapped_from:
        pytest.skip("this FFmpeg maps no HDR")
    make_cut(path, known, SETTINGS, cut_of(known, tmp_path, size=(32, 64), at=(0, 0)), tmp_path / "cut.mp4")
    video = described(tmp_path / "cut.mp4")["video"]
    assert [video[name] for name in ("color_space", "color_transfer", "pix_fmt")] == ["bt709", "bt709", "yuv420p"]
    assert pictures(tmp_path / "cut.mp4", (32, 64), "rgb24")[0].mean(axis=(0, 1)) == pytest.approx([200, 120, 60], abs=14)


@pytest.mark.parametrize(
    ("name", "options", "codec", "became"),
    [("aac.mp4", ["-c:a", "aac"], "aac", "copied"), ("mp3.avi", ["-c:v", "mpeg4", "-q:v", "2", "-c:a", "libmp3lame"], "mp3", "copied"),
     ("pcm.mov", ["-c:a", "pcm_s16le"], "aac", "encoded")],
)  # fmt: skip
def test_sound_is_copied_where_mp4_takes_it(tmp_path: Path, name: str, options: list[str], codec: str, became: str) -> None:
    path = ramp(tmp_path / name, *options, sound="-itsoffset 0.3", frames=25)
    known = facts(path)
    assert make_cut(path, known, SETTINGS, cut_of(known, tmp_path), tmp_path / "cut.mp4") == became
    assert described(tmp_path / "cut.mp4")["audio"]["codec_name"] == codec
    if name != "mp3.avi":  # which knows no late sound
        assert begins(tmp_path / "cut.mp4") == pytest.approx(begins(path), abs=0.03)


def test_of_too_many_channels_two_are_kept(tmp_path: Path) -> None:
    pictures = ["-f", "lavfi", "-i", f"{RAMP},trim=end_frame=10"]
    tones = "|".join(["sin(2764*t)"] * 12)
    ffmpeg(*pictures, "-f", "lavfi", "-i", f"aevalsrc='{tones}':d=0.4", "-c:a", "pcm_s16le", "-pix_fmt", "yuv420p", tmp_path / "many.mov")
    known = facts(tmp_path / "many.mov")
    assert make_cut(tmp_path / "many.mov", known, SETTINGS, cut_of(known, tmp_path), tmp_path / "cut.mp4") == "first two channels"
    assert described(tmp_path / "cut.mp4")["audio"]["channels"] == 2 and begins(tmp_path / "cut.mp4") < 0.1


def begins(path: Path) -> float:
    """When the tone begins after the first picture, in seconds."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", "8000"]
    heard = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=True).stdout
    return float(np.argmax(np.abs(np.frombuffer(heard, np.int16).astype(int)) > 1000) / 8000 - times(path)[0])


def test_sound_that_begins_before_the_pictures_stays_with_them(tmp_path: Path) -> None:
    tone = "sine=440:duration=1.5,volume='between(t,0.7,0.9)':eval=frame"  # the pictures begin at 0.5
    source = f"{RAMP},trim=end_frame=25"
    kept = ["-map", "0:v", "-map", "1:a", "-fps_mode", "passthrough", "-enc_time_base", "1:50000", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    ffmpeg("-itsoffset", "0.5", "-f", "lavfi", "-i", source, "-f", "lavfi", "-i", tone, *kept, tmp_path / "early.mp4")
    known = facts(tmp_path / "early.mp4")
    assert make_cut(tmp_path / "early.mp4", known, SETTINGS, cut_of(known, tmp_path), tmp_path / "cut.mp4") == "copied"
    found = [begins(tmp_path / name) + float(described(tmp_path / name)["audio"]["start_time"]) for name in ("early.mp4", "cut.mp4")]
    assert found == pytest.approx([0.2, 0.2], abs=0.03)


def test_commands_may_lie_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "it's a:b, [c]; 100% \\d"
    folder.mkdir()
    known = facts(ramp(tmp_path / "ramp.mp4", frames=5))
    make_cut(tmp_path / "ramp.mp4", known, SETTINGS, cut_of(known, folder, "0.06 crop x 20;\n"), folder / "cut.mp4")
    assert left_edges(folder / "cut.mp4") == [10, 10, 20, 20, 20]


def test_a_part_has_its_frames_and_its_sound(tmp_path: Path) -> None:
    path = ramp(tmp_path / "ramp.mp4", "-c:a", "aac", sound="-itsoffset 0.4", frames=25)
    known = facts(path)
    part = cut_of(known, tmp_path, "0.1 crop x 60, crop y 0;\n", frames=(5, 20), seconds=(0.2, 0.8))
    assert make_cut(path, known, SETTINGS, part, tmp_path / "cut.mp4") == "encoded"
    assert left_edges(tmp_path / "cut.mp4") == [10] * 3 + [60] * 12
    assert times(tmp_path / "cut.mp4") == pytest.approx([number / 25 for number in range(15)], abs=1e-3)
    assert begins(tmp_path / "cut.mp4") == pytest.approx(0.2, abs=0.03)
    assert float(described(tmp_path / "cut.mp4")["audio"]["duration"]) == pytest.approx(0.6, abs=0.05)


def test_chapters_stay_behind(tmp_path: Path) -> None:
    (tmp_path / "chapters").write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=At home\n")
    ffmpeg("-i", ramp(tmp_path / "ramp.mp4"), "-i", tmp_path / "chapters", "-map_metadata", "1", "-c", "copy", tmp_path / "chapters.mp4")
    known = facts(tmp_path / "chapters.mp4")
    make_cut(tmp_path / "chapters.mp4", known, SETTINGS, cut_of(known, tmp_path), tmp_path / "cut.mp4")
    command = ["ffprobe", "-v", "error", "-show_chapters", "-of", "csv"]
    found = [subprocess.run([*command, tmp_path / name], capture_output=True, check=True).stdout for name in ("chapters.mp4", "cut.mp4")]
    assert b"At home" in found[0] and found[1] == b""


def test_a_late_part_has_time_for_what_is_decoded_before(tmp_path: Path) -> None:
    known = facts(ramp(tmp_path / "ramp.mp4"))
    hasty, part = SETTINGS.model_copy(update={"stall_s": 0.01}), cut_of(known, tmp_path, frames=(15, 20), seconds=(0.6, 0.8))
    assert make_cut(tmp_path / "ramp.mp4", known, hasty, part, tmp_path / "cut.mp4") == "none"


def test_some_frames_are_shown_whole_with_bars(tmp_path: Path) -> None:
    known = facts(ramp(tmp_path / "ramp.mp4"))
    switched = "".join(f"{frame / 25 - 0.02} overlay enable {on};\n" for frame, on in ((5, 1), (9, 0), (15, 1)))
    make_cut(tmp_path / "ramp.mp4", known, SETTINGS, cut_of(known, tmp_path, switched, bars=True), tmp_path / "cut.mp4")
    found = pictures(tmp_path / "cut.mp4", (96, 96))
    barred = [bool(one[:20].mean() < 3 and one[48].mean() > 90) for one in found]
    assert barred == [5 <= number < 9 or number >= 15 for number in range(20)]
    row = found[6][48].astype(float) * 219 / 255 - 4  # the whole ramp, made small
    assert row[2] == pytest.approx(5, abs=4) and row[93] == pytest.approx(194, abs=4)


def test_it_can_be_stopped_and_trouble_has_a_name(tmp_path: Path) -> None:
    path = ramp(tmp_path / "ramp.mp4")
    known = facts(path)
    cut, told = cut_of(known, tmp_path), list[tuple[int, int]]()
    make_cut(path, known, SETTINGS, cut, tmp_path / "cut.mp4", lambda done, total: told.append((done, total)))
    assert told[-1] == (20, 20)

    def stop(done: int, total: int) -> None:
        raise Interrupted("Enough.")

    with pytest.raises(Interrupted):
        make_cut(path, known, SETTINGS, cut, tmp_path / "cut.mp4", stop)
    with pytest.raises(MediaToolTimeout):
        make_cut(path, known, SETTINGS.model_copy(update={"max_store_mb": 0}), cut, tmp_path / "cut.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 1000)
    with pytest.raises(TruncatedVideo):
        make_cut(broken, replace(known), SETTINGS, cut, tmp_path / "cut.mp4")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["webcam_vfr_paper.mov", "iphone_hevc_1080x1920_rot.mov", "iphone_rot_face_vfr.mov"])
def test_real_clips_keep_their_times(tmp_path: Path, name: str) -> None:
    path = media_dir() / "clips" / name
    known = facts(path)
    make_cut(path, known, SETTINGS, cut_of(known, tmp_path, size=(128, 128), at=(3, 5)), tmp_path / "cut.mp4")
    source = np.array(times(path))
    assert np.abs(np.array(times(tmp_path / "cut.mp4")) - (source - source[0])).max() < 2e-3
    assert ("audio" in described(tmp_path / "cut.mp4")) == known.has_audio

"""The facts: by content, upright, exact, and counted."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from reframer_pipeline.failures import (
    DimensionsOutOfRange,
    NotAVideo,
    NoVideoStream,
    TooManyStreams,
    TruncatedVideo,
    UnsupportedCodec,
    VideoTooLong,
)
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.media.made import facts, ffmpeg, numbered, turn
from reframer_pipeline_tests.support import media_dir

QUARTER, HALF = (0.0, 1.0, -1.0, 0.0), (-1.0, 0.0, 0.0, -1.0)


def test_a_plain_clip(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=20, rate="30000/1001")
    metadata = facts(clip)
    assert (metadata.width, metadata.height, metadata.frame_count, metadata.rotation) == (64, 48, 20, 0)
    assert metadata.fps == Fraction(30000, 1001) and not metadata.variable_frame_rate
    assert metadata.duration_seconds == pytest.approx(20 * 1001 / 30000)
    assert (metadata.codec, metadata.pix_fmt, metadata.has_audio) == ("h264", "yuv420p", False)
    assert metadata.size_bytes == clip.stat().st_size
    assert VideoMetadata.from_batch(metadata.to_batch()) == metadata


@pytest.mark.parametrize("name", ["a.mov", "a.avi"])
def test_the_other_containers(tmp_path: Path, name: str) -> None:
    metadata = facts(numbered(tmp_path / name, frames=12))
    assert (metadata.frame_count, metadata.fps, metadata.container[:3]) == (12, 25, Path(name).suffix[1:])


@pytest.mark.parametrize("name", ["clip.txt", 'it\'s "quoted" $HOME & 50%.mp4', "-i.mp4", "a:b,c;[d]\n.webm", "пример 例.mp4", "http:x"])
def test_the_name_plays_no_part(tmp_path: Path, name: str) -> None:
    numbered(tmp_path / "a.mp4", frames=5).rename(tmp_path / name)
    assert facts(tmp_path / name).frame_count == 5


def test_a_relative_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbered(tmp_path / "a.mp4", frames=5)
    monkeypatch.chdir(tmp_path)
    assert facts(Path("a.mp4")).frame_count == 5


@pytest.mark.parametrize(("matrix", "rotation", "size"), [(QUARTER, 270, (48, 64)), (HALF, 180, (64, 48))])
def test_rotation_turns_the_sides(tmp_path: Path, matrix: tuple[float, float, float, float], rotation: int, size: tuple[int, int]) -> None:
    metadata = facts(turn(numbered(tmp_path / "a.mp4"), matrix))
    assert (metadata.rotation, (metadata.width, metadata.height)) == (rotation, size)
    assert (metadata.coded_width, metadata.coded_height) == (64, 48)


def test_pixels_are_made_square(tmp_path: Path) -> None:
    metadata = facts(numbered(tmp_path / "a.mp4", filters="setsar=4/3"))
    assert (metadata.width, metadata.height, metadata.sar_num, metadata.sar_den) == (85, 48, 4, 3)
    assert (lambda m: (m.width, m.height))(facts(turn(tmp_path / "a.mp4", QUARTER))) == (48, 85)


def test_a_varying_rate_is_seen(tmp_path: Path) -> None:
    metadata = facts(numbered(tmp_path / "a.mp4", filters="settb=1/1000,setpts='40*N+7*mod(N,3)'"))
    assert metadata.variable_frame_rate and metadata.frame_count == 20


def test_rounding_to_the_time_base_is_no_varying_rate(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mov", rate="24", options="-video_track_timescale 1000")
    assert not facts(clip).variable_frame_rate


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "a.mp4")
    with pytest.raises(NoVideoStream):
        facts(tmp_path / "a.mp4")


def test_the_default_picture_is_taken(tmp_path: Path) -> None:
    numbered(tmp_path / "a.mp4", frames=5)
    numbered(tmp_path / "b.mp4", frames=9)
    inputs = ("-i", tmp_path / "a.mp4", "-i", tmp_path / "b.mp4", "-map", "0", "-map", "1", "-c", "copy")
    ffmpeg(*inputs, tmp_path / "first.mp4")
    ffmpeg(*inputs, "-disposition:v:0", "0", "-disposition:v:1", "default", tmp_path / "second.mp4")
    assert (facts(tmp_path / "first.mp4").stream_index, facts(tmp_path / "first.mp4").frame_count) == (0, 5)
    assert (facts(tmp_path / "second.mp4").stream_index, facts(tmp_path / "second.mp4").frame_count) == (1, 9)


def test_webm_is_refused_and_named(tmp_path: Path) -> None:
    numbered(tmp_path / "a.mkv")
    (tmp_path / "a.mkv").rename(tmp_path / "a.mp4")
    with pytest.raises(NotAVideo, match="Matroska"):
        facts(tmp_path / "a.mp4")


def test_a_playlist_named_avi_opens_nothing(tmp_path: Path) -> None:
    numbered(tmp_path / "secret.mp4")
    (tmp_path / "a.avi").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(NotAVideo, match="a list of other files"):
        facts(tmp_path / "a.avi")


def test_a_playlist_behind_a_video_magic_opens_nothing(tmp_path: Path) -> None:
    numbered(tmp_path / "secret.mp4")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0\nffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(TruncatedVideo):  # read as an mp4 without its index, never as a list
        facts(tmp_path / "a.mp4")


def test_a_codec_off_the_list_is_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=s=64x48:d=0.2", "-c:v", "zmbv", tmp_path / "a.avi")
    with pytest.raises(UnsupportedCodec, match="zmbv"):
        facts(tmp_path / "a.avi")


def test_two_frames_that_claim_hours_are_refused(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "bomb.mp4", frames=2, filters="setpts='N*50000/TB'")
    assert clip.stat().st_size < 5000
    with pytest.raises(VideoTooLong):
        facts(clip)


def test_the_limits_of_the_settings(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4", frames=20)
    with pytest.raises(DimensionsOutOfRange, match="64x48"):
        facts(clip, Settings(max_pixels=64 * 47))
    with pytest.raises(DimensionsOutOfRange, match="at least 50"):
        facts(clip, Settings(min_side=50))
    with pytest.raises(VideoTooLong, match="frames"):
        facts(clip, Settings(max_frames=19))
    with pytest.raises(VideoTooLong):
        facts(clip, Settings(max_duration_s=0.7))
    with pytest.raises(TooManyStreams):
        ffmpeg(*["-i", clip] * 3, *[word for n in range(3) for word in ("-map", str(n))], "-c", "copy", tmp_path / "b.mp4")
        facts(tmp_path / "b.mp4", Settings(max_streams=2))


@pytest.mark.parametrize(("name", "options"), [("a.mp4", "-movflags +faststart"), ("a.avi", "")])
def test_half_an_upload_is_found_out(tmp_path: Path, name: str, options: str) -> None:
    clip = numbered(tmp_path / name, frames=59, filters="noise=alls=60:allf=t", options=f"-g 5 {options}")
    assert facts(clip).frame_count == 59
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(TruncatedVideo):
        facts(clip)


def test_an_avi_from_a_pipe_declares_nothing(tmp_path: Path) -> None:
    numbered(tmp_path / "a.avi", frames=30)
    with (tmp_path / "b.avi").open("wb") as file:
        command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.avi", "-c", "copy", "-f", "avi", "-"]
        file.write(subprocess.run(command, capture_output=True, check=True).stdout)
    assert facts(tmp_path / "b.avi").frame_count == 30


def test_an_index_that_never_came(tmp_path: Path) -> None:
    data = numbered(tmp_path / "a.mp4", frames=50).read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(TruncatedVideo, match="index"):
        facts(tmp_path / "a.mp4")


def test_fragments_and_edit_lists_are_counted_as_shown(tmp_path: Path) -> None:
    fragmented = numbered(tmp_path / "a.mp4", frames=30, options="-movflags frag_keyframe+empty_moov -g 10")
    assert facts(fragmented).frame_count == 30
    whole = numbered(tmp_path / "b.mp4", frames=50, options="-g 50 -bf 2")
    ffmpeg("-ss", "1", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    assert facts(tmp_path / "cut.mp4").frame_count == 25


def test_nasa_agrees_with_the_recorded_truth() -> None:
    truth = json.loads((media_dir() / "truth" / "nasa_13013.mp4.stream0.all_frames_info.json").read_text())
    metadata = facts(media_dir() / "clips" / "nasa_multistream.mp4")
    assert metadata.stream_index == 0 and metadata.frame_count == len(truth)
    assert metadata.duration_seconds == pytest.approx(float(truth[-1]["pts_time"]) + float(truth[-1]["duration_time"]))


def test_facts_agree_with_the_recorded_ones() -> None:
    recorded = json.loads((media_dir() / "facts.json").read_text())["clips"]
    for name, fact in recorded.items():
        if name.endswith((".mkv", ".ts")):
            continue
        metadata = facts(media_dir() / "clips" / name)
        assert metadata.frame_count == int(fact["counted_frames"]), name
        claimed = Fraction(fact["avg_frame_rate"])
        if metadata.variable_frame_rate:  # of the times, which the header's tables need not agree with to the last frame
            assert metadata.fps == pytest.approx(metadata.frame_count / metadata.duration_seconds), name
            assert metadata.fps == pytest.approx(claimed, rel=0.03), name
        else:
            assert metadata.fps == claimed, name
        assert (metadata.coded_width, metadata.coded_height) == (fact["coded_width"], fact["coded_height"]), name
        assert metadata.rotation == (fact["rotation"] or 0) % 360 and not metadata.mirrored and not metadata.notes, name
        assert metadata.codec == fact["codec"], name
        assert ("vfr" in name) == metadata.variable_frame_rate, name


def test_a_copy_elsewhere_says_the_same(tmp_path: Path) -> None:
    clip = numbered(tmp_path / "a.mp4")
    shutil.copy(clip, tmp_path / "b")
    assert facts(clip) == facts(tmp_path / "b")

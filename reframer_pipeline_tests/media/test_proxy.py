"""The proxy has every frame of the video, at its time, and shows what we measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from reframer_pipeline.failures import Interrupted, MediaToolTimeout, TruncatedVideo
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.probe import VideoMetadata, probe
from reframer_pipeline.media.proxy import make_proxy, proxy_size
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.api.filmed import described, ffmpeg, numbered, shown_times
from reframer_pipeline_tests.support import media_dir

pytestmark = pytest.mark.slow

Rgb = npt.NDArray[np.uint8]


def facts_of(path: Path, settings: Settings) -> VideoMetadata:
    return probe(path, settings, sha256="0" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def picture(path: Path, number: int, size: tuple[int, int]) -> Rgb:
    """A frame of a proxy, as RGB."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"select=eq(n\\,{number})", "-frames:v", "1", "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], capture_output=True, check=True, timeout=300).stdout
    return np.frombuffer(raw, np.uint8).reshape(size[1], size[0], 3)


def psnr(one: Rgb, other: Rgb) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one.astype(float) - other) ** 2))))


def made(kind: str, folder: Path) -> Path:
    """A file of this kind."""
    moving = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=1.2"]
    match kind:
        case "variable rate":
            return media_dir() / "odd" / "cursed_vfr_3026x1386.mp4"
        case "turned phone, HEVC":
            return media_dir() / "clips" / "iphone_hevc_1080x1920_rot.mov"
        case "turned and not square":
            return media_dir() / "hunt" / "sar_and_rot90.mp4"
        case "HEVC, 10 bit":
            ffmpeg(*moving, "-c:v", "libx265", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le", folder / "clip.mp4")
        case "AVI, MPEG-4":
            ffmpeg(*moving, "-c:v", "mpeg4", "-q:v", "2", "-bf", "2", folder / "clip.avi")
        case "odd sides, begins late, sound before it":
            late = "scale=321:181,format=yuv444p,setpts=PTS+0.5/TB"
            sound = ["-f", "lavfi", "-i", "sine=440:duration=2"]
            ffmpeg(
                *moving, *sound, "-filter_complex", f"[0:v]{late}[v]", "-map", "[v]", "-map", "1:a", "-fps_mode", "vfr", folder / "clip.mp4"
            )
    return next(folder.glob("clip.*"))


@pytest.mark.parametrize(
    "kind",
    [
        "variable rate",
        "turned phone, HEVC",
        "turned and not square",
        "HEVC, 10 bit",
        "AVI, MPEG-4",
        "odd sides, begins late, sound before it",
    ],
)
def test_every_frame_is_in_the_proxy_at_its_time(tmp_path: Path, settings: Settings, kind: str) -> None:
    import cv2

    path, target, kept = made(kind, tmp_path), tmp_path / "proxy.mp4", tmp_path / "kept.frames"
    facts = facts_of(path, settings)
    make_proxy(path, facts, settings, target)
    times = [time for batch in sample_frames(path, facts, settings, kept) for time in batch.column("timestamp").to_pylist()]
    assert shown_times(target) == pytest.approx(times, abs=0.001)
    size = proxy_size((facts.width, facts.height))
    with kept.open("rb") as file, FrameStore(file) as store:
        for number in store.frame_numbers[:: max(1, len(store.frame_numbers) // 3)]:
            measured = cv2.resize(store.read(number), size, interpolation=cv2.INTER_AREA)
            assert psnr(picture(target, number, size), measured.astype(np.uint8)) > 27, number
    video = next(one for one in described(target)["streams"] if one["codec_type"] == "video")
    assert (video["codec_name"], video["profile"], video["pix_fmt"], video["start_time"]) == ("h264", "High", "yuv420p", "0.000000")
    assert not any(one.get("rotation") for one in video.get("side_data_list", []))
    assert max(video["width"], video["height"]) <= 1280 and video["sample_aspect_ratio"] == "1:1"
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert sorted(one["codec_name"] for one in described(target)["streams"]) == (["aac", "h264"] if facts.has_audio else ["h264"])


def test_sound_is_where_the_picture_has_it(tmp_path: Path, settings: Settings) -> None:
    """Sound that begins 0.4 s after the pictures, and sound that began 0.5 s before them."""
    for name, more, silent in (("late", {"sound": "-itsoffset 0.4"}, 0.4), ("early", {"sound": ""}, 0.0)):
        late = ("-vf", "setpts=PTS+0.5/TB") if name == "early" else ()
        path = numbered(tmp_path / f"{name}.mp4", "-map", "0:v", "-map", "1:a", *late, **more)
        make_proxy(path, facts_of(path, settings), settings, tmp_path / "proxy.mp4")
        command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "proxy.mp4"), "-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
        heard = np.frombuffer(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout, np.int16)
        assert np.argmax(np.abs(heard) > 1000) / 8000 == pytest.approx(silent, abs=0.05)


def test_chapters_stay_behind(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "chapters").write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=At home\n")
    moving = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=1.2"]
    ffmpeg(*moving, "-i", tmp_path / "chapters", "-map_metadata", "1", "-c:v", "libx264", tmp_path / "clip.mp4")
    make_proxy(tmp_path / "clip.mp4", facts_of(tmp_path / "clip.mp4", settings), settings, tmp_path / "proxy.mp4")
    command = ["ffprobe", "-v", "error", "-show_chapters", "-of", "csv"]
    found = [subprocess.run([*command, tmp_path / name], capture_output=True, check=True).stdout for name in ("clip.mp4", "proxy.mp4")]
    assert b"At home" in found[0] and found[1] == b""


def test_sound_that_cannot_be_decoded_is_left_out(tmp_path: Path, settings: Settings) -> None:
    path = media_dir() / "hunt" / "audio_adpcm_yamaha.avi"
    make_proxy(path, facts_of(path, settings), settings, tmp_path / "proxy.mp4")
    assert [one["codec_name"] for one in described(tmp_path / "proxy.mp4")["streams"]] == ["h264"]


def test_it_is_told_how_far_it_is_and_can_be_stopped(tmp_path: Path, settings: Settings) -> None:
    path, told = media_dir() / "clips" / "woman_makeup.avi", list[tuple[int, int]]()
    facts = facts_of(path, settings)
    make_proxy(path, facts, settings, tmp_path / "proxy.mp4", lambda done, total: told.append((done, total)))
    assert told[-1] == (facts.frame_count, facts.frame_count) and told == sorted(told)

    def stop(done: int, total: int) -> None:
        raise Interrupted("Enough.")

    with pytest.raises(Interrupted):
        make_proxy(path, facts, settings, tmp_path / "proxy.mp4", stop)


def test_a_file_that_breaks_and_one_beyond_the_limits(tmp_path: Path, settings: Settings) -> None:
    path = numbered(tmp_path / "clip.mp4")
    facts = facts_of(path, settings)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 1000)
    with pytest.raises(TruncatedVideo):
        make_proxy(broken, facts, settings, tmp_path / "proxy.mp4")
    with pytest.raises(MediaToolTimeout):
        make_proxy(path, facts, settings.model_copy(update={"max_store_mb": 0}), tmp_path / "proxy.mp4")

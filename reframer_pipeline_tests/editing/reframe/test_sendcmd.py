"""Commands for long films: FFmpeg must be able to hold them, and obeys all of them."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from reframer_pipeline.editing.reframe.plan import Reframing, Wishes, reframing
from reframer_pipeline.editing.reframe.sendcmd import LINES, as_sendcmd, write_files
from reframer_pipeline.editing.reframe.window import Ratio
from reframer_pipeline.failures import MediaToolTimeout
from reframer_pipeline.media.cropping import Cut, make_cut
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.editing.reframe.made import even, results
from reframer_pipeline_tests.media.made import facts, ffmpeg
from reframer_pipeline_tests.media.test_cropping import begins, described

PICTURE, SIZE = (200, 96), (96, 96)
HOUR_S, KEYS = 3600, 18_000
SEEN = 400  # of the hour's frames there are only so many pictures


@pytest.fixture(scope="module")
def hour() -> Reframing:
    """An hour in one shot, whose window turns round at every frame."""
    plan = reframing(results([], even(50), picture=PICTURE), "video", "an hour.mp4", Wishes(Ratio.read("1:1")))
    x = np.random.default_rng(1).uniform(0, 104, KEYS).round(3)
    moving = {"seconds": np.arange(KEYS) * (HOUR_S / KEYS), "keys": np.arange(KEYS), "xy": np.stack([x, x * 0], axis=1)}
    return replace(plan, shots=(replace(plan.shots[0], end_seconds=float(HOUR_S), **moving),))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its luma at x is 20 + x."""
    path = tmp_path_factory.mktemp("film") / "an hour.mp4"
    source = f"color=black:s=200x96:r=25,geq=lum='20+X':cb=128:cr=128,trim=end_frame={SEEN},settb=1/1000,setpts=N*{HOUR_S * 1000 // SEEN}"
    kept = ["-fps_mode", "passthrough", "-enc_time_base", "1:1000", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "4"]
    ffmpeg("-f", "lavfi", "-i", source, *kept, path)
    return path


def edges(path: Path) -> list[int]:
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    return left(subprocess.run(command, capture_output=True, check=True).stdout)


def left(grey: bytes) -> list[int]:
    """Where each picture begins, by its mean light."""
    pictures: npt.NDArray[np.uint8] = np.frombuffer(grey, np.uint8).reshape(-1, SIZE[1], SIZE[0])
    return [round(float(one.mean()) * 219 / 255 + 16 - 20 - 47.5) for one in pictures]


def test_an_hour_that_never_rests_is_cut_within_the_limits(hour: Reframing, film: Path, tmp_path: Path) -> None:
    known = facts(film)
    files = write_files(hour, tmp_path, begins=0.0)
    assert len(files) == KEYS // LINES
    cut = Cut(size=SIZE, at=(0, 0), moves=files, frames=(0, SEEN), seconds=(0.0, float(HOUR_S)))
    make_cut(film, known, Settings(), cut, tmp_path / "cut.mp4")
    assert edges(tmp_path / "cut.mp4") == hour.shots[0].pixels[:: KEYS // SEEN, 0].tolist()


def test_the_first_line_tells_how_to_call_ffmpeg_with_an_hour(hour: Reframing, film: Path, tmp_path: Path) -> None:
    commands = tmp_path / "moves.sendcmd"
    commands.write_text("".join(as_sendcmd(hour)))
    usage = commands.read_text().partition("\n")[0].removeprefix("# ").replace("an hour.mp4", str(film))
    usage = usage.replace("THIS_FILE", shlex.quote(str(commands))).replace("mktemp -d", "mkdir parts && echo parts")
    limited = f"ulimit -v 3000000; {usage.removesuffix('OUTPUT.mp4')} -v error -pix_fmt gray -f rawvideo -"
    grey = subprocess.run(["sh", "-c", limited], cwd=tmp_path, capture_output=True, check=True).stdout
    assert left(grey) == hour.shots[0].pixels[:: KEYS // SEEN, 0].tolist()


def test_the_first_line_keeps_pictures_and_sound_together_and_opens_only_files(tmp_path: Path) -> None:
    tone = "sine=440:duration=1.5,volume='between(t,0.7,0.9)':eval=frame"  # the pictures begin at 0.5
    kept = ["-map", "0:v", "-map", "1:a", "-fps_mode", "passthrough", "-enc_time_base", "1:50000", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    pictures = ["-itsoffset", "0.5", "-f", "lavfi", "-i", "testsrc2=s=200x96:r=25:d=1"]
    ffmpeg(*pictures, "-f", "lavfi", "-i", tone, *kept, f"file:{tmp_path}/http:early.mp4")
    known = facts(tmp_path / "http:early.mp4")
    start = {"start_pts": known.start_pts, "time_base_num": known.time_base.numerator, "time_base_den": known.time_base.denominator}
    made = results([], even(25), picture=PICTURE, metadata=start)
    plan = reframing(made, "video", "http:early.mp4", Wishes(Ratio.read("1:1")))
    (tmp_path / "THIS_FILE").write_text("".join(as_sendcmd(plan)))
    usage = (tmp_path / "THIS_FILE").read_text().partition("\n")[0].removeprefix("# ")
    subprocess.run(["sh", "-c", f"{usage} -v error"], cwd=tmp_path, check=True)
    found = [
        begins(tmp_path / name) + float(described(tmp_path / name)["audio"]["start_time"]) for name in ("http:early.mp4", "OUTPUT.mp4")
    ]
    assert found == pytest.approx([0.2, 0.2], abs=0.03)


def test_too_little_memory_is_no_fault_of_the_video(hour: Reframing, film: Path, tmp_path: Path) -> None:
    (tmp_path / "all.cmd").write_text("".join(as_sendcmd(hour)))
    cut = Cut(size=SIZE, at=(0, 0), moves=[tmp_path / "all.cmd"], frames=(0, SEEN), seconds=(0.0, float(HOUR_S)))
    with pytest.raises(MediaToolTimeout, match="memory"):
        make_cut(film, facts(film), Settings(memory_mb=2000), cut, tmp_path / "cut.mp4")


def test_many_shots_shown_whole_are_cut(hour: Reframing, film: Path, tmp_path: Path) -> None:
    one, each = hour.shots[0], KEYS // 600
    still = {"keys": np.array([0]), "xy": np.zeros((1, 2)), "window": SIZE}
    shots = tuple(
        replace(one, start_frame=start, seconds=one.seconds[start : start + each], whole=start // each % 3 > 0, **still)
        for start in range(0, KEYS, each)
    )
    files = write_files(replace(hour, shots=shots), tmp_path, begins=0.0)
    assert sum("overlay" in line for path in files for line in path.read_text().splitlines()) == 399  # neighbours are one
    cut = Cut(size=SIZE, at=(0, 0), moves=files, frames=(0, SEEN), seconds=(0.0, float(HOUR_S)), bars=True)
    make_cut(film, facts(film), Settings(), cut, tmp_path / "cut.mp4")
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "cut.mp4", "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    grey = subprocess.run(command, capture_output=True, check=True).stdout
    barred = [bool(one[:20].mean() < 3) for one in np.frombuffer(grey, np.uint8).reshape(-1, 96, 96)]
    assert barred == [number * (KEYS // SEEN) // each % 3 > 0 for number in range(SEEN)]

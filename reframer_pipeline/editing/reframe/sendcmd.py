"""A plan as commands for FFmpeg's filters `sendcmd` and `crop`.

What belongs here: the commands. What does not: running FFmpeg (`media.cropping`).

A line begins in the middle between two frames, so that no rounding of times moves it to another frame. Where the window moves, FFmpeg
computes its place at each frame, by the formula of `plan.ShotPath.pixels`. FFmpeg 5.1 looks at all lines at each frame: with a line for
each frame, and not for each keyframe, a long film would take hours. With each word it keeps room for all that follows in the file, so its
memory grows with the square of a file's length. So a plan is written as files of `LINES` lines, each for a `sendcmd` of its own.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from reframer_pipeline.editing.reframe.forms import TIME_DIGITS
from reframer_pipeline.editing.reframe.keyframes import DIGITS
from reframer_pipeline.editing.reframe.plan import Reframing, ShotPath

LINES: Final = 100  # of a file: memory for 20 000 lines is then 0.5 to 1 GB
FILES: Final = 800  # at most, for all are named in one argument of a command line (128 KiB in Linux)

Key = tuple[int, list[float]]  # its place in the shot, and the window's left and upper edge


def as_sendcmd(plan: Reframing, *, begins: float = 0.0) -> Iterator[str]:
    """The commands; the first line is a comment that says how FFmpeg is to be called.

    Args:
        plan: The plan, without shots that are shown whole: bars are beyond `crop`.
    """
    lines = list(_lines(plan, begins=0.0))
    yield f"# {_usage(plan, split=len(lines) >= LINES)}\n"
    yield from lines


def write_files(plan: Reframing, folder: Path, *, begins: float) -> list[Path]:
    """The commands as files, each for a `sendcmd` of its own in a chain. One at least; all but those of very long films have `LINES` lines.

    Where a shot is shown whole, `overlay` is enabled, with the window in the corner below it.

    Args:
        plan: The plan.
        folder: Where they are written.
        begins: What is time 0, in seconds since the video's first frame.
    """
    lines = list(_lines(plan, begins))
    each = max(LINES, math.ceil(len(lines) / FILES))
    files = list[Path]()
    for start in range(0, len(lines), each):
        files.append(folder / f"{len(files)}.cmd")
        files[-1].write_text("".join(lines[start : start + each]), encoding="utf-8")
    return files


def _lines(plan: Reframing, begins: float) -> Iterator[str]:
    """The commands, a line each; a line depends on no other."""
    stands: dict[str, float | None] = {"x": None, "y": None}
    ended, whole = None, False
    for shot in plan.shots:
        if shot.whole != whole:
            whole = shot.whole
            yield f"{_before(shot, 0, ended, begins)} overlay enable {whole:d};\n"
        keys: list[Key] = list(zip(shot.keys.tolist(), shot.xy.tolist(), strict=True))
        for key, after in pairwise([*keys, keys[-1]]):
            commands = list[str]()
            for axis, name in enumerate(stands):
                if key[1][axis] != after[1][axis]:
                    commands.append(f"[expr] crop {name} '{_moving(shot, key, after, axis, begins)}'")
                    stands[name] = None
                elif stands[name] != key[1][axis]:
                    commands.append(f"crop {name} {math.floor(key[1][axis] + 0.5)}")
                    stands[name] = key[1][axis]
            if commands:
                end = f"-{_before(shot, after[0], ended, begins)}" if after is not key else ""
                yield f"{_before(shot, key[0], ended, begins)}{end} {', '.join(commands)};\n"
        ended = float(shot.seconds[-1])


def _before(shot: ShotPath, place: int, ended: float | None, begins: float) -> str:
    """The time in the middle between a frame and the one before, if there is one; `ended` is that of the last frame before the shot."""
    at = float(shot.seconds[place])
    before = float(shot.seconds[place - 1]) if place else at if ended is None else ended
    return f"{(before + at) / 2 - begins:.{TIME_DIGITS}f}"


def _moving(shot: ShotPath, one: Key, other: Key, axis: int, begins: float) -> str:
    """The edge at the time T, between two keyframes."""
    start, end = float(shot.seconds[one[0]]), float(shot.seconds[other[0]])
    here, speed = one[1][axis], (other[1][axis] - one[1][axis]) / max(end - start, 1e-9)
    return f"floor({here:.{DIGITS}f}+(T-{start - begins:.{TIME_DIGITS}f})*{speed:.{TIME_DIGITS}f}+0.5)"


def _usage(plan: Reframing, split: bool) -> str:
    """How FFmpeg is to be called; on one line, whatever the file is called."""
    width, height = plan.size
    x, y = plan.shots[0].pixels[0] if plan.shots else (0, 0)
    square = f"scale={plan.picture[0]}:{plan.picture[1]},setsar=1," if plan.facts.sar_num != plan.facts.sar_den else ""
    window = f"{square}format=yuv444p,crop={width}:{height}:{x}:{y},format=yuv420p"
    before, moves = "", "sendcmd=f=THIS_FILE,"
    if split:
        before, moves = f"D=$(mktemp -d) && split -a 4 -l {LINES} THIS_FILE $D/ && ", "$(printf 'sendcmd=f=%s,' $D/*)"
    name = shlex.quote("file:" + "".join(one if one.isprintable() else "_" for one in plan.filename))
    start = float((plan.facts.start_pts or 0) * plan.facts.time_base)  # time 0 is the first picture's, for the sound, too
    return f'{before}ffmpeg -copyts -itsoffset {-start:.9f} -i {name} -vf "{moves}{window}" -fps_mode passthrough OUTPUT.mp4'

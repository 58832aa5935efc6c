"""What becomes of a file in the stages metadata and frames, and whether they kept their promises.

What belongs here: a process of its own for each file, which runs the two stages as a run does, Dagster and the database apart; and the
judgement. What does not: which files (`mutants`).

A file goes wrong if it ends in anything but a result or a failure that blames the file, if a process dies, if a limit is passed, or if
something is left behind.
"""

from __future__ import annotations

import json
import multiprocessing
import time
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import psutil

from reframer_pipeline.failures import CallerError, InvalidResult, ReframerError
from reframer_pipeline.handover import no_progress
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.results.prepare import prepare
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.frames import FRAMES
from reframer_pipeline.stages.metadata import METADATA
from reframer_pipeline.stages.order import Order, VideoCard
from reframer_pipeline.stages.stage import Work
from reframer_pipeline.versions import sha256_of, video_id_of
from reframer_pipeline_tests.descendants import used
from reframer_pipeline_tests.support import MemoryInput

# Tight, so that a mutant that asks for much is refused soon; the clock is not, since other work may have the processor.
LIMITS: Final = Settings(
    stall_s=60, memory_mb=1000, max_frames=1000, max_duration_s=3600, max_pixels=1_000_000, max_streams=8, max_store_mb=20
)
MOST_OWN_BYTES: Final = 600_000_000  # of our own process: Python and its libraries, some pictures of a million pixels, rows
_TOOLS: Final = 4  # that read one file, at most as many times in all as here
_FORKSERVER: Final = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload([__name__, "cv2", "ffmpeg._utils", "pandas", "pyarrow.parquet"])

_OF_THE_FILE: Final = {
    "not_a_video", "no_video_stream", "unsupported_codec", "encrypted", "dimensions_out_of_range", "video_too_long",
    "frame_store_too_large", "too_many_streams", "no_decodable_frames", "truncated", "damaged", "media_limit_exceeded",
}  # fmt: skip


@dataclass(frozen=True)
class Fate:
    """How a file ended.

    Attributes:
        code: `completed`, or the failure's; `crashed` where a process died or an exception had no type.
        says: The failure's message, or what broke.
        frames: Rows of frames.
        seconds: From the first look to the end.
        tool_bytes: Most memory that ffprobe or ffmpeg had.
        own_bytes: Most memory that our own process had.
        wrong: What breaks a promise; empty where all were kept.
    """

    code: str
    says: str = ""
    frames: int = 0
    seconds: float = 0
    tool_bytes: int = 0
    own_bytes: int = 0
    wrong: str = ""


def fate_of(path: Path, scratch: Path, settings: Settings = LIMITS) -> Fate:
    """Runs both stages over a file in a process of its own, which is warm: libraries are loaded once for all.

    Args:
        path: The file.
        scratch: Empty folder for what is made; it is to be empty again.
        settings: The limits.
    """
    listen, tell = _FORKSERVER.Pipe(duplex=False)
    process = _FORKSERVER.Process(target=_in_child, args=(tell, path, scratch, settings.model_dump(mode="json")), daemon=True)
    began = time.monotonic()
    process.start()
    tell.close()
    longest = _TOOLS * settings.stall_s + settings.max_frames
    try:
        told = json.loads(listen.recv_bytes()) if listen.poll(longest) else None
    except EOFError:
        told = {"code": "crashed", "says": "the process died"}
    finally:
        process.join(10 if listen.closed else 5)
        process.kill()
        process.join()
        listen.close()
    if told is None:
        return Fate("crashed", f"it ran for over {longest:.0f} s", wrong="it did not end", seconds=time.monotonic() - began)
    fate = Fate(**told)
    left = sorted(one.name for one in scratch.iterdir())
    wrong = _wrong(fate, settings) or (f"left behind: {', '.join(left)}" if left else "")
    if fate.code == "crashed" and process.exitcode:
        wrong = f"the process ended with {process.exitcode}"
    return Fate(**{**vars(fate), "wrong": fate.wrong or wrong})


def _wrong(fate: Fate, settings: Settings) -> str:
    if fate.tool_bytes > settings.memory_mb * 1_000_000:
        return f"a tool had {fate.tool_bytes / 1e6:.0f} MB"
    if fate.own_bytes > MOST_OWN_BYTES:
        return f"our process had {fate.own_bytes / 1e6:.0f} MB"
    if fate.frames > settings.max_frames:
        return f"there are {fate.frames} frames"
    return "" if fate.code == "completed" or fate.code in _OF_THE_FILE else f"it ended as {fate.code}"


def _in_child(tell: Connection, path: Path, scratch: Path, settings: dict[str, Any]) -> None:
    began = time.monotonic()
    told: dict[str, Any] = {}
    used()
    try:
        told["frames"] = _both_stages(path, scratch, Settings(**settings))
        told["code"] = "completed"
    except ReframerError as error:
        told |= {"code": error.code, "says": error.message}
        if error.retryable or isinstance(error, CallerError | InvalidResult) or not error.blames_video:
            told["wrong"] = f"{error.code} does not blame the file: {error.message}"
    except BaseException:  # that is what is looked for
        told |= {"code": "crashed", "says": traceback.format_exc(), "wrong": "an exception without a type"}
    told["seconds"] = time.monotonic() - began
    told["tool_bytes"] = used().ru_maxrss * 1024
    if psutil.Process().children():
        told["wrong"] = "a tool still runs"
    told["own_bytes"] = _peak()
    tell.send_bytes(json.dumps(told).encode())


def _both_stages(path: Path, scratch: Path, settings: Settings) -> int:
    """The number of frames. Raises what the stages raise."""
    digest = sha256_of(path)
    video = VideoCard(video_id_of(digest), digest, path.name, path.stat().st_size, "", datetime.now(UTC))
    order = Order(video, settings, {})

    def work(stage: str) -> Work:
        nowhere = cast(Any, None)  # these two stages keep nothing in the database
        return Work(order, stage, nowhere, scratch, lambda: nullcontext(path), no_progress, lambda: None)

    with work("metadata") as first:
        facts = prepare(video, first.key, METADATA.compute(first), {}, scratch)
    rows = [row for batch in facts.batches() for row in batch.to_pylist()]
    facts.clear()
    with work("frames") as second:
        given = MemoryInput("metadata", rows, result_id=order.key("metadata").result_id)
        committed = SimpleNamespace(result_id=given.result_id, manifest=SimpleNamespace(content_digest="0" * 64))
        upstream = cast(Any, {"metadata": committed})
        made = prepare(video, second.key, FRAMES.compute(second, given), upstream, scratch)
    looked_at = [row["frame_number"] for batch in made.batches() for row in batch.to_pylist() if row["sampled"]]
    assert made.attachment is not None
    with FrameStore(made.attachment.open("rb")) as store:
        if store.frame_numbers != looked_at:
            raise InvalidResult("The frame store holds other frames than the rows say.")
        for number in looked_at:
            if store.read(number).shape[:2] != (rows[0]["height"], rows[0]["width"]):
                raise InvalidResult(f"Frame {number} has another size than the facts say.")
    made.clear()
    return made.row.row_count


def _peak() -> int:
    """Most memory this process ever had, in bytes; what `getrusage` says may be that of the process it was started by."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024

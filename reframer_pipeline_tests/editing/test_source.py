"""Every frame of a range: the right one, with its number and time, as it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.editing.source import SourceFrame, read_frames, times_of
from reframer_pipeline.failures import DamagedVideo, MediaToolTimeout
from reframer_pipeline.media.parts import part_of
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.editing.films import uneven
from reframer_pipeline_tests.media.made import corners, facts, numbered, sampled, turn
from reframer_pipeline_tests.support import MemoryInput


def _read(video: Path, start: int, stop: int, *, clock: bool = False, settings: Settings | None = None) -> Iterator[SourceFrame]:
    metadata: VideoMetadata = facts(video)
    times = ((number, number, number / 25) for number in range(start, stop))
    return read_frames(part_of(video, metadata, start, stop), metadata, times, settings or Settings(), clock=clock)


def test_a_range_has_its_own_frames(tmp_path: Path) -> None:
    found = list(_read(numbered(tmp_path / "clip.mp4"), 5, 12))
    assert [frame.number for frame in found] == list(range(5, 12))
    for frame in found:
        assert frame.rgb.shape == (48, 64, 3) and abs(int(frame.rgb[20, 20, 0]) - 4 * frame.number * 255 / 219) <= 2


def test_a_late_range_has_time_for_what_is_decoded_before(tmp_path: Path) -> None:
    video, hasty = numbered(tmp_path / "clip.mp4", frames=40), Settings().model_copy(update={"stall_s": 0.01})
    with pytest.raises(MediaToolTimeout):
        list(_read(video, 0, 5, settings=hasty))
    assert [frame.number for frame in _read(video, 30, 35, settings=hasty)] == list(range(30, 35))


def test_numbers_and_times_are_those_of_the_frames_result(tmp_path: Path) -> None:
    video = uneven(tmp_path / "uneven.mp4")
    _, rows, store = sampled(video, tmp_path / "frames.zip")
    store.close()
    frames = MemoryInput("frames", rows, batch_rows=3)
    assert [one for one in times_of(frames, 4, 9)] == [(row["frame_number"], row["pts"], row["timestamp"]) for row in rows[4:9]]
    assert len({row["pts"] - before["pts"] for before, row in zip(rows, rows[1:], strict=False)}) > 1


def test_pictures_are_turned_as_they_are_shown(tmp_path: Path) -> None:
    (frame, *_) = _read(turn(corners(tmp_path / "turned.mp4"), (0, 1, -1, 0)), 0, 2, clock=True)
    assert frame.rgb.shape == (96, 64, 3)
    assert frame.rgb[5, 5].argmax() == 2 and frame.rgb[5, -5].argmax() == 0  # blue was bottom left, red top left


def test_the_clock_says_how_wide_its_rows_are(tmp_path: Path) -> None:
    for frame in _read(numbered(tmp_path / "clip.mp4", size="66x50"), 0, 3, clock=True):
        assert frame.row_bytes == 2 * 66 and b"moof" in frame.clock and frame.clock.endswith(b"mdat")


def test_nobody_who_asks_for_no_clock_gets_one(tmp_path: Path) -> None:
    assert all(frame.clock == b"" for frame in _read(numbered(tmp_path / "clip.mp4"), 0, 3))


def test_frames_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    reading = _read(numbered(tmp_path / "clip.mp4", frames=10), 5, 12)
    with pytest.raises(DamagedVideo, match="Frame 10 cannot be decoded"):
        list(reading)


def test_frames_may_be_kept(tmp_path: Path) -> None:
    first, second = _read(numbered(tmp_path / "clip.mp4"), 0, 2)
    assert not np.shares_memory(first.rgb, second.rgb) and first.rgb.mean() < second.rgb.mean()

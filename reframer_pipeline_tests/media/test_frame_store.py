"""The frame store: any frame, any order, from any seekable file, and never half."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from reframer_pipeline.failures import FrameStoreTooLarge, ObjectMissing
from reframer_pipeline.media.frame_store import FrameStore, FrameStoreWriter


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture with a red patch whose place depends on the number."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 2, y * 3, (x + y + number) % 256], axis=2).astype(np.uint8)
    rgb[4:12, number : number + 8] = (250, 10, 10)
    return rgb


def written(path: Path, numbers: range = range(0, 35, 5)) -> Path:
    with FrameStoreWriter(path, max_bytes=10_000_000) as writer:
        for number in numbers:
            writer.add(number, picture(number)[..., ::-1].copy())
    return path


def test_frames_come_back_in_any_order(tmp_path: Path) -> None:
    with FrameStore(written(tmp_path / "s").open("rb")) as store:
        assert store.frame_numbers == [0, 5, 10, 15, 20, 25, 30]
        for number in (30, 0, 15):
            frame = store.read(number)
            assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
            assert np.abs(frame.astype(int) - picture(number)).mean() < 2
            assert frame[8, number + 4].tolist() == pytest.approx([250, 10, 10], abs=12), "red must stay red"


def test_a_thumbnail_is_the_frame_at_about_so_many_pixels(tmp_path: Path) -> None:
    with FrameStore(written(tmp_path / "s").open("rb")) as store:
        small, whole = store.thumbnail(15, 48 * 64 // 4), store.thumbnail(15, 10**6)
        assert small.shape == (24, 32, 3) and small.dtype == np.uint8
        assert np.abs(small.astype(int) - picture(15).reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))).mean() < 5
        assert whole.shape == (48, 64, 3) and np.abs(whole.astype(int) - store.read(15)).max() <= 3


def test_groups_are_in_order_and_complete(tmp_path: Path) -> None:
    with FrameStore(written(tmp_path / "s").open("rb")) as store:
        assert [[number for number, _ in group] for group in store.groups(3)] == [[0, 5, 10], [15, 20, 25], [30]]


def test_an_unknown_frame_is_said_so(tmp_path: Path) -> None:
    with FrameStore(written(tmp_path / "s").open("rb")) as store, pytest.raises(ObjectMissing, match="Frame 7"):
        store.read(7)


def test_it_is_an_ordinary_zip_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    assert written(tmp_path / "a").read_bytes() == written(tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert archive.namelist()[:2] == ["00000000.jpg", "00000005.jpg"]


def test_any_seekable_file_will_do(tmp_path: Path) -> None:
    data = written(tmp_path / "s").read_bytes()
    fsspec.filesystem("memory").pipe("/stores/s", data)
    for file in (io.BytesIO(data), fsspec.open("memory://stores/s", "rb").open()):
        with FrameStore(file) as store:
            assert store.read(10).shape == (48, 64, 3)


def test_the_file_is_closed_with_the_store(tmp_path: Path) -> None:
    file = written(tmp_path / "s").open("rb")
    FrameStore(file).close()
    assert file.closed


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            Counting.taken += len(data)
            return data

    data = written(tmp_path / "s", range(0, 1500, 5)).read_bytes()
    FrameStore(Counting(data)).read(1000)
    assert Counting.taken < len(data) / 4


def test_nothing_appears_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(FrameStoreTooLarge), FrameStoreWriter(tmp_path / "s", max_bytes=1000) as writer:
        writer.add(0, picture(0, 480, 640))
    assert not list(tmp_path.iterdir())


def test_a_cut_off_store_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path / "s").read_bytes()
    file = io.BytesIO(data[: len(data) // 2])
    with pytest.raises(ObjectMissing, match="not whole"):
        FrameStore(file)
    assert file.closed

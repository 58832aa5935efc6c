"""Folder, zip and single file: the same files."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reframer_pipeline.exports.formats import FORMATS, Format
from reframer_pipeline.exports.packing import CHUNK, download, write, zipped
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.failures import ObjectMissing, OutputNotWritable

Exported = Callable[..., Path]


@pytest.mark.parametrize("name", FORMATS)
def test_folder_zip_and_download_hold_the_same(made: list[Video], exported: Exported, tmp_path: Path, name: str) -> None:
    folder = exported(name, *made)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files
    write(FORMATS[name], made, tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert {one: archive.read(one) for one in archive.namelist()} == files
    sent = download(FORMATS[name], made)
    content = b"".join(sent.chunks)
    if FORMATS[name].joins:
        assert [content] == list(files.values()) and sent.filename == f"videos{FORMATS[name].ending}"
    else:
        assert (sent.filename, sent.media_type) == (f"videos-{name}.zip", "application/zip")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert set(archive.namelist()) == files.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_no_file_lies_outside_whatever_a_video_is_called(made: list[Video], name: str) -> None:
    for path, chunks in FORMATS[name].files(made):
        assert not path.startswith("/") and "\\" not in path and all(part.strip(".") for part in path.split("/")), path
        assert all(isinstance(chunk, bytes) for chunk in chunks)


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.ending])
def test_one_video_is_one_file(odd: Video, exported: Exported, tmp_path: Path, name: str) -> None:
    form = FORMATS[name]
    (in_folder,) = exported(name, odd).iterdir()
    write(form, [odd], tmp_path / f"clip{form.ending}")
    sent = download(form, [odd])
    assert in_folder.read_bytes() == (tmp_path / f"clip{form.ending}").read_bytes() == b"".join(sent.chunks)
    assert sent.filename == f"{odd.name}{form.ending}" and in_folder.suffix == form.ending


def test_a_folder_that_is_there_is_not_touched(odd: Video, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputNotWritable, match="is there already"):
        write(FORMATS["mot"], [odd], tmp_path / "full")
    write(FORMATS["mot"], [odd], tmp_path / "empty")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"] and list((tmp_path / "empty").iterdir())


def test_several_videos_are_not_written_to_one_file(made: list[Video], tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritable, match="3 videos are 3 .vtt files"):
        write(FORMATS["vtt"], made, tmp_path / "clip.vtt")


def test_what_breaks_off_leaves_nothing(odd: Video, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"the first half"
        raise ObjectMissing("The second half is gone.")

    form = Format("broken", "", lambda videos: iter([("a/first.txt", iter([b"whole"])), ("second.txt", broken())]))
    for output in ("folder", "file.zip"):
        with pytest.raises(ObjectMissing, match="second half"):
            write(form, [odd], tmp_path / output)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_cannot_begin_is_refused_with_its_first_chunk(odd: Video) -> None:
    gone = Video(odd.video_id, odd.filename, odd.name, str(uuid.uuid4()), odd.storage)
    for name in ("cvat", "davis"):
        with pytest.raises(ObjectMissing, match="were deleted during the export"):
            next(download(FORMATS[name], [gone]).chunks)


def test_a_zip_comes_in_pieces_while_it_is_made() -> None:
    drawn: list[int] = []

    def content() -> Iterator[bytes]:
        for place in range(100):
            drawn.append(place)
            yield bytes(CHUNK // 4)

    pieces = zipped([("a.png", content())])
    first = next(pieces)
    assert len(first) < 2 * CHUNK and len(drawn) < 10
    assert sum(map(len, pieces)) > 90 * CHUNK // 4

"""From an export's files to a folder, a zip or a single file.

What belongs here: the three forms, all drawn from the same files. What does not: what is in them (the formats).
"""

from __future__ import annotations

import zipfile
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reframer_pipeline.exports import File
from reframer_pipeline.exports.formats import Format
from reframer_pipeline.exports.sink import Sink
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.failures import OutputNotWritable
from reframer_pipeline.reading.outputs import appearing

CHUNK: Final = 1 << 16  # bytes that are gathered before they go on: formats give a line at a time
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # a fixed date: the same results give the same bytes
_PACKED: Final = (".png", ".parquet")  # which deflating would make no smaller


@dataclass(frozen=True)
class Download:
    """An export as one stream.

    Attributes:
        filename: What to call it.
        media_type: For a `Content-Type`.
        chunks: Its bytes, made while they are drawn.
    """

    filename: str
    media_type: str
    chunks: Generator[bytes]


def title_of(videos: Sequence[Video]) -> str:
    """What an export of these is called, before the format and the ending."""
    return videos[0].title if len(videos) == 1 else "videos"


def download(form: Format, videos: Sequence[Video]) -> Download:
    """The export as a file, where the format gives one for these videos, and as a zip otherwise.

    What cannot be read at all is raised here or with the first chunk. What is raised later breaks the stream off.
    """
    name = title_of(videos)
    files = form.files(videos)
    if _is_single(form, videos):
        return Download(f"{name}{form.ending}", form.media_type, _gathered(next(files)[1]))
    return Download(f"{name}-{form.name}.zip", "application/zip", zipped(files))


def write(form: Format, videos: Sequence[Video], output: Path) -> None:
    """Write the export; it appears under its name when it is whole.

    Args:
        form: The format.
        videos: The videos.
        output: A folder that is not there yet or is empty; or a file, if it is named `.zip`, or as the format's own files are and there is
            just one. A file is replaced.

    Raises:
        OutputNotWritable: There is something already, or it cannot be written.
        And what reading the results raises.
    """
    ending = output.suffix.lower()
    if ending == ".zip":
        chunks: Iterable[bytes] = zipped(form.files(videos))
    elif ending == form.ending and _is_single(form, videos):
        chunks = next(form.files(videos))[1]
    elif ending == form.ending and not output.is_dir():
        raise OutputNotWritable(f"{len(videos)} videos are {len(videos)} {ending} files.", "Name a folder, or a .zip file.")
    else:
        with appearing(output, folder=True) as part:
            to_folder(form.files(videos), part)
        return
    with appearing(output) as part, part.open("wb") as file:
        file.writelines(chunks)


def to_folder(files: Iterable[File], folder: Path) -> None:
    """Write the files into a folder."""
    for name, chunks in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.writelines(chunks)


def zipped(files: Iterable[File]) -> Generator[bytes]:
    """A zip of the files, as chunks. Some 500 bytes a file are held, for the list at the end."""
    sink = Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, chunks in files:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(_PACKED) else zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                for chunk in chunks:
                    file.write(chunk)
                    if sink.held >= CHUNK:
                        yield sink.take()
    yield sink.take()


def _gathered(chunks: Iterable[bytes]) -> Generator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) >= CHUNK:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _is_single(form: Format, videos: Sequence[Video]) -> bool:
    return form.ending is not None and (len(videos) == 1 or form.joins)

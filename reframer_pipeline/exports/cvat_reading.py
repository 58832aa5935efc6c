"""CVAT for video 1.1, read: the boxes of the tracks in a file that somebody saved.

What belongs here: reading, and its limits. What does not: what was corrected in it (`cvat_corrections`), writing (`cvat`).

Whoever sends a file may mean harm. It is read as a stream, by expat alone: a document type, and with it every entity, is refused before it
is looked at. Bytes, depth, tags, names, tracks and boxes have limits; a zip is read as far as its one XML file goes, and never unpacked.
Boxes of frames that nobody asks for are not kept.
"""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import IO, BinaryIO, Final
from xml.parsers import expat

from reframer_pipeline.failures import AnnotationsRefused
from reframer_pipeline.schemas import CLASSES

MOST_BYTES: Final = 300_000_000  # of XML; a mask is some 10 kB of it
MOST_DEPTH: Final = 12  # CVAT has 7
MOST_TAG: Final = 4_000_000  # bytes of a tag or comment, which expat holds whole: one of 10 MB took it 4 s and 110 MB
MOST_NAMES: Final = 1000  # different ones of elements and attributes, which expat holds to the end; CVAT writes some dozens
MOST_TRACKS: Final = 200_000  # masks are tracks as well
MOST_BOXES: Final = 5_000_000  # that are kept
MOST_TEXT: Final = 500  # characters of an attribute's text that are kept
_LONGEST_ID: Final = 20
_CHUNK: Final = 65_536
_ZIP: Final = b"PK\x03\x04"
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass
class FileTrack:
    """A track of a file.

    Attributes:
        object_class: `person` or `product`.
        boxes: Source frame to xyxy, pixels, where it is visible.
        labels: What its boxes say under `label`, with how often.
        names: The same of `track`: ids that they had when they were exported.
    """

    object_class: str
    boxes: dict[int, tuple[float, float, float, float]] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)


@dataclass
class File:
    """What a file holds.

    Attributes:
        tracks: Those that have boxes.
        facts: Texts of `meta` by their path, such as `task/size`.
        chosen: Ids of the tracks that were exported, where that was not all of them.
    """

    tracks: list[FileTrack] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)


def read(source: BinaryIO, frames: Collection[int], most_boxes: int | None = None) -> File:
    """The tracks of a file.

    Args:
        source: The XML file, or the zip that CVAT puts it in; seekable.
        frames: Only boxes of these are kept.
        most_boxes: So many of them at most, and never more than `MOST_BOXES`; some 300 bytes each.

    Raises:
        AnnotationsRefused: It is none, it is broken, or it passes a limit.
    """
    reader = _Reader(frames, MOST_BOXES if most_boxes is None else min(most_boxes, MOST_BOXES))
    try:
        for piece in _pieces(source):
            reader.feed(piece)
        return reader.end()
    except (expat.ExpatError, ValueError) as error:  # what is no XML, and what is said in an encoding that expat does not know
        raise AnnotationsRefused(f"The file is no XML: {error}.") from error


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    """The XML, a piece at a time."""
    begins = source.read(len(_ZIP))
    source.seek(0)
    if begins != _ZIP:
        yield from _counted(source)
        return
    try:
        with zipfile.ZipFile(source) as packed:
            inside = [one for one in packed.infolist() if one.filename.lower().endswith(".xml")]
            if len(inside) != 1:
                raise AnnotationsRefused(f"The zip holds {len(inside)} XML files in place of one.")
            if inside[0].compress_type not in _METHODS:  # Python unpacks a whole read of these at once, however much it becomes
                raise AnnotationsRefused("The zip is neither stored nor deflated.", "Pack the XML as CVAT does, or send it unpacked.")
            with packed.open(inside[0]) as file:
                yield from _counted(file)
    except (
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as error:  # encrypted, odd, damaged
        raise AnnotationsRefused("The zip is damaged, or of a kind that cannot be read.") from error


def _counted(file: IO[bytes]) -> Iterator[bytes]:
    import zlib

    size = 0
    try:
        while piece := file.read(_CHUNK):
            size += len(piece)
            if size > MOST_BYTES:
                raise AnnotationsRefused(f"The XML has more than {MOST_BYTES // 1_000_000} MB.")
            yield piece
    except zlib.error as error:
        raise AnnotationsRefused("The zip is damaged.") from error


class _Reader:
    """Takes a document apart as it comes."""

    def __init__(self, frames: Collection[int], most_boxes: int) -> None:
        self._frames, self._most_boxes = frozenset(frames), most_boxes
        self._file = File()
        self._path: list[str] = []
        self._track: FileTrack | None = None
        self._visible: FileTrack | None = None  # the track whose visible box is open
        self._name = ""  # of the attribute that is open
        self._text: list[str] = []
        self._length = self._boxes = self._tracks = self._fed = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._said

    def feed(self, piece: bytes) -> None:
        self._parser.Parse(piece, False)
        self._fed += len(piece)
        if self._fed - self._parser.CurrentByteIndex > MOST_TAG:
            raise AnnotationsRefused(f"The file has a tag of more than {MOST_TAG // 1_000_000} MB.")
        if len(self._parser.intern) > MOST_NAMES:
            raise AnnotationsRefused(f"The file has more than {MOST_NAMES} different names of elements and attributes.")

    def end(self) -> File:
        self._parser.Parse(b"", True)
        self._file.tracks = [one for one in self._file.tracks if one.boxes]
        return self._file

    @staticmethod
    def _refuse(*_: object) -> None:
        raise AnnotationsRefused("The file has a document type; CVAT writes none.")

    def _start(self, name: str, values: dict[str, str]) -> None:
        if not self._path and name != "annotations":
            raise AnnotationsRefused("The file is none of CVAT's: it does not begin with annotations.")
        self._path.append(name)
        if len(self._path) > MOST_DEPTH:
            raise AnnotationsRefused("The file is nested deeper than CVAT's are.")
        self._text, self._length = [], 0
        if name == "track" and len(self._path) == 2:
            self._begin_track(values)
        elif name == "box" and self._track is not None:
            self._box(self._track, values)
        elif name == "attribute":
            self._name = values.get("name", "")[:MOST_TEXT]

    def _begin_track(self, values: dict[str, str]) -> None:
        self._tracks += 1
        if self._tracks > MOST_TRACKS:
            raise AnnotationsRefused(f"The file has more than {MOST_TRACKS} tracks.")
        self._track = FileTrack(values.get("label", "")[:MOST_TEXT])

    def _box(self, track: FileTrack, values: dict[str, str]) -> None:
        if track.object_class not in CLASSES:
            raise AnnotationsRefused(f"The file has a track of the label {track.object_class!r}; {' and '.join(CLASSES)} are known.")
        try:
            frame = int(values["frame"])
            x1, y1, x2, y2 = (float(values[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        except (KeyError, ValueError) as error:
            raise AnnotationsRefused("The file has a box without a frame or without four sides.") from error
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            raise AnnotationsRefused("The file has a box whose sides are no numbers.")
        if frame not in self._frames or values.get("outside", "0") != "0":
            return
        self._boxes += 1
        if self._boxes > self._most_boxes:
            raise AnnotationsRefused(f"The file has more than {self._most_boxes} boxes.")
        track.boxes[frame] = x1, y1, x2, y2
        self._visible = track

    def _said(self, text: str) -> None:
        if self._length < MOST_TEXT:
            self._text.append(text[: MOST_TEXT - self._length])
            self._length += len(text)

    def _end(self, name: str) -> None:
        text = "".join(self._text).strip()
        if name == "attribute" and self._visible is not None:
            kept = {"label": self._visible.labels, "track": self._visible.names}.get(self._name)
            if kept is not None and text:
                kept[text] += 1
        elif name == "box":
            self._visible = None
        elif name == "track" and self._track is not None and len(self._path) == 2:
            self._file.tracks.append(self._track)
            self._track = None
        elif self._path[1:] == ["meta", "reframer", "track"]:
            if len(self._file.chosen) < MOST_TRACKS:
                self._file.chosen.add(text[:_LONGEST_ID])
        elif self._path[1:2] == ["meta"] and text and len(self._file.facts) < MOST_TEXT:
            self._file.facts.setdefault("/".join(self._path[2:]), text)
        self._path.pop()
        self._text, self._length = [], 0

"""A CVAT file that somebody corrected gives the corrections that they made; one that means harm gives a typed failure."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest

from reframer_pipeline.corrections.events import Change, Delete, Merge, Reclass, Rename, Split
from reframer_pipeline.exports import cvat, cvat_reading
from reframer_pipeline.exports.cvat_corrections import corrections_of
from reframer_pipeline.exports.videos import Video, published_videos
from reframer_pipeline.failures import AnnotationsRefused
from reframer_pipeline.reading.tables import TRACKS
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.corrections.walkers import Again, computed, correct, recompute, seen

Edit = Callable[[ElementTree.Element], None]


@pytest.fixture
def video(storage: Storage) -> Video:
    return published_videos(storage, [computed(storage)])[0]


def written(video: Video) -> bytes:
    ((_, chunks),) = cvat.files([video])
    return b"".join(chunks)


def as_cvat_saves(document: bytes, edit: Edit = lambda root: None, *, attributes: bool = True) -> bytes:
    """What CVAT makes of a file: it numbers tracks anew, draws a box on every frame between keyframes, and writes shapes of one frame as
    tracks. Edited as people do, before or after that makes no difference. Without `attributes` its task knows none.
    """
    root = ElementTree.fromstring(document)
    edit(root)
    for image in root.findall("image"):
        for shape in image:
            track = ElementTree.SubElement(root, "track", {"id": "0", "label": shape.get("label", ""), "source": "manual"})
            one = ElementTree.SubElement(track, shape.tag, {**shape.attrib, "frame": image.get("id", ""), "outside": "0", "keyframe": "1"})
            one.extend(list(shape))
        root.remove(image)
    for number, track in enumerate(root.findall("track")):
        track.set("id", str(number))
        boxes = track.findall("box")
        for before, after in zip(boxes, boxes[1:], strict=False):
            if before.get("outside") == "0":
                track.extend(between(before, after))
    if not attributes:
        for box in root.iter("box"):
            box[:] = []
    return ElementTree.tostring(root)


def between(before: ElementTree.Element, after: ElementTree.Element) -> Iterator[ElementTree.Element]:
    first, last = int(before.get("frame", "")), int(after.get("frame", ""))
    for frame in range(first + 1, last):
        one = deepcopy(before)
        one.set("keyframe", "0")
        one.set("frame", str(frame))
        for side in ("xtl", "ytl", "xbr", "ybr"):
            begin, end = float(before.get(side, "")), float(after.get(side, ""))
            one.set(side, f"{begin + (end - begin) * (frame - first) / (last - first):.2f}")
        yield one


def track(root: ElementTree.Element, number: int) -> ElementTree.Element:
    """The element of obj_00N."""
    return next(one for one in root.findall("track") if one.get("group_id") == str(number))


def relabel(root: ElementTree.Element) -> None:
    for attribute in list(track(root, 3).iter("attribute"))[:9]:  # from a frame on, as CVAT does it
        if attribute.get("name") == "label":
            attribute.text = " red <mug>\n"


def merge(root: ElementTree.Element) -> None:
    one, other = track(root, 1), track(root, 5)
    one.extend(list(other))
    root.remove(other)


def split(root: ElementTree.Element) -> None:
    whole = track(root, 2)
    later = ElementTree.SubElement(root, "track", dict(whole.attrib))
    for box in whole.findall("box"):
        if int(box.get("frame", "")) >= 50:
            whole.remove(box)
            later.append(box)


def all_of_it(root: ElementTree.Element) -> None:
    relabel(root), merge(root), split(root)
    root.remove(track(root, 4))
    track(root, 3).set("label", "person")


MUG, VASE = Rename(track_id="obj_003", label="red <mug>"), Delete(track_id="obj_004")
JOINED, PARTED = Merge(track_id="obj_001", other_id="obj_005"), Split(track_id="obj_002", frame=50)
PERSON = Reclass.model_validate({"track_id": "obj_003", "class": "person"})


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda root: None, []),
        (relabel, [MUG]),
        (lambda root: track(root, 3).set("label", "person"), [PERSON]),
        (lambda root: root.remove(track(root, 4)), [VASE]),
        (merge, [JOINED]),
        (split, [PARTED]),
        (all_of_it, [PARTED, VASE, JOINED, PERSON, MUG]),
    ],
)
def test_what_was_corrected_in_cvat_comes_back_as_corrections(video: Video, edit: Edit, expected: list[Change]) -> None:
    root = ElementTree.fromstring(written(video))
    edit(root)
    assert corrections_of(video, io.BytesIO(ElementTree.tostring(root))) == expected  # as another program may save it
    assert corrections_of(video, io.BytesIO(as_cvat_saves(written(video), edit))) == expected


def test_a_task_that_knows_no_attributes_loses_only_names(video: Video) -> None:
    found = corrections_of(video, io.BytesIO(as_cvat_saves(written(video), all_of_it, attributes=False)))
    assert found == [PARTED, VASE, JOINED, PERSON]


def test_the_corrections_give_what_the_file_says_and_its_export_says_nothing_new(storage: Storage, video: Video) -> None:
    correct(storage, video.video_id, *corrections_of(video, io.BytesIO(as_cvat_saves(written(video), all_of_it))))
    found = {row["track_id"]: (row["class"], row["label"], row["sightings"]) for row in seen(storage, video.video_id, TRACKS)}
    assert found == {
        "obj_001": ("person", "person", 18), "obj_002": ("person", "person", 10), "obj_003": ("person", "red <mug>", 20),
        "obj_006": ("person", "person", 10),
    }  # fmt: skip
    (now,) = published_videos(storage, [video.video_id])
    assert corrections_of(now, io.BytesIO(as_cvat_saves(written(now)))) == []


def test_a_file_that_was_exported_before_the_video_was_computed_anew_still_fits(storage: Storage, video: Video) -> None:
    saved = as_cvat_saves(written(video), relabel)
    recompute(storage, video.video_id, kind=Again, conf=0.4)
    (now,) = published_videos(storage, [video.video_id])
    assert corrections_of(now, io.BytesIO(saved)) == [Delete(track_id="obj_001"), Rename(track_id="obj_004", label="red <mug>")]


def test_the_zip_that_cvat_makes_is_read_too(video: Video) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", as_cvat_saves(written(video), merge))
    packed.seek(0)
    assert corrections_of(video, packed) == [JOINED]


def zipped(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><annotations><meta><x>&b;</x></meta></annotations>'
)
FILE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><meta><source>&x;</source></meta></annotations>'
BOX = '<annotations><track label="person"><box frame="{}" xtl="{}" ytl="1" xbr="9" ybr="9" outside="0"/></track></annotations>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no XML"),
        (b"\x00\xff\xfe not xml", "no XML"),
        (b"<annotations><track>", "no XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><annotations/>', "no XML"),
        (BOMB, "document type"),
        (FILE, "document type"),
        (b"<!DOCTYPE html><annotations/>", "document type"),
        (b"<html/>", "does not begin with annotations"),
        (b"<annotations>" + b"<a>" * 1000, "nested deeper"),
        (BOX.format("x", 0).encode(), "without a frame"),
        (BOX.format("9" * 5000, 0).encode(), "without a frame"),
        (BOX.format(0, "NaN").encode(), "no numbers"),
        (BOX.format(0, "1e999").encode(), "no numbers"),
        (BOX.replace("person", "cat").format(0, 0).encode(), "label 'cat'"),
        (BOX.format(0, 0).encode(), "not those of this video"),
        (b"<annotations/>", "not those of this video"),
        (b"<annotations><meta><task><size>99</size></task></meta></annotations>", "another video"),
        (b"PK\x03\x04 nothing more", "zip is damaged"),
        (zipped(("a.txt", b"")), "0 XML files"),
        (zipped(("a.xml", b""), ("b.xml", b"")), "2 XML files"),
        (zipped(("annotations.xml", b"<annotations/>"))[:-30], "zip is damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_such_file_is_refused(video: Video, content: bytes, said: str) -> None:
    with pytest.raises(AnnotationsRefused, match=said):
        corrections_of(video, io.BytesIO(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_so_that_a_little_becomes_gigabytes_at_once_is_refused(video: Video, method: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("annotations.xml", written(video))
    damaged = bytearray(packed.getvalue())
    damaged[70:72] = b"\xff\x55"
    for content in (packed.getvalue(), bytes(damaged)):
        with pytest.raises(AnnotationsRefused, match="neither stored nor deflated"):
            corrections_of(video, io.BytesIO(content))


def test_a_stored_zip_is_read_and_a_damaged_one_refused(video: Video) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr("annotations.xml", written(video))
        assert corrections_of(video, io.BytesIO(packed.getvalue())) == []
        damaged = bytearray(packed.getvalue())
        damaged[len(damaged) // 2] ^= 0x55
        with pytest.raises(AnnotationsRefused):
            corrections_of(video, io.BytesIO(bytes(damaged)))


def test_an_export_of_chosen_tracks_says_nothing_of_the_others(storage: Storage, video: Video) -> None:
    chosen = written(video.of_tracks(["obj_003", "obj_004"]))
    assert corrections_of(video, io.BytesIO(chosen)) == []
    root = ElementTree.fromstring(chosen)
    root.remove(track(root, 4)), relabel(root)
    saved = ElementTree.tostring(root)
    assert corrections_of(video, io.BytesIO(saved)) == [VASE, MUG]
    recompute(storage, video.video_id, kind=Again, conf=0.4)  # there its ids are those of other tracks: nothing is deleted
    (now,) = published_videos(storage, [video.video_id])
    assert corrections_of(now, io.BytesIO(saved)) == [Rename(track_id="obj_004", label="red <mug>")]


def test_a_file_without_most_tracks_is_refused_unless_that_is_meant(video: Video) -> None:
    root = ElementTree.fromstring(written(video.of_tracks(["obj_003"])))
    meta = root.find("meta")
    assert meta is not None
    meta.remove(next(one for one in meta if one.tag == "reframer"))  # as CVAT does, which does not know it
    saved = ElementTree.tostring(root)
    with pytest.raises(AnnotationsRefused, match="lacks 4 of 5 tracks"):
        corrections_of(video, io.BytesIO(saved))
    assert corrections_of(video, io.BytesIO(saved), allow_deletions=True) == [Delete(track_id=f"obj_00{one}") for one in (1, 2, 4, 5)]


def test_a_frame_with_far_more_boxes_than_ours_is_refused(video: Video) -> None:
    one = '<track label="person"><box frame="0" xtl="30" ytl="8" xbr="40" ybr="44" outside="0"/></track>'
    with pytest.raises(AnnotationsRefused, match="100 boxes at frame 0, where the video has 3"):
        corrections_of(video, io.BytesIO(f"<annotations>{one * 100}</annotations>".encode()))


def test_what_is_too_large_is_refused_before_it_is_held(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat_reading, "MOST_BYTES", 1_000_000)
    with pytest.raises(AnnotationsRefused, match="more than 1 MB"):
        corrections_of(video, io.BytesIO(zipped(("a.xml", b"<annotations>" + b" " * 50_000_000))))
    monkeypatch.setattr(cvat_reading, "MOST_TRACKS", 10)
    with pytest.raises(AnnotationsRefused, match="more than 10 tracks"):
        corrections_of(video, io.BytesIO(b"<annotations>" + b'<track label="person"/>' * 11))
    monkeypatch.setattr(cvat_reading, "MOST_BOXES", 3)
    with pytest.raises(AnnotationsRefused, match="more than 3 boxes"):
        corrections_of(video, io.BytesIO(written(video)))

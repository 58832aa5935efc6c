"""Single pictures of a video's results: a frame, plain or drawn on, a mask, the best look at a track, a poster.

What belongs here: choosing what is shown, from one set of results. What does not: drawing (`vision`), sheets and videos (`sheets`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.failures import NothingThere, UnknownFrame
from reframer_pipeline.media.frame_store import FrameStore, decode, encode
from reframer_pipeline.reading.filters import Filter
from reframer_pipeline.reading.sheets import results_of
from reframer_pipeline.reading.tables import MASKS, SIGHTINGS, demand_rows, page
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.vision.drawing import annotate, jpeg
from reframer_pipeline.vision.overlay import tracked_item
from reframer_pipeline.vision.rle import decode_plain
from reframer_pipeline.vision.trajectories import number_of

Overlay = Literal["boxes", "masks", "ids"]
OVERLAYS: Final[tuple[Overlay, ...]] = ("boxes", "masks", "ids")
MARGIN: Final = 0.1  # of a track's box, shown around it
POSTER_SIDE: Final = 640  # pixels
_MOST: Final = 2_000  # sightings drawn on a frame


@dataclass(frozen=True)
class Picture:
    """A picture of a frame.

    Attributes:
        frame_number: The frame.
        jpeg: The picture, encoded.
    """

    frame_number: int
    jpeg: bytes


def frame(storage: Storage, result_id: str, number: int) -> Picture:
    """The sampled frame that is nearest to this one, the earlier of two, as it was looked at.

    Args:
        storage: Where it is.
        result_id: The set, see `tables.published_set`.
        number: Frame of the video.

    Raises:
        ResultsGone: The set is not there any more.
        UnknownFrame: The video has no such frame, or none was looked at.
        FramesEvicted: The pictures were deleted to save space.
    """
    results = results_of(storage, result_id)
    if not 0 <= number < results["frames"].row_count:
        raise UnknownFrame(f"The video has no frame {number}.", "Frames count from 0.")
    with FrameStore(results["frames"].open_attachment()) as store:
        if not store.frame_numbers:
            raise UnknownFrame("No frame of this video was looked at.")
        nearest = min(store.frame_numbers, key=lambda other: (abs(other - number), other))
        return Picture(nearest, store.jpeg(nearest))


def drawn_frame(storage: Storage, result_id: str, number: int, shown: Collection[Overlay]) -> Picture:
    """The same with the boxes, masks and ids of tracks drawn in. A track has one colour wherever it is drawn.

    Raises:
        ResultsGone, RowsArchived: The rows are not there.
        UnknownFrame, FramesEvicted: As `frame` does.
    """
    plain = frame(storage, result_id, number)
    wanted = Filter(from_frame=plain.frame_number, to_frame=plain.frame_number + 1)
    found = page(storage.db, SIGHTINGS, result_id, limit=_MOST, wanted=wanted)
    masks = {}
    if "masks" in shown:
        for row in page(storage.db, MASKS, result_id, limit=_MOST, wanted=wanted):
            masks[row["detection_id"]] = decode_plain(row["mask_rle"], row["frame_height"], row["frame_width"])
    items = [
        tracked_item(_box(row), row["label"], (number_of(row["track_id"]), row["track_id"]), masks.get(row["detection_id"]))
        for row in reversed(found)  # the strongest on top
        if row["track_id"] is not None
    ]
    return Picture(plain.frame_number, encode(annotate(decode(plain.jpeg), items, "boxes" in shown, "ids" in shown)))


def mask(db: Database, result_id: str, detection_id: str) -> Row:
    """The mask of a sighting: a row of `masks`.

    Raises:
        NothingThere: It has none.
        ResultsGone, RowsArchived: The rows are not there.
    """
    found = page(db, MASKS, result_id, limit=1, wanted=Filter(detection_id=detection_id))
    if not found:
        raise NothingThere("There is no such mask.")
    return found[0]


def mask_png(row: Row) -> bytes:
    """A mask as a PNG of the whole frame with one bit a pixel: white belongs to it."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(decode_plain(row["mask_rle"], row["frame_height"], row["frame_width"])).save(out, "PNG")
    return out.getvalue()


def track(storage: Storage, result_id: str, track_id: str) -> Picture:
    """The best look at a track, cut out with a small margin: where its box is largest and most certain.

    Raises:
        NothingThere: There is no such track.
        ResultsGone, RowsArchived: The rows are not there.
        FramesEvicted: As `frame` does.
    """
    from PIL import Image

    best = storage.db.fetch_one(
        """SELECT frame_number, x, y, width, height FROM result_sightings WHERE result_id = %s AND track_id = %s
           ORDER BY width * height * confidence DESC, frame_number LIMIT 1""",
        (result_id, clean_text(track_id)),
    )
    if best is None:
        demand_rows(storage.db, result_id)
        raise NothingThere("There is no such track.")
    whole = frame(storage, result_id, best["frame_number"])
    image = Image.fromarray(decode(whole.jpeg))
    left, top, right, bottom = _box(best)
    more = MARGIN * max(right - left, bottom - top)
    box = max(0, left - more), max(0, top - more), min(image.width, right + more), min(image.height, bottom + more)
    return Picture(whole.frame_number, jpeg(image.crop(box)))


def poster(storage: Storage, result_id: str) -> Picture:
    """A small picture that stands for the video: the middle of its most important scene, or its beginning.

    Raises:
        UnknownFrame, FramesEvicted: As `frame` does.
    """
    from PIL import Image

    middle = storage.db.fetch_one(
        """SELECT (start_frame + end_frame) / 2 AS number FROM result_scenes WHERE result_id = %s
           ORDER BY importance DESC, scene_number LIMIT 1""",
        (result_id,),
    )
    whole = frame(storage, result_id, middle["number"] if middle else 0)
    image = Image.fromarray(decode(whole.jpeg))
    image.thumbnail((POSTER_SIDE, POSTER_SIDE))
    return Picture(whole.frame_number, jpeg(image))


def _box(row: Row) -> tuple[float, float, float, float]:
    return row["x"], row["y"], row["x"] + row["width"], row["y"] + row["height"]

"""The Python API: `import reframer_pipeline as rp`, then `rp.run`, `rp.videos`, `rp.open`.

What belongs here: results as pandas tables and numpy arrays, and running files from Python. What does not: queries (`reading`), what
happens to a file (`cli.run`, which is asked to do it). Heavy libraries are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.failures import SettingsInvalid, UnknownFrame
from reframer_pipeline.reading import tables

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import supervision as sv
    from numpy.typing import NDArray

    from reframer_pipeline.handover import StageInput
    from reframer_pipeline.results.storage import Storage
    from reframer_pipeline.running.run_videos import VideoOutcome
    from reframer_pipeline.settings import Settings

    Paths = str | Path | Iterable[str | Path]

_MASK: Final = ("mask_rle",)
_FACTS: Final = [
    "video_id", "filename", "status", "failure_code", "failure_message", "duration", "resolution", "fps", "frame_count", "created_at",
]  # fmt: skip
_NAMES: Final = ("track_id", "detection_id")
_FIRST: Final = "00000000-0000-0000-0000-000000000000"


def run(paths: Paths, *, force: bool = False, quiet: bool = False, **settings: Any) -> list[VideoOutcome]:
    """Compute video files, as `reframer run` does: only what is missing or out of date.

    Args:
        paths: A file, a folder or a pattern, or several.
        force: Compute all stages again.
        quiet: Say nothing but what failed.
        settings: By their names in docs/settings.md: `models="demo"`, `conf=0.3`, `home="data"`.

    Returns:
        One outcome a file, in order: `status`, `video_id`, counts, and `failure_code` and `failure_message` if it failed. Nothing is raised
        for a file that fails.

    Raises:
        SettingsInvalid: A setting does not exist, or not with this value.
    """
    from reframer_pipeline.cli.inputs import find
    from reframer_pipeline.cli.report import Report
    from reframer_pipeline.cli.run import process

    chosen = _settings(settings)
    given = (paths,) if isinstance(paths, str | Path) else paths
    return process(chosen, find(tuple(map(Path, given)), chosen.home_dir), Report(quiet=quiet), force=force)


def videos(limit: int = 1_000, **settings: Any) -> pd.DataFrame:
    """The newest videos: a row each, with `video_id`, `filename`, `status` and facts.

    Args:
        limit: Rows at most.
        settings: Where they are: `home`, `database_url`, `store_url`.

    Raises:
        HomeMissing: There is no such data folder.
    """
    import pandas as pd

    from reframer_pipeline.reading.videos import list_videos

    return pd.DataFrame(list_videos(_storage(settings).db, limit), columns=_FACTS)


def open(video_id: str, **settings: Any) -> Video:
    """A video's results.

    Args:
        video_id: Its id, or the first characters of it.
        settings: Where it is: `home`, `database_url`, `store_url`.

    Raises:
        HomeMissing: There is no such data folder.
        UnknownVideo: There is none with this id, or several.
        NotPublished: It has no results yet.
        RowsArchived: They are away; `reframer restore` loads them back.
    """
    from reframer_pipeline.work.videos import find_video, get_video

    storage = _storage(settings)
    found = find_video(storage.db, video_id)
    return Video(storage, get_video(storage.db, found), tables.published_set(storage.db, found))


class Video:
    """The results of a video, as they were published when it was opened; what is computed later does not change it.

    Tables have the columns of docs/vocabulary.md. Each is read once, when it is first used.
    """

    def __init__(self, storage: Storage, facts: dict[str, Any], result_id: str) -> None:
        self._storage = storage
        self.id: str = facts["id"]
        self.filename: str = facts["filename"]
        self.facts = facts
        self.result_id = result_id

    def __repr__(self) -> str:
        return f"<Video {self.filename} {self.id[:8]}>"

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """A row a scene."""
        return self._table(tables.SCENES)

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """A row a track."""
        return self._table(tables.TRACKS)

    @cached_property
    def detections(self) -> pd.DataFrame:
        """A row a detection that counts: the table `sightings`."""
        return self._table(tables.SIGHTINGS)

    @cached_property
    def elements(self) -> pd.DataFrame:
        """A row an element that could be replaced."""
        return self._table(tables.ELEMENTS)

    @cached_property
    def frame_numbers(self) -> list[int]:
        """The frames that were looked at, by their numbers in the video."""
        from reframer_pipeline.media.sampled import sampled_times

        numbers: list[int] = sampled_times(self._results["frames"])[0].tolist()
        return numbers

    def frame(self, number: int) -> NDArray[np.uint8]:
        """The picture of a frame that was looked at.

        Returns:
            `(height, width, 3)` RGB, as displayed.

        Raises:
            UnknownFrame: It was not looked at.
            FramesEvicted: The pictures were deleted to save space.
        """
        from reframer_pipeline.media.frame_store import FrameStore

        self._demand(number)
        with FrameStore(self._results["frames"].open_attachment()) as store:
            return store.read(number)

    def masks(self, number: int) -> NDArray[np.bool_]:
        """The masks of a frame's detections, in their order.

        Returns:
            `(n, height, width)`, row i the pixels of row i of `detections` in that frame. All False where none was made: of a weak box that
            only the tracker uses, and of all that `mask_stride` and `mask_conf` leave out.

        Raises:
            UnknownFrame: It was not looked at.
        """
        import numpy as np

        from reframer_pipeline.vision.rle import decode_plain

        boxes = self._boxes(number)
        rows = tables.page(self._storage.db, tables.MASKS, self.result_id, (number, _FIRST), max(len(boxes), 1), _MASK)
        by_id = {row["detection_id"]: row for row in rows if row["frame_number"] == number}
        found = np.zeros((len(boxes), self.facts["height"], self.facts["width"]), bool)
        for at, detection_id in enumerate(boxes["detection_id"]):
            if detection_id in by_id:
                found[at] = decode_plain(by_id[detection_id]["mask_rle"], *found.shape[1:])
        return found

    def supervision(self, number: int) -> sv.Detections:
        """A frame's detections for the library supervision, with masks, track ids and labels.

        `tracker_id` is the number in the track id (7 of `obj_007`), -1 without a track; `class_id` is 0 for a person, 1 for a product;
        `data` has `class_name` (the label), `track_id` and `detection_id`.

        Raises:
            UnknownFrame: It was not looked at.
        """
        import numpy as np
        import supervision as sv

        from reframer_pipeline.schemas import CLASSES

        boxes = self._boxes(number)
        if boxes.empty:
            return sv.Detections.empty()
        corner, size = boxes[["x", "y"]].to_numpy(float), boxes[["width", "height"]].to_numpy(float)
        return sv.Detections(
            xyxy=np.hstack([corner, corner + size]),
            mask=self.masks(number),
            confidence=boxes["confidence"].to_numpy(float),
            class_id=boxes["class"].map({name: at for at, name in enumerate(CLASSES)}).to_numpy(int),
            tracker_id=boxes["track_id"].str.rpartition("_")[2].fillna(-1).to_numpy(int),
            data={"class_name": boxes["label"].to_numpy(object), **{name: boxes[name].to_numpy(object) for name in _NAMES}},
        )

    def export(self, format: str, output: str | Path) -> Path:
        """Write the results for another program, as `reframer export` does.

        Args:
            format: Of docs/exports.md: `"coco"`.
            output: A folder that is not there yet; or a file, if it is named `.zip`, or as the format's own file is.

        Returns:
            Where they are.

        Raises:
            UnknownFormat: There is no such format.
            OutputNotWritable: There is something already, or it cannot be written.
        """
        from reframer_pipeline.exports.formats import named
        from reframer_pipeline.exports.packing import write
        from reframer_pipeline.exports.videos import Video, safe_name

        written = Path(output)
        write(named(format), [Video(self.id, self.filename, safe_name(self.filename), self.result_id, self._storage)], written)
        return written

    @cached_property
    def _results(self) -> dict[str, StageInput]:
        from reframer_pipeline.reading.sheets import results_of

        return results_of(self._storage, self.result_id)

    def _boxes(self, number: int) -> pd.DataFrame:
        self._demand(number)
        return self.detections[self.detections["frame_number"] == number]

    def _demand(self, number: int) -> None:
        if number not in self.frame_numbers:
            nearest = min(self.frame_numbers, key=lambda other: abs(other - number))
            raise UnknownFrame(f"Frame {number} of {self.filename} was not looked at.", f"The nearest that was is {nearest}.")

    def _table(self, table: tables.Table) -> pd.DataFrame:
        import pyarrow as pa

        batches = tables.batches(self._storage.db, table, self.result_id)
        return pa.Table.from_batches(batches, table.schema).to_pandas()


def _settings(given: dict[str, Any]) -> Settings:
    from reframer_pipeline.cli.options import make_settings
    from reframer_pipeline.settings import Settings

    for name in given:
        if name not in Settings.model_fields:
            meant = [f" Did you mean {one}?" for one in get_close_matches(name, Settings.model_fields, 1)]
            raise SettingsInvalid(f"There is no setting {name}.{''.join(meant)}")
    return make_settings(given)


def _storage(given: dict[str, Any]) -> Storage:
    """What is there to read from. Reading makes no data folder."""
    from reframer_pipeline.results.storage import demand_home, storage_of

    settings = _settings(given)
    demand_home(settings)
    return storage_of(settings)

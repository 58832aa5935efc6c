"""Results made by hand with something to correct: a person whose track broke in two, one who stays, a cup, and what is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from reframer_pipeline.corrections.events import Change
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.reading.tables import TABLES, Table, published_set, rows
from reframer_pipeline.results import correcting
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.scenes.analysis import analyse_scenes
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline.users import people
from reframer_pipeline.versions import row_id
from reframer_pipeline_tests.factories import FPS, Maker, add_video, commit_all
from reframer_pipeline_tests.support import MemoryInput

STRIDE: Final = 5
FRAMES: Final = 100


@dataclass(frozen=True)
class Thing:
    """What walks to the right by 0.1 pixels a frame, from one frame to another."""

    kind: str
    label: str
    confidence: float
    frames: tuple[int, int]
    xyxy: tuple[float, float, float, float]


BROKEN = Thing("person", "person", 0.9, (0, 40), (2, 10, 12, 40))
REST = Thing("person", "person", 0.9, (50, 100), (2, 10, 12, 40))  # the same person, found again as another
STAYS = Thing("person", "person", 0.8, (0, 100), (30, 8, 40, 44))
CUP = Thing("product", "cup", 0.7, (0, 100), (45, 20, 53, 30))
NOTHING = Thing("product", "vase", 0.6, (20, 60), (18, 2, 24, 9))
OTHER = Thing("product", "book", 0.95, (0, 100), (46, 40, 53, 46))  # seen with other settings alone, before all others


class Walkers(Maker):
    """The tracks in order: obj_001 and obj_005 are one person, obj_002 stays, obj_003 is a cup, obj_004 is none."""

    things: tuple[Thing, ...] = (BROKEN, STAYS, CUP, NOTHING, REST)
    still: bool | None = None  # whether the camera stands still

    def _seen(self) -> Iterator[tuple[int, int, int, Thing]]:
        """Frame, place in it, number of the thing, and the thing."""
        for frame in range(0, self.frame_count, self.settings.vid_stride):
            there = [(number, one) for number, one in enumerate(self.things, 1) if one.frames[0] <= frame < one.frames[1]]
            for ordinal, (number, one) in enumerate(sorted(there, key=lambda pair: -pair[1].confidence)):
                yield frame, ordinal, number, one

    def _detections(self) -> Iterator[dict[str, Any]]:
        for frame, ordinal, _, one in self._seen():
            x1, y1, x2, y2 = one.xyxy
            yield {
                "detection_id": row_id(self._result("detections"), f"{frame}:{ordinal}"), "frame_number": frame, "timestamp": frame / FPS,
                "ordinal": ordinal, "object_class": one.kind, "label": one.label, "confidence": one.confidence,
                "x1": x1 + frame / 10, "y1": y1, "x2": x2 + frame / 10, "y2": y2, "candidate": False,
            }  # fmt: skip

    def _trajectories(self) -> Iterator[dict[str, Any]]:
        numbers = [number for *_, number, _ in self._seen()]
        names = ("timestamp", "x1", "y1", "x2", "y2", "confidence", "detection_id")
        for number, one in enumerate(self.things, 1):
            seen = [row for row, whose in zip(self._detections(), numbers, strict=True) if whose == number]
            steps = [
                {"frame": row["frame_number"], **{name: row[name] for name in names}, "seconds": self.settings.vid_stride / FPS}
                for row in seen
            ]
            yield {
                "track_id": f"obj_{number:03}", "object_class": one.kind, "label": one.label, "start_frame": steps[0]["frame"],
                "end_frame": steps[-1]["frame"] + 1, "avg_confidence": float(np.mean([row["confidence"] for row in seen])), "frames": steps,
            }  # fmt: skip

    def _scenes(self) -> Iterator[dict[str, Any]]:
        given = {name: MemoryInput(name, self.rows(name)) for name in ("frames", "detections", "masks", "trajectories")}
        facts = self.rows("metadata")[0]
        told = analyse_scenes(facts, **given, describer=LocalDescriber(), settings=self.settings, camera=lambda *_: self.still)  # type: ignore[arg-type]
        for batch in told:
            yield from batch.to_pylist()


class OnAStand(Walkers):
    """The same before a camera that stands still."""

    still = True


class Again(Walkers):
    """The same under other settings: another thing is seen before all, so every id is another one."""

    things = (OTHER, BROKEN, STAYS, CUP, NOTHING, REST)


class Less(Walkers):
    """The cup and the vase are not seen any more."""

    things = (BROKEN, STAYS, REST)


def computed(storage: Storage, seed: int = 0, kind: type[Walkers] = Walkers, **changed: Any) -> str:
    """A video with such results."""
    video_id, sha = add_video(storage, seed)
    recompute(storage, video_id, sha, kind, **changed)
    storage.db.execute("UPDATE videos SET status = 'completed' WHERE id = %s", (video_id,))
    return video_id


def recompute(storage: Storage, video_id: str, sha: str | None = None, kind: type[Walkers] = Walkers, **changed: Any) -> Walkers:
    """Compute it, with other settings."""
    if sha is None:
        row = storage.db.fetch_one("SELECT sha256 FROM videos WHERE id = %s", (video_id,))
        assert row is not None
        sha = row["sha256"]
    maker = kind(sha, storage.settings.model_copy(update=changed), frame_count=FRAMES)
    commit_all(storage, video_id, maker)
    return maker


def place(storage: Storage, video_id: str) -> correcting.Place:
    return correcting.Place(storage.db, storage.store, storage.settings.scratch_dir, video_id)


def correct(storage: Storage, video_id: str, *changes: Change) -> list[Row]:
    """Correct it, as the local person."""
    return correcting.correct(place(storage, video_id), changes, Author(people.add(storage.db, people.LOCAL_USER)))


def undo(storage: Storage, video_id: str, number: int) -> list[int]:
    return correcting.undo(place(storage, video_id), number, people.add(storage.db, people.LOCAL_USER))


def seen(storage: Storage, video_id: str, table: Table) -> list[Row]:
    """The published rows of a table."""
    return list(rows(storage.db, table, published_set(storage.db, video_id)))


def everything(storage: Storage, video_id: str) -> dict[str, list[Row]]:
    return {name: seen(storage, video_id, table) for name, table in TABLES.items()}


def objects(storage: Storage) -> set[Path]:
    """The files of the store."""
    return {path for path in Path(storage.settings.home_dir / "store").rglob("*.parquet")}

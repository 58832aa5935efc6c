"""Deliverables of synthetic results: rows without a film, for tests of what becomes of them."""

from __future__ import annotations

from pathlib import Path

from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import ReframeWish
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.api.library import made_video

PATH = ReframeWish(ratio="9:16", form="json")
TOKEN, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def wanted(storage: Storage, seed: int = 0, wish: ReframeWish = PATH) -> Deliverable:
    """One that somebody asked for, of a new video with results made by hand."""
    return keeping.ask(storage, made_video(storage, seed)[0], wish)


def made(storage: Storage, one: Deliverable, token: str = TOKEN) -> Deliverable:
    """The same, made."""
    found = keeping.make(storage, one.id, token)
    assert found is not None
    return found


def now(storage: Storage, one: Deliverable) -> Deliverable:
    """How it stands."""
    found = deliverables.find(storage.db, one.id)
    assert found is not None
    return found


def objects(storage: Storage) -> list[str]:
    """Keys of all deliverables in the store."""
    return list(storage.store.list("deliverables"))


def silent(storage: Storage, one: Deliverable) -> None:
    """Whoever makes it has given no sign of life for long."""
    storage.db.execute("UPDATE deliverables SET alive_at = now() - interval '2 minutes' WHERE id = %s", (one.id,))


def due(storage: Storage, one: Deliverable) -> None:
    """Its pause is over."""
    storage.db.execute("UPDATE deliverables SET due_at = now() WHERE id = %s", (one.id,))


def text(storage: Storage, one: Deliverable) -> bytes:
    """Its file."""
    assert one.object_key is not None
    with storage.store.open_object(one.object_key) as file:
        return file.read()


def scratch_is_empty(storage: Storage) -> bool:
    """Whether nothing is left on its way."""
    return not [path for path in Path(storage.settings.scratch_dir).glob("private-*")]

"""Every route of the server, and for each a request that the owner of all ids may make: for tests that try all of them.

A new route is walked by itself. If it takes a body or a header, tests say so until it has an entry in `SAID`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import httpx2
import pytest
from fastapi.routing import APIRoute

from reframer_pipeline.api.application import ROUTERS
from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import ReframeWish
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.api.library import WithPictures
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.factories import commit_all, video_bytes
from reframer_pipeline_tests.servers import Server

OWNER: Final = "owner@example.org"
NOBODYS: Final = "00000000-0000-4000-8000-000000000000"
PLENTY: Final = {
    "REFRAMER_API_REQUESTS_PER_MINUTE": "1000000", "REFRAMER_API_JOBS_AT_ONCE": "1000", "REFRAMER_API_UPLOADS_AT_ONCE": "1000",
    "REFRAMER_API_WRONG_KEYS_PER_MINUTE": "1000000",
}  # fmt: skip
TUS: Final = {"Tus-Resumable": "1.0.0"}
# what a request says besides its ids, by its route
SAID: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("POST", "/jobs"): {"files": {"file": ("clip.mp4", video_bytes(3))}},
    ("POST", "/uploads"): {"headers": {**TUS, "Upload-Length": "100"}},
    ("HEAD", "/uploads/{upload_id}"): {"headers": TUS},
    ("PATCH", "/uploads/{upload_id}"): {
        "headers": {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}, "content": video_bytes(4)[:20],
    },
    ("DELETE", "/uploads/{upload_id}"): {"headers": TUS},
    ("GET", "/videos/{video_id}/export"): {"params": {"format": "csv"}},
    ("POST", "/videos/{video_id}/mattes"): {"json": {"tracks": ["obj_001"]}},
    ("POST", "/videos/{video_id}/reframes"): {"json": {"ratio": "9:16", "form": "ae"}},
    ("POST", "/videos/{video_id}/corrections"): {"json": {"kind": "rename", "track_id": "obj_001", "label": "one"}},
    ("POST", "/videos/{video_id}/cvat"): {"headers": {"Content-Type": "application/xml"}, "content": b"<annotations/>"},
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """One method of one address."""

    method: str
    path: str

    @property
    def names(self) -> list[str]:
        """Of the parameters in its path."""
        return re.findall(r"\{(\w+)", self.path)

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def at(self, ids: dict[str, str]) -> str:
        """Its address, with these ids."""
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: ids[found[1]], self.path)

    @property
    def said(self) -> dict[str, Any]:
        """What a request to it says besides its ids."""
        return SAID.get((self.method, self.path), {})


def routes() -> list[Route]:
    """All, as the application has them; those that serve the page, too."""
    found = [Route(method, one.path) for router in ROUTERS for one in router.routes if isinstance(one, APIRoute) for method in one.methods]
    return sorted(found, key=lambda one: (one.method == "DELETE", one.path.count("/") == 2, one.path, one.method))  # the greatest loss last


def each(*chosen: Route) -> pytest.MarkDecorator:
    """A test of each of these routes."""
    return pytest.mark.parametrize("route", [pytest.param(one, id=f"{one.method} {one.path}") for one in chosen])


@dataclass(frozen=True)
class Owned:
    """A server, with something of everything that belongs to `OWNER`.

    Attributes:
        serving: The server.
        ids: An id for each name that paths have.
        key: One of the owner's keys.
        other_key: One of somebody else's, with all scopes.
    """

    serving: Serving
    ids: dict[str, str]
    key: str
    other_key: str

    @cached_property
    def stranger(self) -> httpx2.Client:
        """Somebody else's client, with all scopes."""
        return self.serving.client(self.other_key)

    @cached_property
    def owner(self) -> httpx2.Client:
        """The owner's client."""
        return self.serving.client(self.key)

    def kept(self) -> dict[str, Any]:
        """Everything that is kept: a digest of each table and the objects, without what a key uses up by asking."""
        db, place = self.serving.db, self.serving.home
        tables = db.fetch(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
        )
        left_out = {"api_keys": "- 'last_used_at'", "api_key_bytes": None}
        kept: dict[str, Any] = {}
        for name in sorted(row["name"] for row in tables):
            taken = left_out.get(name, "")
            if taken is not None:
                (row,) = db.fetch(
                    f"SELECT md5(string_agg(said, '' ORDER BY said)) AS d FROM (SELECT (to_jsonb(t) {taken})::text AS said FROM {name} t) s"
                )
                kept[name] = row["d"]
        kept["files"] = {str(one): one.stat().st_size for one in place.rglob("*") if one.is_file() and one != self.serving.log}
        return kept


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Owned]:
    """One for the tests of a file."""
    for serving in started(tmp_path_factory.mktemp("walked") / "home", embedded_server, **PLENTY):
        storage, path, key = serving.storage, serving.home / "clip.mp4", serving.key(OWNER)
        path.write_bytes(video_bytes(7))
        result = ingest_file(path, storage.db, storage.store, storage.settings, user_email=OWNER)
        assert result.video_id is not None
        row = storage.db.fetch_one(
            "UPDATE videos SET width = 64, height = 48, status = 'completed' WHERE id = %s RETURNING sha256", (result.video_id,)
        )
        storage.db.execute("UPDATE uploads SET requested = true")
        assert row is not None
        maker = WithPictures(row["sha256"], storage.settings)
        commit_all(storage, result.video_id, maker)
        wish = keeping.ask(storage, result.video_id, ReframeWish(ratio="1:1", form="ae"))
        assert keeping.make(storage, wish.id, NOBODYS) is not None
        with serving.client(key) as client:
            begun = client.post("/uploads", headers={**TUS, "Upload-Length": "1000"})
            corrected = client.post(
                f"/videos/{result.video_id}/corrections", json={"kind": "rename", "track_id": "obj_002", "label": "two"}
            )
        assert begun.status_code == corrected.status_code == 201, corrected.text
        ids = {
            "job_id": str(result.upload_id), "video_id": result.video_id, "deliverable_id": wish.id, "track_id": "obj_001",
            "detection_id": maker.rows("detections")[0]["detection_id"], "number": "1", "name": "main.js",
            "upload_id": begun.headers["location"].rpartition("/")[2],
        }  # fmt: skip
        yield Owned(serving, ids, key, serving.key("stranger@example.org"))

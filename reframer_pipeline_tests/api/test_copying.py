"""The copy for browsers: asked for, made once, sent in ranges, and gone with its video, with time, or as an orphan."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from reframer_pipeline.api.copying import Copying
from reframer_pipeline.failures import DiskFull, NotPublished
from reframer_pipeline.media.proxy import CODE_VERSION
from reframer_pipeline.reading.films import facts
from reframer_pipeline.results import proxies
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import deletion, orphans
from reframer_pipeline.store.objects import PROXIES
from reframer_pipeline_tests.api.filmed import film, numbered, shown_times
from reframer_pipeline_tests.api.library import claim, made_video
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import add_video

ONE = "one@example.org"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered(tmp_path_factory.mktemp("copying") / "clip.avi", "-c:v", "mpeg4", "-q:v", "2", "-enc_time_base", "1:25")


@pytest.fixture(scope="module")
def video_id(serving: Serving, clip: Path) -> str:
    return film(serving.storage, clip, ONE)


@pytest.fixture
def client(serving: Serving, video_id: str) -> Iterator[httpx2.Client]:
    with serving.client(serving.key(ONE)) as made:
        made.base_url = f"{serving.url}/v1/videos/{video_id}/"
        yield made


def objects(serving: Serving) -> list[str]:
    return list(serving.storage.store.list(PROXIES))


def ready(serving: Serving, client: httpx2.Client) -> dict[str, Any]:
    """Ask for the copy, and wait until it is there."""
    client.post("proxy")
    serving.until(lambda: client.get("film").json()["proxy"]["state"] not in ("none", "making"), 120)
    said: dict[str, Any] = client.get("film").json()["proxy"]
    return said


def test_a_copy_is_made_when_it_is_asked_for(serving: Serving, client: httpx2.Client, video_id: str, clip: Path, tmp_path: Path) -> None:
    film = client.get("film").json()
    assert film["type"] is None  # no browser plays it
    assert film["proxy"] == {"state": "none", "progress": 0, "failure": None, "address": f"/v1/videos/{video_id}/proxy.mp4"}
    assert client.get("proxy.mp4").json()["code"] == "nothing_there"
    begun = client.post("proxy")
    assert begun.status_code == 202 and begun.json()["state"] in ("making", "ready")
    assert ready(serving, client)["progress"] == 1
    assert client.post("proxy").status_code == 200
    whole = client.get("proxy.mp4")
    (tmp_path / "proxy.mp4").write_bytes(whole.content)
    assert shown_times(tmp_path / "proxy.mp4") == pytest.approx(client.get("times").json()["seconds"], abs=0.001)
    part = client.get("proxy.mp4", headers={"Range": "bytes=10-19", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, whole.content[10:20], "video/mp4")
    assert len(objects(serving)) == 1


def test_nobody_else_sees_or_asks_for_it(serving: Serving, video_id: str) -> None:
    with serving.client(serving.key("other@example.org")) as other:
        assert other.post(f"/videos/{video_id}/proxy").json()["code"] == "nothing_there"
        assert other.get(f"/videos/{video_id}/proxy.mp4").json()["code"] == "nothing_there"


def test_a_copy_whose_object_is_lost_is_made_anew(serving: Serving, client: httpx2.Client) -> None:
    ready(serving, client)
    serving.storage.store.delete(objects(serving)[0])
    assert client.post("proxy").status_code == 202
    assert ready(serving, client)["state"] == "ready" and client.get("proxy.mp4").is_success


def test_a_video_that_was_not_measured_has_none_yet(serving: Serving) -> None:
    video_id, _ = add_video(serving.storage, 77)
    claim(serving.db, ONE, video_id, "new.mp4")
    with serving.client(serving.key(ONE)) as client:
        assert client.get(f"/videos/{video_id}/film").json()["type"] is None
        assert client.post(f"/videos/{video_id}/proxy").json()["code"] == NotPublished.code


def test_one_that_cannot_be_made_says_why(serving: Serving) -> None:
    video_id, _ = made_video(serving.storage, 78)  # its bytes are no video
    claim(serving.db, ONE, video_id, "broken.mp4")
    with serving.client(serving.key(ONE)) as client:
        client.base_url = f"{serving.url}/v1/videos/{video_id}/"
        said = ready(serving, client)
        assert said["state"] == "failed" and {"code", "message", "remedy"} == said["failure"].keys()
        assert client.post("proxy").status_code == 202  # and is tried again
    assert "Traceback" not in serving.log.read_text()  # it is no fault of ours


def test_one_makes_it_and_the_other_waits(serving: Serving) -> None:
    db, video_id = serving.db, made_video(serving.storage, 79)[0]
    token = proxies.claim(db, video_id)
    assert token and proxies.claim(db, video_id) is None
    assert proxies.alive(db, video_id, token, 0.5) and proxies.look(db, video_id).progress == 0.5
    db.execute("UPDATE proxies SET alive_at = now() - interval '2 minutes' WHERE video_id = %s", (video_id,))
    assert proxies.look(db, video_id).state == "none"  # whoever made it has died
    other = proxies.claim(db, video_id)
    assert other and not proxies.alive(db, video_id, token)
    proxies.fail(db, video_id, other, DiskFull("No room."))
    assert proxies.look(db, video_id).failure == (DiskFull.code, "No room.", DiskFull.default_remedy)
    again = proxies.claim(db, video_id)
    assert again
    proxies.give_up(db, video_id, again)
    assert proxies.look(db, video_id).state == "none"


def test_another_version_makes_it_anew(serving: Serving, client: httpx2.Client, video_id: str) -> None:
    ready(serving, client)
    serving.db.execute("UPDATE proxies SET code_version = %s WHERE video_id = %s", (CODE_VERSION - 1, video_id))
    assert client.get("film").json()["proxy"]["state"] == "none"
    assert ready(serving, client)["state"] == "ready"


def test_what_is_made_for_a_deleted_video_is_thrown_away(storage: Storage, tmp_path: Path) -> None:
    video_id = film(storage, numbered(tmp_path / "clip.mp4"), ONE)
    known, made = facts(storage, video_id), tmp_path / "proxy.mp4"
    made.write_bytes(b"copy")
    token = proxies.claim(storage.db, video_id)
    assert token and known
    deletion.delete(storage.db, video_id)
    proxies.keep(storage.db, storage.store, video_id, token, made)
    assert list(storage.store.list(PROXIES)) == []
    Copying(storage, threading.Event()).begin(video_id, known)  # and nothing is begun


def test_it_goes_with_its_video(serving: Serving, client: httpx2.Client, video_id: str) -> None:
    ready(serving, client)
    key = proxies.look(serving.db, video_id).key
    assert key in objects(serving)
    assert client.delete(f"{serving.url}/v1/videos/{video_id}").status_code == 204
    assert key not in objects(serving)


def test_it_is_evicted_when_nobody_looks_and_swept_when_no_row_names_it(storage: Storage, tmp_path: Path) -> None:
    db, store = storage.db, storage.store
    made = tmp_path / "proxy.mp4"
    made.write_bytes(b"copy")
    for seed in (1, 2, 3):
        video_id = made_video(storage, seed)[0]
        token = proxies.claim(db, video_id)
        assert token
        proxies.keep(db, store, video_id, token, made)
    old, looked_at, orphan = (row["video_id"] for row in db.fetch("SELECT video_id::text FROM proxies ORDER BY alive_at"))
    db.execute("UPDATE proxies SET alive_at = now() - interval '9 days'")
    proxies.used(db, looked_at)
    db.execute("UPDATE proxies SET alive_at = now() WHERE video_id = %s", (orphan,))
    assert proxies.evict_older(db, store, days=8) == (1, 4)
    assert proxies.look(db, old).state == "none" and proxies.look(db, looked_at).state == "ready"
    assert len(list(store.list(PROXIES))) == 2
    db.execute("DELETE FROM proxies WHERE video_id = %s", (orphan,))
    assert list(orphans.find(db, store)) == []  # it is young: it may just be coming
    (lost,) = [key for key in store.list(PROXIES) if orphan in key]
    path = store.local_path(lost)
    assert path is not None
    os.utime(path, (0, 0))
    assert [one.key for one in orphans.find(db, store)] == [lost]
    assert all(orphans.delete(db, store, one) for one in orphans.find(db, store))
    assert len(list(store.list(PROXIES))) == 1

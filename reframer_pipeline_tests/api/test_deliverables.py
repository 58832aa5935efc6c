"""Mattes and reframed videos over HTTP: asked for, made by a run of Dagster's in this process, taken, deleted; and who sees which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reframer_pipeline.editing import keeping
from reframer_pipeline.failures import NobodyToRun, NotAVideo
from reframer_pipeline.orchestration.assets import register_partitions
from reframer_pipeline.reading.tables import published_set
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.api.library import claim, made_video
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.editing.kept import TOKEN
from reframer_pipeline_tests.factories import commit_all
from reframer_pipeline_tests.orchestration.requests.daemon import Daemon
from reframer_pipeline_tests.servers import Server, free_port, fresh_database

ONE, OTHER = "one@example.org", "other@example.org"
PATH = {"ratio": "9:16", "form": "json"}


@pytest.fixture(scope="module")
def video(serving: Serving) -> str:
    """A video with results made by hand, which two people brought."""
    video_id, _ = made_video(serving.storage, 1)
    claim(serving.db, ONE, video_id, "clip.mp4")
    claim(serving.db, OTHER, video_id, "theirs.mp4")
    return video_id


def make(serving: Serving, deliverable_id: str) -> None:
    """As a run does."""
    assert keeping.make(serving.storage, deliverable_id, TOKEN) is not None


@pytest.mark.models
def test_from_the_wish_to_the_file(serving_clip: Serving, shared: Storage, done: VideoOutcome) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client, dagster_home.open_instance(shared.settings) as instance:
        asked = client.post(f"/v1/videos/{done.video_id}/mattes", json={"scene": 2, "form": "webm", "cutout": True})
        said = asked.json()
        assert (asked.status_code, said["status"], said["bytes"], said["failure"]) == (202, "wanted", None, None)
        assert asked.headers["Location"] == f"/v1/deliverables/{said['deliverable_id']}"
        assert said["wish"] == {"scene": 2, "form": "webm", "cutout": True} and said["filename"].startswith("clip-matte-")
        assert client.get(said["file"]).json()["code"] == "not_made"
        register_partitions(instance, shared.db)
        daemon = Daemon(shared.settings, instance, sensor="deliverable_sensor")
        (result,) = daemon.run(daemon.tick())
        assert result.success
        made = client.get(asked.headers["Location"]).json()
        assert made["status"] == "made" and made["progress"] == 1 and made["seconds"] > 0 and made["made_at"] >= made["asked_at"]
        whole, part = client.get(made["file"]), client.get(made["file"], headers={"Range": "bytes=4-99"})
        assert (whole.status_code, len(whole.content), whole.headers["Content-Type"]) == (200, made["bytes"], "video/webm")
        assert whole.headers["Content-Disposition"].endswith(made["filename"]) and whole.content[:4] == b"\x1aE\xdf\xa3"
        assert (part.status_code, part.content) == (206, whole.content[4:100])
        again = client.post(f"/videos/{done.video_id}/mattes", json={"scene": 2, "form": "webm", "cutout": True})
        assert again.status_code == 200 and again.json()["deliverable_id"] == made["deliverable_id"]
        listed = client.get(f"/v1/videos/{done.video_id}/deliverables").json()
        assert [one["deliverable_id"] for one in listed["deliverables"]] == [made["deliverable_id"]] and listed["next"] is None
        video = client.get(f"/videos/{done.video_id}").json()
        assert video["status"] == "completed"
        assert client.delete(asked.headers["Location"]).status_code == 204
        assert client.get(asked.headers["Location"]).json()["code"] == "nothing_there"


def test_who_sees_which(serving: Serving, video: str) -> None:
    with (
        serving.client(serving.key(ONE)) as one,
        serving.client(serving.key(OTHER)) as other,
        serving.client(serving.key("nobody@example.org")) as nobody,
    ):
        clip = one.post(f"/videos/{video}/reframes", json={"ratio": "1:1"}).json()
        named = one.post(f"/videos/{video}/reframes", json=PATH).json()
        assert other.post(f"/videos/{video}/reframes", json={"ratio": "1:1"}).json()["deliverable_id"] == clip["deliverable_id"]
        theirs = other.post(f"/videos/{video}/reframes", json=PATH).json()
        assert theirs["deliverable_id"] != named["deliverable_id"]  # the file has the name in it
        assert (named["filename"], theirs["filename"]) == ("clip-reframed-9x16.json", "theirs-reframed-9x16.json")
        listed = {one["deliverable_id"] for one in other.get(f"/videos/{video}/deliverables").json()["deliverables"]}
        assert listed == {clip["deliverable_id"], theirs["deliverable_id"]}
        hidden = f"/deliverables/{named['deliverable_id']}"
        for client, path in ((other, hidden), (other, f"{hidden}/file"), (nobody, f"/deliverables/{clip['deliverable_id']}")):
            assert client.get(path).status_code == client.delete(path.removesuffix("/file")).status_code == 404
        assert nobody.post(f"/videos/{video}/reframes", json=PATH).status_code == 404
        make(serving, named["deliverable_id"])
        plan = one.get(f"{hidden}/file").json()
        assert plan["filename"] == "clip.mp4" and plan["video_id"] == video
    with serving.client(serving.key(ONE, scopes=("read",))) as reading:
        assert reading.post(f"/videos/{video}/reframes", json=PATH).json()["code"] == "not_allowed"
        assert reading.delete(hidden).json()["code"] == "not_allowed"


@pytest.mark.parametrize(
    ("kind", "wish", "status", "code"),
    [
        ("mattes", {}, 422, "request_invalid"),
        ("mattes", {"scene": 1, "form": "luma", "cutout": True}, 422, "request_invalid"),
        ("mattes", {"tracks": ["obj_001"], "soft": 1}, 422, "request_invalid"),
        ("mattes", {"tracks": ["obj_099"]}, 404, "nothing_there"),
        ("mattes", {"elements": ["2.9"]}, 404, "nothing_there"),
        ("reframes", {"ratio": "wide"}, 422, "request_invalid"),
        ("reframes", {"ratio": "1:99999"}, 422, "ratio_impossible"),
        ("reframes", {"ratio": "1:1", "label": "moon"}, 404, "nothing_there"),
        ("reframes", {"ratio": "1:1", "form": "sendcmd", "letterbox": True}, 422, "request_invalid"),
    ],
)
def test_what_cannot_be_is_said_at_once(serving: Serving, video: str, kind: str, wish: object, status: int, code: str) -> None:
    with serving.client(serving.key(ONE)) as client:
        answer = client.post(f"/videos/{video}/{kind}", json=wish)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_wish_may_name_its_set(serving: Serving) -> None:
    """Ids are those of the set that somebody looked at, also when newer results have come since."""
    video_id, maker = made_video(serving.storage, 2)
    claim(serving.db, ONE, video_id, "clip.mp4")
    older = published_set(serving.db, video_id)
    commit_all(serving.storage, video_id, replace(maker, settings=maker.settings.model_copy(update={"conf": 0.31})))
    with serving.client(serving.key(ONE)) as client:
        asked = client.post(f"/videos/{video_id}/reframes", json=PATH, params={"result_id": older}).json()
        assert asked["result_id"] == older and client.post(f"/videos/{video_id}/reframes", json=PATH).json()["result_id"] != older
        matte = client.post(f"/videos/{video_id}/mattes", json={"tracks": ["obj_001"]}, params={"result_id": older}).json()
        assert matte["result_id"] == older
        make(serving, asked["deliverable_id"])
        assert client.get(asked["file"]).is_success
        gone = client.post(f"/videos/{video_id}/reframes", json=PATH, params={"result_id": "00000000-0000-5000-8000-000000000000"})
        assert (gone.status_code, gone.json()["code"]) == (410, "results_gone")


def test_nobody_makes_it(serving: Serving, video: str) -> None:
    serving.db.execute("DELETE FROM deliverables")
    earlier = "now() - interval '100 seconds'"
    with serving.client(serving.key(ONE)) as client:
        one, other = (client.post(f"/videos/{video}/reframes", json={"ratio": f"{n}:9", "form": "ae"}).json() for n in (5, 6))

        def held_up() -> list[str]:
            listed = client.get(f"/videos/{video}/deliverables").json()["deliverables"]
            found = [told["held_up_by"] for told in listed]
            assert found == [client.get(f"/deliverables/{told['deliverable_id']}").json()["held_up_by"] for told in listed]
            return [said and said["code"] for said in found]

        serving.db.execute(f"UPDATE results SET created_at = {earlier}")
        assert held_up() == [None, None]  # it may begin any moment
        serving.db.execute(f"UPDATE deliverables SET due_at = {earlier} WHERE id = %s", (one["deliverable_id"],))
        assert held_up() == [NobodyToRun.code, None]
        deliverables.claim(serving.db, other["deliverable_id"], TOKEN)
        assert held_up() == [None, None]  # somebody makes the other one first
        serving.db.execute(f"UPDATE deliverables SET alive_at = {earlier}")
        assert held_up() == [NobodyToRun.code, NobodyToRun.code]  # and has died


def test_pages_and_failures(serving: Serving, video: str) -> None:
    serving.db.execute("DELETE FROM deliverables")
    with serving.client(serving.key(ONE)) as client:
        ids = [client.post(f"/videos/{video}/reframes", json={"ratio": f"{n}:9", "form": "ae"}).json()["deliverable_id"] for n in (5, 6, 7)]
        first = client.get(f"/videos/{video}/deliverables?limit=2").json()
        second = client.get(f"/videos/{video}/deliverables?limit=2&cursor={first['next']}").json()
        assert [one["deliverable_id"] for one in first["deliverables"] + second["deliverables"]] == ids and second["next"] is None
        deliverables.end(serving.db, ids[0], NotAVideo("The file is text."), 5)
        failed = client.get(f"/deliverables/{ids[0]}").json()
        assert failed["failure"] == {"code": "not_a_video", "message": "The file is text.", "remedy": NotAVideo.default_remedy}
        again = client.post(f"/videos/{video}/reframes", json={"ratio": "5:9", "form": "ae"})
        assert (again.status_code, again.json()["status"], again.json()["failure"]) == (202, "wanted", None)


def test_one_whose_object_is_gone_says_so(serving: Serving, video: str) -> None:
    with serving.client(serving.key(ONE)) as client:
        one = client.post(f"/videos/{video}/reframes", json={"ratio": "16:9", "form": "ae"}).json()
        make(serving, one["deliverable_id"])
        kept = deliverables.find(serving.db, one["deliverable_id"])
        assert kept is not None and kept.object_key is not None and client.get(one["file"]).is_success
        serving.storage.store.delete(kept.object_key)
        assert client.get(one["file"]).json()["code"] == "not_made"
        assert client.get(f"/deliverables/{kept.id}").json()["status"] == "evicted"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server with a small quota, whose Dagster is away."""
    for url in fresh_database(embedded_server):
        home = tmp_path_factory.mktemp("alone")
        variables = {"REFRAMER_API_JOBS_AT_ONCE": "2", "REFRAMER_DAGSTER_URL": f"http://127.0.0.1:{free_port()}"}
        with open_storage(Settings(home=home, database_url=url)) as storage, Serving(storage, **variables) as serving:
            yield serving


def test_a_key_has_so_many_at_once_and_the_sensor_gets_what_dagster_did_not(alone: Serving) -> None:
    video_id, _ = made_video(alone.storage, 3)
    claim(alone.db, ONE, video_id, "clip.mp4")
    with alone.client(alone.key(ONE)) as client:
        two = [client.post(f"/videos/{video_id}/reframes", json={"ratio": f"{n}:5", "form": "ae"}) for n in (5, 4)]
        assert [one.status_code for one in two] == [202, 202]
        third = client.post(f"/videos/{video_id}/reframes", json={"ratio": "3:5", "form": "ae"})
        assert (third.status_code, third.json()["code"]) == (429, "quota_used_up") and "Retry-After" in third.headers
        assert client.post(f"/videos/{video_id}/reframes", json={"ratio": "5:5", "form": "ae"}).status_code == 202  # the same once more
        alone.until(lambda: len(deliverables.due(alone.db, 9)) == 2, 120)
        assert "could not be asked for at once" in Path(alone.log).read_text()
        make(alone, two[0].json()["deliverable_id"])
        assert client.post(f"/videos/{video_id}/reframes", json={"ratio": "3:5", "form": "ae"}).status_code == 202
    assert json.loads(two[0].text)["status"] == "wanted"

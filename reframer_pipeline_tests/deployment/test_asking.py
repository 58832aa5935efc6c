"""A job's run is asked for at once by a running deployment's web server; where that is away, the sensor asks."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import dagster as dg
import httpx2
import pytest

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.failures import NobodyToRun
from reframer_pipeline.orchestration.requests.asking import ask, ask_again
from reframer_pipeline.orchestration.tags import PARTITION_TAG, PARTITIONS, REQUEST_TAG, SENSOR_TAG
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running.dagster_home import open_instance
from reframer_pipeline.users import keys, people
from reframer_pipeline.versions import video_id_of
from reframer_pipeline_tests.deployment.deployment import Deployment
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.servers import free_port
from reframer_pipeline_tests.submitted import person, submitted

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One of their own: they change what the tests of others count."""
    with Deployment(tmp_path_factory.mktemp("asking")) as running:
        yield running


def runs(deployment: Deployment, video_id: str) -> list[dg.DagsterRun]:
    with open_instance(deployment.settings) as instance:
        return list(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id})))


def test_a_run_is_in_the_queue_at_once_and_asked_for_once(deployment: Deployment) -> None:
    storage = storage_of(deployment.settings)
    ask(deployment.url, storage.db, submitted(storage, person(storage.db), 100).video_id)  # code location and GraphQL have answered once
    job = submitted(storage, person(storage.db), 101)
    began = time.monotonic()
    run_id = ask(deployment.url, storage.db, job.video_id)
    took = time.monotonic() - began
    (run,) = runs(deployment, job.video_id)
    assert run.run_id == run_id and took < 15
    assert run.tags[SENSOR_TAG] == "upload_sensor" and run.tags["reframer/filename"] == "clip.mp4" and run.tags["dagster/priority"] == "5"
    assert ask(deployment.url, storage.db, job.video_id) is None
    deployment.wait(
        "the end", lambda: [row["status"] for row in deployment.rows("processing_jobs")] == ["failed"] * 2
    )  # it is no real video
    storage.db.execute("UPDATE uploads SET created_at = created_at - interval '1 minute'")  # the sensor might ask now
    storage.db.execute("DELETE FROM processing_jobs")
    storage.db.execute("UPDATE videos SET status = 'pending', failure_code = NULL, failure_message = NULL")
    (deployment.uploads / "other.mp4").write_bytes(video_bytes(102))
    other = video_id_of(hashlib.sha256(video_bytes(102)).hexdigest())
    deployment.wait("a later look of the sensor", lambda: runs(deployment, other))
    assert len([run for run in runs(deployment, job.video_id) if SENSOR_TAG in run.tags]) == 1  # the backfill may have asked since
    assert ask(deployment.url, storage.db, job.video_id) is None
    print(f"asked within {took:.2f} s")


def test_who_ask_at_the_same_time_ask_for_one_run(deployment: Deployment) -> None:
    """Servers, and the sensor, which looks whenever it does."""
    storage = storage_of(deployment.settings)
    for seed in range(104, 108):
        job, together = submitted(storage, person(storage.db), seed), Barrier(4)

        def asked(_: int, video_id: str = job.video_id, together: Barrier = together) -> str | None:
            together.wait()
            return ask(deployment.url, storage.db, video_id)

        with ThreadPoolExecutor(4) as servers:
            assert len([run_id for run_id in servers.map(asked, range(4)) if run_id is not None]) <= 1
        deployment.wait("its run", lambda video_id=job.video_id: runs(deployment, video_id))
        assert len([run for run in runs(deployment, job.video_id) if SENSOR_TAG in run.tags]) == 1


def test_a_video_that_failed_is_asked_for_once_more(deployment: Deployment) -> None:
    storage = storage_of(deployment.settings)
    job = submitted(storage, person(storage.db), 105)
    first = ask(deployment.url, storage.db, job.video_id)
    over = f"SELECT 1 AS one FROM processing_jobs WHERE video_id = '{job.video_id}' AND status = 'failed' HAVING count(*) = "
    deployment.wait("the end", lambda: storage.db.fetch(over + "1"))
    again = ask_again(deployment.url, storage.db, job.video_id, ("metadata", "frames"), "mine-2")
    assert again not in (None, first)
    asked = next(run for run in runs(deployment, job.video_id) if run.run_id == again)
    assert asked.asset_selection == {dg.AssetKey("metadata"), dg.AssetKey("frames")} and asked.tags[REQUEST_TAG] == "mine-2"
    assert ask_again(deployment.url, storage.db, job.video_id, ()) is None or storage.db.fetch(over + "2")
    deployment.wait("the end", lambda: storage.db.fetch(over + "2"))
    with pytest.raises(NobodyToRun):
        ask_again(f"http://127.0.0.1:{free_port()}", storage.db, job.video_id, ())


def test_without_a_web_server_the_sensor_asks(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    storage = storage_of(deployment.settings)
    job = submitted(storage, person(storage.db), 103)
    with caplog.at_level(logging.WARNING):
        assert ask(f"http://127.0.0.1:{free_port()}", storage.db, job.video_id) is None
        assert ask(None, storage.db, job.video_id) is None
    assert "the upload sensor will" in caplog.text
    deployment.wait("the sensor's request", lambda: runs(deployment, job.video_id))
    (run,) = runs(deployment, job.video_id)
    assert run.tags[SENSOR_TAG] == "upload_sensor"


def test_a_job_from_its_upload_to_its_deletion(deployment: Deployment, tmp_path: Path) -> None:
    """What somebody at this machine does over HTTP, and nothing else touched."""
    storage, clip = storage_of(deployment.settings), tmp_path / "clip.mp4"
    write_clip(make_clip(3_500_003, n_frames=25, shots=1), clip)
    secret = keys.add(storage.db, people.add(storage.db, "ann@example.org"), "test", ("read", "write"))
    with httpx2.Client(base_url=deployment.api_url, headers={"X-API-Key": secret}, timeout=90) as client, clip.open("rb") as file:
        made = client.post("/v1/jobs", files={"file": ("clip.mp4", file)}, headers={"X-Request-ID": "mine-1"})
        began = time.monotonic()
        assert made.status_code == 202
        video_id = made.json()["video_id"]
        deployment.wait("the queue", lambda: runs(deployment, video_id), every_s=0.05)
        assert time.monotonic() - began < 15 and runs(deployment, video_id)[0].tags[REQUEST_TAG] == "mine-1"
        deployment.wait("the end", lambda: client.get(made.headers["location"], params={"wait": 30}).json()["status"] == "completed")
        with open_instance(deployment.settings) as instance:
            said = [event.message for event in instance.all_logs(runs(deployment, video_id)[0].run_id) if "mine-1" in event.message]
        assert len(said) == 6 and "metadata of clip.mp4" in said[0]
        assert client.delete(f"/v1/videos/{video_id}").status_code == 204
        assert client.get(made.headers["location"]).status_code == client.delete(f"/v1/videos/{video_id}").status_code == 404
    assert not [key for key in storage.store.list("results") if video_id in key]
    deployment.wait("Dagster's forgetting", lambda: not runs(deployment, video_id))
    with open_instance(deployment.settings) as instance:
        assert video_id not in instance.get_dynamic_partitions(PARTITIONS)

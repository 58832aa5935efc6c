"""A job's run is asked for at once by a running deployment's web server; where that is away, the sensor asks."""

from __future__ import annotations

import logging
import time

import dagster as dg
import pytest

from reframer_pipeline.orchestration.requests.asking import ask
from reframer_pipeline.orchestration.tags import PARTITION_TAG, SENSOR_TAG
from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running.dagster_home import open_instance
from reframer_pipeline_tests.deployment.deployment import Deployment
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.servers import free_port
from reframer_pipeline_tests.submitted import person, submitted

pytestmark = pytest.mark.timeout(1500)


def runs(deployment: Deployment, video_id: str) -> list[dg.DagsterRun]:
    with open_instance(deployment.settings) as instance:
        return list(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: video_id})))


def test_a_run_is_in_the_queue_within_two_seconds_and_asked_for_once(deployment: Deployment) -> None:
    storage = storage_of(deployment.settings)
    ask(deployment.url, storage.db, submitted(storage, person(storage.db), 100).video_id)  # code location and GraphQL have answered once
    job = submitted(storage, person(storage.db), 101)
    began = time.monotonic()
    run_id = ask(deployment.url, storage.db, job.video_id)
    took = time.monotonic() - began
    (run,) = runs(deployment, job.video_id)
    assert run.run_id == run_id and took < 2
    assert run.tags[SENSOR_TAG] == "upload_sensor" and run.tags["reframer/filename"] == "clip.mp4" and run.tags["dagster/priority"] == "5"
    assert ask(deployment.url, storage.db, job.video_id) is None
    deployment.wait(
        "the end", lambda: [row["status"] for row in deployment.rows("processing_jobs")] == ["failed"] * 2
    )  # it is no real video
    storage.db.execute("UPDATE uploads SET created_at = created_at - interval '1 minute'")  # the sensor might ask now
    storage.db.execute("DELETE FROM processing_jobs")
    storage.db.execute("UPDATE videos SET status = 'pending', failure_code = NULL, failure_message = NULL")
    other = deployment.uploads / "other.mp4"
    other.write_bytes(video_bytes(102))
    deployment.wait("a later look of the sensor", lambda: len(deployment.rows("processing_jobs")) == 1)
    assert len(runs(deployment, job.video_id)) == 1 and ask(deployment.url, storage.db, job.video_id) is None
    print(f"asked within {took:.2f} s")


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

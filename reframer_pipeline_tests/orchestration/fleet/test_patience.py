"""A broker that loses patience with a worker that lives: its `consumer_timeout` is over before what it handed out has been computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from reframer_pipeline.running import embedded_broker
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import workers
from reframer_pipeline_tests.orchestration.fleet.fleet import Fleet, RunningBroker, fleet_over, running_broker
from reframer_pipeline_tests.orchestration.fleet.test_fleet import drawn
from reframer_pipeline_tests.servers import short_folder

pytestmark = [
    pytest.mark.models,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(embedded_broker.program() is None, reason="RabbitMQ is not installed: apt-get install rabbitmq-server"),
]
SHORT = "{consumer_timeout, 3000}, {channel_tick_interval, 1000}"


@pytest.fixture(scope="module")
def impatient() -> Iterator[tuple[RunningBroker, Path]]:
    """Three seconds in place of half an hour; and its log."""
    home = short_folder("broker")
    with running_broker(home, SHORT) as made:
        yield made, home / "rabbitmq" / "log"


def refusals(log: Path) -> int:
    return sum(path.read_text(errors="replace").count("Timeout value used: 3000 ms") for path in log.glob("*.log"))


@pytest.mark.parametrize("executor", ["in_process", "celery"])
def test_what_is_computed_is_handed_out_again_and_not_computed_twice(
    impatient: tuple[RunningBroker, Path], tmp_path: Path, executor: str
) -> None:
    broker, log = impatient
    queues = ["gpu", "gpu", "runs", "cpu"] if executor == "celery" else ["runs", "runs"]
    with fleet_over(short_folder("fleet"), broker.url, executor=executor) as fleet:
        for queue in queues:
            fleet.start(1, "--queue", queue)
        video_id, before = fleet.ingest(drawn(tmp_path, 3_850_001, frames=600)), refusals(log)
        run_id = fleet.launch(video_id)
        assert fleet.ended(run_id) is dg.DagsterRunStatus.SUCCESS
        assert refusals(log) > before  # else this shows nothing
        assert fleet.made(video_id) == dict.fromkeys(NAMES, run_id)
        ends = [one.step_key for one in fleet.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)]
        assert sorted(ends) == sorted(NAMES)
        fleet.wait(lambda: still_there(fleet, len(queues)))
        again = fleet.launch(video_id, "scenes")
        assert fleet.ended(again) is dg.DagsterRunStatus.SUCCESS
        assert fleet.leases() == []


def still_there(fleet: Fleet, count: int) -> bool:
    """Whether all workers are ready, those included that began anew."""
    return [row["state"] for row in workers.living(fleet.storage.db)].count("ready") >= count

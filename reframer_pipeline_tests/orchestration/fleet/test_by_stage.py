"""Runs whose stages go to workers of their kind, on a real RabbitMQ: where each is computed, and what becomes of one whose worker goes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import MatteWish
from reframer_pipeline.orchestration.fleet.stages import key_of
from reframer_pipeline.orchestration.tags import ASSET_OF, WAITS_TAG
from reframer_pipeline.running import embedded_broker
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import workers
from reframer_pipeline_tests.orchestration.fleet.fleet import Fleet, RunningBroker, Worker, fleet_over, running_broker
from reframer_pipeline_tests.orchestration.fleet.test_fleet import drawn
from reframer_pipeline_tests.servers import administer, embedded_suspended, short_folder, tell_embedded

pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(900),
    pytest.mark.skipif(embedded_broker.program() is None, reason="RabbitMQ is not installed: apt-get install rabbitmq-server"),
]
GPUS = ("0", "1")
AWAY_S = 30.0
LATE_S = 4  # that an event becomes visible late
SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    with running_broker(short_folder("broker")) as made:
        yield made


@pytest.fixture(scope="module")
def fleet(broker: RunningBroker) -> Iterator[Fleet]:
    with fleet_over(short_folder("fleet"), broker.url, executor="celery") as made:
        yield made


@pytest.fixture
def all_kinds(fleet: Fleet) -> Fleet:
    """The fleet with a worker for runs, one for the stages of a CPU, and two for those that want a GPU, each with one of its own."""
    living = {row["name"].rsplit(":", 1)[1]: row["queue"] for row in workers.living(fleet.storage.db)}
    fleet.workers = [one for one in fleet.workers if one.process.poll() is None]
    there = [living.get(str(one.child)) for one in fleet.workers]
    for queue in ("runs", "cpu"):
        if queue not in there:
            fleet.start(1, "--queue", queue)
    for number in GPUS[there.count("gpu") :]:
        fleet.start(1, "--queue", "gpu", CUDA_VISIBLE_DEVICES=number)
    fleet.wait(lambda: [row["state"] for row in workers.living(fleet.storage.db)].count("ready") >= 4)
    return fleet


@pytest.fixture
def long(fleet: Fleet, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A video whose masks take some seconds, another one for each test."""
    return fleet.ingest(drawn(tmp_path, 3_830_000 + sum(map(ord, request.node.name)), frames=300))


def at(fleet: Fleet, run_id: str, stage: str) -> Worker:
    """Who computes a stage."""
    return fleet.worker_at(key_of(run_id, stage, 0))


def words(fleet: Fleet, run_id: str) -> str:
    return "\n".join(entry.message or "" for entry in fleet.instance.all_logs(run_id))


def whole(fleet: Fleet, video_id: str, *run_ids: str) -> None:
    """It is completed, each result was made once, by these runs, and nobody holds anything any more."""
    made = fleet.made(video_id)
    assert set(made) == set(NAMES) and set(made.values()) == set(run_ids)
    (video,) = fleet.rows("SELECT status FROM videos WHERE id = %s", video_id)
    assert video["status"] == "completed" and not fleet.leases()
    for run_id in run_ids:
        ends = [entry.step_key for entry in fleet.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)]
        assert len(ends) == len(set(ends))


def test_a_stage_waits_for_a_worker_of_its_kind_and_says_so(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start(1, "--queue", "runs")
    fleet.start(1, "--queue", "cpu")
    video_id = fleet.ingest(drawn(tmp_path, 3_830_001, frames=15))
    run_id = fleet.launch(video_id)
    fleet.wait(lambda: fleet.run(run_id).tags.get(WAITS_TAG) == "no gpu worker")
    assert set(fleet.made(video_id)) == {"metadata", "frames"}
    assert "No worker of the queue gpu lives, so detections waits." in words(fleet, run_id)
    (lease,) = fleet.leases()
    fleet.wait(lambda: fleet.leases()[0]["heartbeat_at"] > lease["heartbeat_at"])  # it waits with the lease in its hands
    fleet.start(1, "--queue", "gpu", CUDA_VISIBLE_DEVICES=GPUS[0])
    assert fleet.ended(run_id) is SUCCESS
    whole(fleet, video_id, run_id)


def test_each_stage_is_computed_by_a_worker_of_its_kind(all_kinds: Fleet, tmp_path: Path) -> None:
    seen, processes = set[str](), {one.child for one in all_kinds.workers}
    for seed in (3_830_002, 3_830_003, 3_830_004):
        video_id = all_kinds.ingest(drawn(tmp_path, seed, frames=15))
        run_id = all_kinds.launch(video_id)
        assert all_kinds.ended(run_id) is SUCCESS
        whole(all_kinds, video_id, run_id)
        rows = {row["name"]: row for row in workers.living(all_kinds.storage.db)}
        for stage in NAMES:
            (said,) = (
                line for line in words(all_kinds, run_id).splitlines() if line.startswith("Worker ") and f"computes {stage} on" in line
            )
            queue = rows[said.split()[1]]["queue"]
            assert queue == ("gpu" if stage in ("detections", "masks") else "cpu")
            gpus = said.removesuffix(").").rsplit(" ", 1)[1]
            assert gpus in GPUS if queue == "gpu" else gpus == "all"
            if queue == "gpu":
                seen.add(gpus)
    assert seen == set(GPUS)  # RabbitMQ hands out in turn
    assert {one.child for one in all_kinds.workers} == processes


def test_the_stage_of_a_killed_worker_is_computed_again_at_once_in_the_same_run(all_kinds: Fleet, long: str) -> None:
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    at(all_kinds, run_id, "masks").end()
    assert all_kinds.ended(run_id) is SUCCESS
    whole(all_kinds, long, run_id)


@pytest.mark.long
def test_one_that_was_suspended_loses_its_stage_and_says_nothing_when_it_is_back(all_kinds: Fleet, long: str) -> None:
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    suspended = at(all_kinds, run_id, "masks")
    child = suspended.child
    suspended.send(signal.SIGSTOP)
    key = key_of(run_id, "masks", 0)
    (first,) = all_kinds.rows("SELECT worker_id FROM worker_runs WHERE run_id = %s", key)
    all_kinds.wait(lambda: all_kinds.rows("SELECT worker_id FROM worker_runs WHERE run_id = %s", key) != [first])
    suspended.send(signal.SIGCONT)
    assert all_kinds.ended(run_id) is SUCCESS
    whole(all_kinds, long, run_id)
    all_kinds.wait(lambda: not suspended.has(child))  # it has another process now


@pytest.mark.long
@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_is_told_to_end_finishes_its_stage_or_hands_it_over_and_the_run_goes_on(
    all_kinds: Fleet, long: str, times: int
) -> None:
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    told = at(all_kinds, run_id, "masks")
    for _ in range(times):
        told.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    assert all_kinds.ended(run_id) is SUCCESS
    whole(all_kinds, long, run_id)
    assert told.process.wait(240) == 0 if times == 1 else told.process.wait(240) in (0, 1)
    tries = words(all_kinds, run_id).count("computes masks on")
    assert tries == times


@pytest.mark.long
def test_a_cancelled_run_ends_where_its_stage_is_computed_and_both_processes_stay_warm(all_kinds: Fleet, long: str) -> None:
    processes = {one.child for one in all_kinds.workers}
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    assert all_kinds.instance.run_launcher.terminate(run_id)
    assert all_kinds.ended(run_id) is CANCELED
    all_kinds.wait(lambda: {row["state"] for row in workers.living(all_kinds.storage.db)} == {"ready"})
    assert {one.child for one in all_kinds.workers} == processes
    assert not all_kinds.leases() and "masks" not in all_kinds.made(long)
    again = all_kinds.launch(long, "masks", "trajectories", "scenes")
    assert all_kinds.ended(again) is SUCCESS
    whole(all_kinds, long, run_id, again)


@pytest.mark.long
def test_the_run_of_a_killed_worker_ends_and_so_does_its_stage(all_kinds: Fleet, long: str) -> None:
    all_kinds.start(1, "--queue", "runs")
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    all_kinds.worker_at(run_id).end()
    assert all_kinds.ended(run_id) is FAILURE
    all_kinds.wait(lambda: {row["state"] for row in workers.living(all_kinds.storage.db)} == {"ready"})
    assert "masks" not in all_kinds.made(long) and not all_kinds.leases()
    again = all_kinds.launch(long, "masks", "trajectories", "scenes")
    assert all_kinds.ended(again) is SUCCESS
    whole(all_kinds, long, run_id, again)


@pytest.mark.long
def test_a_run_worker_that_is_told_to_end_waits_for_the_stage_and_leaves_the_rest(all_kinds: Fleet, long: str) -> None:
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    told = all_kinds.worker_at(run_id)
    told.process.send_signal(signal.SIGTERM)
    assert all_kinds.ended(run_id) is FAILURE and told.process.wait(240) == 0
    assert set(all_kinds.made(long)) == {"metadata", "frames", "detections", "masks"}
    assert all_kinds.run(run_id).tags["dagster/will_retry"] == "true"
    (job,) = all_kinds.rows("SELECT failure_code FROM processing_jobs WHERE run_id = %s", run_id)
    assert job["failure_code"] == "interrupted" and not all_kinds.leases()


@pytest.mark.long
def test_a_stage_that_nobody_can_take_over_waits_and_holds_nobody_up_who_is_told_to_end(all_kinds: Fleet, long: str) -> None:
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    at_it = at(all_kinds, run_id, "masks")
    for one in [one for one in all_kinds.workers if all_kinds.row_of(one).get("queue") == "gpu" and one is not at_it]:
        one.end()
    at_it.end()
    all_kinds.wait(lambda: all_kinds.run(run_id).tags.get(WAITS_TAG) == "no gpu worker")
    assert not all_kinds.run(run_id).is_finished
    told = all_kinds.worker_at(run_id)
    told.process.send_signal(signal.SIGTERM)
    assert all_kinds.ended(run_id) is FAILURE and told.process.wait(240) == 0
    assert all_kinds.run(run_id).tags["dagster/will_retry"] == "true" and not all_kinds.leases()
    (job,) = all_kinds.rows("SELECT failure_code FROM processing_jobs WHERE run_id = %s", run_id)
    assert job["failure_code"] == "interrupted"


@pytest.mark.long
def test_broker_and_database_that_are_away_together_lose_nothing(all_kinds: Fleet, broker: RunningBroker, long: str) -> None:
    run_id = all_kinds.launch(long)
    all_kinds.at(run_id, "masks")
    broker.kill()
    with embedded_suspended(all_kinds.settings) as done:
        time.sleep(AWAY_S)
    assert done
    broker.start()
    assert all_kinds.ended(run_id) is SUCCESS
    whole(all_kinds, long, run_id)
    all_kinds.wait(lambda: [row["state"] for row in workers.living(all_kinds.storage.db)].count("ready") >= 4)


@pytest.mark.long
def test_a_database_that_dies_between_two_stages_is_no_fault_of_the_video(all_kinds: Fleet, long: str) -> None:
    for one in [one for one in all_kinds.workers if all_kinds.row_of(one).get("queue") == "gpu"]:
        one.end()
    run_id = all_kinds.launch(long)
    all_kinds.wait(lambda: all_kinds.run(run_id).tags.get(WAITS_TAG) == "no gpu worker")
    assert tell_embedded(all_kinds.settings, signal.SIGKILL)
    time.sleep(2)
    all_kinds.start(1, "--queue", "gpu", CUDA_VISIBLE_DEVICES=GPUS[0])
    runs = [run_id]
    if all_kinds.ended(run_id) is not SUCCESS:
        (job,) = all_kinds.rows("SELECT failure_code FROM processing_jobs WHERE run_id = %s", run_id)
        assert job["failure_code"] in ("database_unavailable", "dagster_failed", "interrupted"), job
        assert all_kinds.run(run_id).tags["dagster/will_retry"] == "true" and not all_kinds.leases()
        made = all_kinds.made(long)
        runs.append(all_kinds.launch(long, *(stage for stage in NAMES if stage not in made)))
        assert all_kinds.ended(runs[-1]) is SUCCESS
    whole(all_kinds, long, *runs)


@pytest.mark.long
def test_an_end_that_becomes_visible_after_a_later_event_is_heard(all_kinds: Fleet, tmp_path: Path) -> None:
    """Ids of events are given out before their transactions end: who reads on from the last id it saw overlooks what comes in below it."""
    video_id = all_kinds.ingest(drawn(tmp_path, 3_830_005, frames=15))
    url = embedded.server(all_kinds.settings).dagster_url.replace("+psycopg2", "")
    late = f"CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep({LATE_S}); RETURN NULL; END'"
    administer(url, late, """CREATE TRIGGER late AFTER INSERT ON event_logs FOR EACH ROW
        WHEN (NEW.dagster_event_type = 'STEP_SUCCESS' AND NEW.step_key = 'frames') EXECUTE FUNCTION late()""")  # fmt: skip
    try:
        run_id = all_kinds.launch(video_id)
        with psycopg.connect(url, autocommit=True) as looking:
            asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            all_kinds.wait(lambda: looking.execute(asleep).fetchone())
            all_kinds.instance.report_engine_event("Written later, seen sooner.", all_kinds.run(run_id))
            assert looking.execute(asleep).fetchone()
        assert all_kinds.ended(run_id) is SUCCESS
        whole(all_kinds, video_id, run_id)
        events = [(one.message or "", one.dagster_event_type, one.step_key) for one in all_kinds.instance.all_logs(run_id)]
        ends = [place for place, (_, kind, step) in enumerate(events) if (kind, step) == (dg.DagsterEventType.STEP_SUCCESS, "frames")]
        (later,) = (place for place, (message, _, _) in enumerate(events) if message == "Written later, seen sooner.")
        assert len(ends) == 1 and ends[0] < later  # so it was given its id first
    finally:
        administer(url, "DROP TRIGGER late ON event_logs", "DROP FUNCTION late")


@pytest.mark.long
def test_the_matte_of_a_killed_worker_is_made_again_in_the_same_run(all_kinds: Fleet, long: str) -> None:
    assert all_kinds.ended(all_kinds.launch(long)) is SUCCESS
    one = keeping.ask(all_kinds.storage, long, MatteWish(scene=1, form="webm"))
    run_id = all_kinds.launch_deliverable(one)
    stage = ASSET_OF[one.kind]
    key = key_of(run_id, stage, 0)
    all_kinds.wait(lambda: any(row["run_id"] == key for row in workers.living(all_kinds.storage.db)))
    all_kinds.wait(lambda: all_kinds.rows("SELECT 1 FROM deliverables WHERE id = %s AND status = 'making'", one.id))
    at(all_kinds, run_id, stage).end()
    assert all_kinds.ended(run_id) is SUCCESS
    (row,) = all_kinds.rows("SELECT status, run_id FROM deliverables WHERE id = %s", one.id)
    assert row["status"] == "made"
    assert words(all_kinds, run_id).count(f"computes {stage} on") == 2

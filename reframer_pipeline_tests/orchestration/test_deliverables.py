"""Mattes and reframed videos as Dagster assets: made of a computed clip, asked for by the sensor, taken up again; never by themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterExecutionInterruptedError

from reframer_pipeline.database.postgres import Row
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import AnyWish, MatteWish, ReframeWish
from reframer_pipeline.orchestration import deliverables as assets
from reframer_pipeline.orchestration.assets import process_video, register_partitions
from reframer_pipeline.orchestration.requests.deliverable_runs import run_key
from reframer_pipeline.orchestration.requests.schedules import backfill
from reframer_pipeline.orchestration.stage.runs import about, token_of, video_of
from reframer_pipeline.orchestration.tags import ASSET_OF, FAILURE_TAG, JOB_OF, PARTITION_TAG
from reframer_pipeline.orchestration.upkeep.reconcile import reconcile
from reframer_pipeline.planning.planner import Planner
from reframer_pipeline.results import deliverables
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.editing.kept import OTHER, due, now, silent
from reframer_pipeline_tests.orchestration.requests.daemon import Daemon

pytestmark = pytest.mark.models
PATH = ReframeWish(ratio="1:1", form="json")
MATTE = MatteWish(scene=1, form="webm")


@pytest.fixture
def daemon(shared: Storage, done: VideoOutcome) -> Iterator[Daemon]:
    """A stand-in for Dagster's, over the computed clip; nothing is asked for before and after."""
    with dagster_home.open_instance(shared.settings) as instance:
        register_partitions(instance, shared.db)
        shared.db.execute("DELETE FROM deliverables")
        yield Daemon(shared.settings, instance, sensor="deliverable_sensor")
        shared.db.execute("DELETE FROM deliverables")


def ask(shared: Storage, done: VideoOutcome, wish: AnyWish = PATH) -> Deliverable:
    return keeping.ask(shared, str(done.video_id), wish)


def materialize(daemon: Daemon, kind: str, video: str, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    """As somebody does in the UI."""
    job = daemon.repository.get_job(JOB_OF[kind])
    told = {"ops": {ASSET_OF[kind]: {"config": config}}} if config else None
    return job.execute_in_process(told, daemon.instance, partition_key=video, raise_on_error=False)


def shown(result: dg.ExecuteInProcessResult, kind: str) -> dict[str, Any]:
    (event,) = [one for one in result.get_asset_materialization_events() if one.asset_key == dg.AssetKey(ASSET_OF[kind])]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def stands(shared: Storage, done: VideoOutcome) -> tuple[Row | None, list[Row]]:
    """The video's status and jobs."""
    video = shared.db.fetch_one("SELECT status, updated_at FROM videos WHERE id = %s", (done.video_id,))
    return video, shared.db.fetch("SELECT run_id, status FROM processing_jobs WHERE video_id = %s ORDER BY 1", (done.video_id,))


def test_a_matte_by_the_sensor(daemon: Daemon, shared: Storage, done: VideoOutcome, tmp_path: Path) -> None:
    one, before = ask(shared, done, MATTE), stands(shared, done)
    (request,) = daemon.tick()
    assert (request.job_name, request.partition_key, request.run_key) == ("make_matte", done.video_id, run_key(one))
    (result,) = daemon.run([request])
    assert result.success
    made, said = now(shared, one), shown(result, "matte")
    assert (made.status, made.run_id, made.token) == ("made", result.run_id, token_of(result.run_id))
    assert made.object_key is not None and said["bytes"] == made.object_bytes and said["made"] == 1
    assert Path(said["file"]) == shared.store.local_path(made.object_key)
    shared.store.get(made.object_key, tmp_path / "matte.webm")
    probe = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of", "csv=p=0"]
    probed = subprocess.run([*probe, tmp_path / "matte.webm"], capture_output=True, text=True, check=True).stdout.split()
    order = made.ordered
    assert probed == [f"vp9,{order['stop'] - order['start']}"]
    assert daemon.tick() == [] and stands(shared, done) == before
    (run,) = daemon.instance.get_runs(dg.RunsFilter(run_ids=[result.run_id]))
    assert video_of(run) is None and about(run) == done.video_id


def test_without_a_config_what_waits_is_made_and_nothing_else(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    video = str(done.video_id)
    nothing = materialize(daemon, "reframe", video)
    assert nothing.success and not nothing.get_asset_materialization_events()
    both = [ask(shared, done), ask(shared, done, ReframeWish(ratio="4:5", form="ae"))]
    ask(shared, done, MATTE)
    result = materialize(daemon, "reframe", video)
    assert result.success and shown(result, "reframe")["made"] == 2 and [now(shared, one).status for one in both] == ["made", "made"]
    assert [row["status"] for row in shared.db.fetch("SELECT status FROM deliverables WHERE kind = 'matte'")] == ["wanted"]


def test_a_wish_in_the_ui(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    result = materialize(daemon, "reframe", str(done.video_id), {"wish": {"ratio": "9:16", "form": "sendcmd"}})
    assert result.success and shown(result, "reframe")["made"] == 1
    assert ask(shared, done, ReframeWish(ratio="9:16", form="sendcmd")).status == "made"
    refused = materialize(daemon, "matte", str(done.video_id), {"wish": {"tracks": ["obj_999"]}})
    assert not refused.success
    (run,) = daemon.instance.get_runs(dg.RunsFilter(run_ids=[refused.run_id]))
    assert run.tags[FAILURE_TAG] == "nothing_there"


def test_a_failed_run_leaves_the_reason_and_the_video_as_it_was(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    one, before = ask(shared, done, MATTE), stands(shared, done)
    shared.db.execute("UPDATE deliverables SET ordered = jsonb_set(ordered, '{weights}', '\"demo:other\"')")
    (result,) = daemon.run(daemon.tick())
    failed = now(shared, one)
    assert not result.success and (failed.status, failed.failure_code) == ("failed", "weights_changed")
    reconcile(daemon.instance, shared)
    assert stands(shared, done) == before and daemon.tick() == []
    again = ask(shared, done, MATTE)
    (request,) = daemon.tick()
    assert again.status == "wanted" and request.run_key == run_key(again) != run_key(one)


def test_a_run_that_died_is_taken_up_by_another(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    one = ask(shared, done)
    (request,) = daemon.tick()
    run = daemon.instance.create_run_for_job(  # it began, and its process is killed
        daemon.repository.get_job(JOB_OF["reframe"]),
        run_config=dict(request.run_config),
        tags={**request.tags, PARTITION_TAG: str(done.video_id), "dagster/run_key": str(request.run_key)},
        status=dg.DagsterRunStatus.STARTED,
    )
    deliverables.claim(shared.db, one.id, OTHER, run.run_id)
    assert daemon.tick() == []
    silent(shared, one)
    assert daemon.tick() == [] and now(shared, one).status == "making"  # Dagster has not noticed yet
    daemon.instance.report_run_failed(run, "its process is gone")
    assert daemon.tick() == []  # the end is written down, and a pause begins
    waits = now(shared, one)
    assert (waits.status, waits.attempts) == ("wanted", 1)
    due(shared, one)
    (again,) = daemon.tick()
    assert again.run_key != request.run_key
    (result,) = daemon.run([again])
    assert result.success and now(shared, one).status == "made"


def test_a_run_that_is_interrupted_leaves_it_to_the_next(
    daemon: Daemon, shared: Storage, done: VideoOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ask(shared, done, ReframeWish(ratio="4:5"))
    (request,) = daemon.tick()

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt, DagsterExecutionInterruptedError):
        patch.setattr(assets, "raise_if_interrupted", interrupted)
        daemon.run([request])
    waits = now(shared, one)
    assert (waits.status, waits.attempts, waits.failure_code) == ("wanted", 1, None) and daemon.tick() == []
    due(shared, one)
    (again,) = daemon.tick()
    (result,) = daemon.run([again])
    assert result.success and now(shared, one).status == "made"


def test_a_run_that_was_cancelled_in_the_queue_is_not_asked_for_at_once(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    one = ask(shared, done)
    (request,) = daemon.tick()
    run = daemon.instance.create_run_for_job(
        daemon.repository.get_job(JOB_OF["reframe"]), tags={"dagster/run_key": str(request.run_key)}, status=dg.DagsterRunStatus.NOT_STARTED
    )
    assert daemon.tick() == []
    daemon.instance.report_run_canceled(run)
    assert daemon.tick() == [] and (now(shared, one).status, now(shared, one).attempts) == ("wanted", 1)


def test_somebody_else_is_at_it(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    one = ask(shared, done)
    deliverables.claim(shared.db, one.id, OTHER)
    result = materialize(daemon, "reframe", str(done.video_id), {"deliverable": one.id})
    assert not result.success and (now(shared, one).status, now(shared, one).token) == ("making", OTHER)
    gone = materialize(daemon, "reframe", str(done.video_id), {"deliverable": OTHER})
    assert not gone.success


def test_they_are_no_part_of_the_six(daemon: Daemon, shared: Storage, done: VideoOutcome) -> None:
    ask(shared, done), ask(shared, done, MATTE)
    job = build_definitions(shared.settings).resolve_job_def(process_video().name)
    assert {key.path[-1] for key in job.asset_layer.executable_asset_keys} == set(NAMES)
    (plan,) = Planner.of(shared, shared.settings).plans([str(done.video_id)])
    assert not plan.to_compute
    assert all(one.partition_key != done.video_id for one in Daemon(shared.settings, daemon.instance).tick())  # the upload sensor
    context = dg.build_schedule_context(daemon.instance, resources={"storage": shared})
    requested = backfill(context)
    assert isinstance(requested, dg.SkipReason) or all(one.partition_key != done.video_id for one in requested)

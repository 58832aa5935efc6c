"""Dagster's storage on connections that are kept: few, alive, never another process's, and with nothing lost of what Dagster stores."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import DagsterPostgresException

from reframer_pipeline.database import embedded
from reframer_pipeline.definitions import build_definitions
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.orchestration.assets import VIDEOS
from reframer_pipeline.orchestration.dagster_internals import StageCheck
from reframer_pipeline.orchestration.dagster_internals.storage import PATIENCE, PooledEventLogStorage, PooledRunStorage, PooledStorage
from reframer_pipeline.orchestration.tags import PARTITION_TAG, PROCESS_VIDEO
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.materialize import QUIET
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import STAGES
from reframer_pipeline_tests.computed import add
from reframer_pipeline_tests.servers import Server

SET = VIDEOS.name or ""
BEFORE = """
storage:
  postgres:
    postgres_url:
      env: REFRAMER_DAGSTER_DATABASE_URL
telemetry:
  enabled: false
"""


@pytest.fixture
def instance(shared: Storage) -> Iterator[dg.DagsterInstance]:
    with dagster_home.open_instance(shared.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A data folder whose server nobody else needs."""
    settings = Settings(home=tmp_path_factory.mktemp("apart"))
    yield settings
    embedded.stop(settings)


def backend(instance: dg.DagsterInstance) -> int:
    """Which of the server's processes answers."""
    storage = instance.run_storage
    with storage.connect() as connection:  # type: ignore[attr-defined]
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())


def test_one_video_takes_few_connections(shared: Storage, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(make_clip(3_910_001, n_frames=10, shots=1), clip)
    video_id = add(shared, clip)

    def sessions() -> int:
        with psycopg.connect(embedded.server(shared.settings).url("postgres")) as conn:
            (count,) = conn.execute(
                "SELECT sum(sessions)::int FROM pg_stat_database WHERE datname IN ('reframer', 'dagster')"
            ).fetchone() or (0,)
        return int(count)

    before = sessions()
    (outcome,) = run_videos(shared.settings, [video_id])
    assert outcome.status == "completed", outcome.failure_message
    assert sessions() - before <= 10


def test_a_connection_is_kept_and_shared_by_all_openings_of_the_instance(shared: Storage, instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.get_ref().storage, PooledStorage)
    first = backend(instance)
    instance.get_runs_count()
    instance.get_dynamic_partitions(SET)
    with dagster_home.open_instance(shared.settings) as another:
        assert backend(another) == backend(instance) == first


@pytest.mark.slow
def test_a_server_that_was_restarted_is_asked_again(apart: Settings) -> None:
    with dagster_home.open_instance(apart) as instance:
        instance.add_dynamic_partitions(SET, ["one"])
        embedded.stop(apart)
        embedded.server(apart)
        assert instance.get_dynamic_partitions(SET) == ["one"]
        with psycopg.connect(embedded.server(apart).url("postgres"), autocommit=True) as conn:  # as a suspending server does it
            conn.execute("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = 'dagster'")
        instance.add_dynamic_partitions(SET, ["two"])
        assert instance.get_dynamic_partitions(SET) == ["one", "two"]


def test_statements_of_the_web_server_end(apart: Settings) -> None:
    with dagster_home.open_instance(apart) as instance:
        instance.get_runs_count()
        instance.optimize_for_webserver(statement_timeout=12_345, pool_recycle=600, max_overflow=5)
        with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "12345ms"


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_not_waited_for_long(postgres15: Server) -> None:
    """Dagster's own URL says nothing of it; one that does is followed."""
    url = embedded.dagster_url(Settings(dagster_database_url=postgres15.direct.format(database="postgres") + "?keepalives_idle=77"))
    with PooledRunStorage(url, should_autocreate_tables=False).connect() as connection:
        said = connection.connection.dbapi_connection.get_dsn_parameters()  # type: ignore[attr-defined]
    assert {name: said[name] for name in PATIENCE} == {**PATIENCE, "keepalives_idle": "77"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = f"postgresql+psycopg2://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        began = time.monotonic()
        with pytest.raises(DagsterPostgresException):
            PooledRunStorage(mute, should_autocreate_tables=False).get_runs_count()
        assert time.monotonic() - began < 60


def test_a_fork_s_child_has_connections_of_its_own(instance: dg.DagsterInstance) -> None:
    parents = backend(instance)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(backend(instance)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        childs = int(answer.read())
    os.waitpid(child, 0)
    assert childs != parents
    assert backend(instance) == parents  # which the child's end has not closed


def test_what_a_run_intends_is_stored_at_once_and_as_dagster_stores_it(
    shared: Storage, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = build_definitions(shared.settings).resolve_job_def(PROCESS_VIDEO)
    instance.add_dynamic_partitions(SET, ["planned"])

    def planned() -> tuple[list[tuple[str | None, str | None, str]], list[tuple[str, str]]]:
        run = instance.create_run_for_job(job, tags={PARTITION_TAG: "planned"})
        events = [
            (one.get_dagster_event().event_type_value, one.step_key, one.get_dagster_event().message)
            for one in instance.all_logs(run.run_id)
        ]
        keys = [check for asset in job.asset_layer.asset_graph.assets_defs for check in asset.check_keys]
        checks = []
        for key in keys:
            (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            assert record.run_id == run.run_id and record.event is not None
            checks.append((key.to_user_string(), record.status.value))
        assert {record.asset_entry.last_run_id for record in instance.get_asset_records()} >= {run.run_id}
        return events, checks

    at_once = planned()
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    assert at_once == planned()
    count = sum(len(stage.validator.names) for stage in STAGES)
    assert len(at_once[0]) == len(STAGES) + count and len(at_once[1]) == count


def test_what_a_stage_was_checked_for_is_stored_with_the_run_s_next_event_and_as_dagster_stores_it(instance: dg.DagsterInstance) -> None:
    """One fails; a failure of the stage follows them as well as its success."""
    specs = [dg.AssetCheckSpec(name, asset="checked") for name in ("first", "second")]

    @dg.asset(check_specs=specs, partitions_def=dg.StaticPartitionsDefinition(["a"]))
    def checked() -> Iterator[Any]:
        context = dg.AssetExecutionContext.get()
        for spec, passed in zip(specs, (True, False), strict=True):
            yield StageCheck(asset_key=spec.asset_key, check_name=spec.name, passed=passed, severity=dg.AssetCheckSeverity.WARN)
        told.append(kinds(context.run_id))
        if context.run.tags.get("fails"):
            raise ValueError
        yield dg.Output(1)

    told: list[list[str]] = []
    storage = instance.event_log_storage

    def kinds(run_id: str) -> list[str]:
        return [one.get_dagster_event().event_type_value for one in instance.all_logs(run_id) if one.is_dagster_event]

    def ran(tags: dict[str, str]) -> tuple[list[str], list[Any]]:
        result = dg.materialize([checked], partition_key="a", instance=instance, tags=tags, run_config=QUIET, raise_on_error=False)
        rows = [
            (row.status, row.partition, row.run_id == result.run_id, row.event and row.event.get_dagster_event().event_type_value)
            for spec in specs
            for row in storage.get_asset_check_execution_history(spec.key, limit=1)
        ]
        return kinds(result.run_id), rows

    at_once = [ran({}), ran({"fails": "yes"})]
    assert not any("ASSET_CHECK_EVALUATION" in before for before in told)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PooledEventLogStorage, "store_event", PostgresEventLogStorage.store_event)
        patch.setattr(PooledEventLogStorage, "store_event_batch", PostgresEventLogStorage.store_event_batch)
        assert at_once == [ran({}), ran({"fails": "yes"})]
    for events, rows in at_once:
        assert events.count("ASSET_CHECK_EVALUATION") == 2
        assert [row[0].value for row in rows] == ["SUCCEEDED", "FAILED"]


def test_a_partition_that_was_taken_away_is_gone(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions(SET, ["short-lived"])
    assert instance.has_dynamic_partition(SET, "short-lived")
    instance.delete_dynamic_partition(SET, "short-lived")
    assert not instance.has_dynamic_partition(SET, "short-lived")


def test_a_pool_follows_a_changed_limit(shared: Storage) -> None:
    for limit in (1, 3, 2, 2):
        settings = shared.settings.model_copy(update={"gpu_pool_limit": limit})
        with dagster_home.open_instance(settings) as instance:
            instance.event_log_storage.initialize_concurrency_limit_to_default("changing")
            assert instance.event_log_storage.get_concurrency_info("changing").slot_count == limit


def test_a_home_of_dagster_postgres_and_this_one_read_the_same(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(BEFORE)
    instance.add_dynamic_partitions(SET, ["of both"])
    with dg.DagsterInstance.from_config(str(tmp_path)) as before:
        assert not isinstance(before.get_ref().storage, PooledStorage)
        assert before.has_dynamic_partition(SET, "of both")
        before.delete_dynamic_partition(SET, "of both")
    assert "of both" not in instance.get_dynamic_partitions(SET)

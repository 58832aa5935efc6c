"""Dagster's storage in Postgres, on connections that are kept; dagster.yaml names it.

What belongs here: what is mended in dagster-postgres. It opens a connection for every query, asks before most of them whether the table is
there, notifies listeners that no longer exist, and writes what a run intends and checks line by line: 680 connections and 930 statements
for one clip of a second. What does not: tables, queries and configuration, which stay dagster-postgres's.
"""

from __future__ import annotations

import functools
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.utils import DEFAULT_OUTPUT
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, ConcurrencyLimitsTable, SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Connection, Engine, bindparam, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError, InternalError
from sqlalchemy.pool import ConnectionPoolEntry

E: Final = dg.DagsterEventType
PLANNED: Final = {E.ASSET_MATERIALIZATION_PLANNED, E.ASSET_CHECK_EVALUATION_PLANNED}
INSERT_EVENTS: Final = SqlEventLogStorageTable.insert().returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
CHECK_OF_RUN: Final = ("asset_key", "check_name", "run_id")
PLANNED_CHECK: Final = AssetCheckExecutionsTable.update().where(
    *(AssetCheckExecutionsTable.c[name] == bindparam(f"of_{name}") for name in CHECK_OF_RUN),
    AssetCheckExecutionsTable.c.partition.is_not_distinct_from(bindparam("of_partition")),
)
KEPT_S: Final = 900  # a connection that is older is replaced: after a night's sleep of the machine nobody knows what became of it
PARTITION_S: Final = 10.0  # a partition that was there so long ago is there: each step asks some twenty times
PATIENCE: Final = {
    "connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3", "tcp_user_timeout": "60000"
}  # fmt: skip


@functools.cache
def _connections(url: str) -> Engine:
    """The connections of this process to one database: few, kept, and never those of another process.

    Dagster holds one for the length of a query. As many as it holds at once are opened, and five are kept; one that the server has ended
    meanwhile is replaced before it is used. A fork's child begins without any.
    """
    given = make_url(url).query
    patience = {name: value for name, value in PATIENCE.items() if name not in given}
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=5, max_overflow=-1, pool_use_lifo=True, pool_recycle=KEPT_S, connect_args=patience
    )
    event.listen(engine, "checkout", _demand_alive)
    event.listen(engine, "do_execute", _is_notification)
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine


def _demand_alive(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
    """A server that shuts down, restarts or suspends says so on each connection, or closes it: then there is something to read.

    Asking costs no statement. A new connection is not asked: there is none to replace it with.
    """
    if "used" not in record.info:
        record.info["used"] = True
        return
    waiting = select.poll()
    if not connection.closed:
        waiting.register(connection.fileno(), select.POLLIN)
    if connection.closed or waiting.poll(0):
        raise DisconnectionError("The server has ended this connection.")


def _is_notification(_cursor: Any, statement: str, *_: Any) -> bool:
    """Whether a statement is done by not doing it: dagster-postgres still notifies of each event, and nobody listens any more."""
    return statement.startswith("NOTIFY run_events")


class _Pooled:
    """A storage of dagster-postgres on this process's connections, that does not ask again what it knows."""

    postgres_url: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._known: dict[tuple[str, ...], float] = {}
        self._checked: dict[str, list[EventLogEntry]] = {}  # by run
        super().__init__(*args, **kwargs)

    @property
    def _engine(self) -> Engine:
        return _connections(self.postgres_url)

    @_engine.setter
    def _engine(self, without_pool: Engine) -> None:
        """Each storage makes an engine of its own. Engines connect late: this one never does."""

    def optimize_for_webserver(self, *args: Any, **kwargs: Any) -> None:
        """Statements of the UI get a limit, which is said to new connections."""
        super().optimize_for_webserver(*args, **kwargs)  # type: ignore[misc]  # the storage's
        self._engine.dispose()

    def _knows(self, ask: Callable[..., bool], *what: str, for_s: float = float("inf")) -> bool:
        """The answer to a question; a yes is kept."""
        key = (ask.__name__, *what)
        if key not in self._known or time.monotonic() - self._known[key] > for_s:
            self._known.pop(key, None)
            if not ask(*what):
                return False
            self._known[key] = time.monotonic()
        return True


class PooledRunStorage(_Pooled, PostgresRunStorage):
    def has_run_stats_index_cols(self) -> bool:
        return self._knows(super().has_run_stats_index_cols)


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    pass


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):
    def has_table(self, table_name: str) -> bool:
        return self._knows(super().has_table, table_name)

    def has_asset_key_col(self, column_name: str) -> bool:
        return self._knows(super().has_asset_key_col, column_name)

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        return self._knows(super().has_dynamic_partition, partitions_def_name, partition_key, for_s=PARTITION_S)

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        self._known.pop(("has_dynamic_partition", partitions_def_name, partition_key), None)
        super().delete_dynamic_partition(partitions_def_name, partition_key)

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Dagster inserts the pool, and where it is there updates it in the transaction that the conflict has ended: each run failed once
        the limit was changed, and the second of two first ones.
        """
        try:
            return super().initialize_concurrency_limit_to_default(concurrency_key)
        except InternalError:
            limit = self._instance.global_op_concurrency_default_limit or 1
            with self.index_transaction() as conn:
                conn.execute(
                    ConcurrencyLimitsTable.update().values(limit=limit).where(ConcurrencyLimitsTable.c.concurrency_key == concurrency_key)
                )
                self._allocate_concurrency_slots(conn, concurrency_key, limit)
            return True

    def store_event(self, event: EventLogEntry) -> None:
        """An event. What a step says of its checks waits for the run's next event: that the step has its result, or has failed. The result
        is committed after that. If the process dies in between, what is lost was said of a result that nobody ever sees.
        """
        kind = event.dagster_event_type
        if _is_of_check(event, begun=event.run_id in self._checked):
            self._checked.setdefault(event.run_id, []).append(event)
            return
        checked = self._checked.pop(event.run_id, [])
        if kind in ASSET_EVENTS | ASSET_CHECK_EVENTS:
            self._store(checked)
            super().store_event(event)
        else:
            self._store([*checked, event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """What a run intends, in one transaction; other events as ever."""
        if PLANNED.issuperset(one.get_dagster_event().event_type for one in events):
            self._store(events)
        else:
            super().store_event_batch(events)

    def _store(self, events: Sequence[EventLogEntry]) -> None:
        """Events in one transaction, with a statement for all of a kind."""
        if not events:
            return
        rows = [self._event_to_row(one) for one in events]
        if len(rows) == 1 and events[0].dagster_event_type not in PLANNED | {E.ASSET_CHECK_EVALUATION}:
            with self._connect() as conn:
                conn.execute(SqlEventLogStorageTable.insert(), rows)
            return
        with self.index_transaction() as conn:
            numbers = conn.execute(INSERT_EVENTS, rows).scalars().all()
            for one, row, number in zip(events, rows, numbers, strict=True):
                if one.dagster_event_type == E.ASSET_MATERIALIZATION_PLANNED:
                    self._store_asset_event(conn, one, number)
                elif one.dagster_event_type == E.ASSET_CHECK_EVALUATION:
                    self._judge(conn, _check_row(row, number) | _judged(one))
            planned = [
                _check_row(row, number) | check
                for one, row, number in zip(events, rows, numbers, strict=True)
                if one.dagster_event_type == E.ASSET_CHECK_EVALUATION_PLANNED
                for check in _planned(one)
            ]
            if planned:
                conn.execute(AssetCheckExecutionsTable.insert(), planned)

    def _judge(self, conn: Connection, row: dict[str, Any]) -> None:
        """What was planned of a check is replaced; where nothing was, it is added."""
        which = {f"of_{name}": row[name] for name in (*CHECK_OF_RUN, "partition")}
        if not conn.execute(PLANNED_CHECK, row | which).rowcount:
            conn.execute(AssetCheckExecutionsTable.insert(), row)


def _is_of_check(event: EventLogEntry, begun: bool) -> bool:
    """Whether an event tells what a step's check found; or, once the first is there, that its output is there, which Dagster gives each."""
    if event.dagster_event_type == E.STEP_OUTPUT:
        return begun and event.get_dagster_event().step_output_data.output_name != DEFAULT_OUTPUT
    return event.dagster_event_type == E.ASSET_CHECK_EVALUATION and event.step_key is not None


def _check_row(event: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        "run_id": event["run_id"],
        "evaluation_event": event["event"],
        "evaluation_event_timestamp": event["timestamp"],
        "evaluation_event_storage_id": number,
    }


def _planned(event: EventLogEntry) -> Iterator[dict[str, Any]]:
    planned = event.get_dagster_event().asset_check_planned_data
    for partition in planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]:
        yield {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": partition,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
        }


def _judged(event: EventLogEntry) -> dict[str, Any]:
    judged = event.get_dagster_event().asset_check_evaluation_data
    status = AssetCheckExecutionRecordStatus.SUCCEEDED if judged.passed else AssetCheckExecutionRecordStatus.FAILED
    return {
        "asset_key": judged.asset_key.to_string(),
        "check_name": judged.check_name,
        "partition": judged.partition,
        "execution_status": status.value,
        "materialization_event_storage_id": judged.target_materialization_data and judged.target_materialization_data.storage_id,
    }


class PooledStorage(DagsterPostgresStorage):
    """Dagster's storage in Postgres, on connections that are kept. Its configuration and its tables are dagster-postgres's."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        self._run_storage = PooledRunStorage(postgres_url, should_autocreate_tables)
        self._event_log_storage = PooledEventLogStorage(postgres_url, should_autocreate_tables)
        self._schedule_storage = PooledScheduleStorage(postgres_url, should_autocreate_tables)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> PooledStorage:
        return cls(pg_url_from_config(config_value), config_value.get("should_autocreate_tables", True), inst_data)

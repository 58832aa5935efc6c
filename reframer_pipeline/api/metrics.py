"""Metrics for Prometheus: what this server has answered, and what the pipeline has done in the last hour.

What belongs here: names, labels, and the queries behind them. What does not: who may read them (`operating`).

Figures of the pipeline come from the database when they are asked for, so that they are the same on every server and after a restart.
They look back an hour, along indexes: what they cost is an hour's work, however large the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work.status import WAITING
from reframer_pipeline.work.workers import SILENT_S

_WITHIN_S: Final = 5.0
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_OPEN: Final = f"""SELECT 'pending' AS status, count(*) AS n FROM ({WAITING}) waiting
    UNION ALL SELECT 'processing', count(*) FROM videos WHERE status = 'processing'"""
_DONE: Final = """SELECT s.stage, done.* FROM unnest(%s::text[]) WITH ORDINALITY AS s (stage, place) CROSS JOIN LATERAL (
        SELECT count(*) AS n, coalesce(sum(r.seconds), 0) AS took, coalesce(sum(v.duration), 0) AS length
        FROM results r JOIN videos v ON v.id = r.video_id WHERE r.stage = s.stage AND r.created_at > now() - interval '1 hour') done
    ORDER BY s.place"""
_FAILED: Final = """SELECT 'run' AS of, failure_code AS code, count(*) AS n FROM processing_jobs
    WHERE status = 'failed' AND finished_at > now() - interval '1 hour' GROUP BY failure_code
    UNION ALL SELECT 'upload', failure_code, count(*) FROM uploads
    WHERE status = 'failed' AND created_at > now() - interval '1 hour' GROUP BY failure_code"""
_WORKERS: Final = """SELECT queue, state, count(*) AS n FROM workers
    WHERE beat_at > clock_timestamp() - %s * interval '1 second' GROUP BY queue, state"""
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One server's."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "reframer_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )  # the name is given the ending _total
        self._seconds = Histogram(
            "reframer_http_request_seconds", "Seconds from a request's headers to the end of its answer.", ["method", "route"],
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is a template such as `/jobs/{job_id}`, so that there are few."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self, db: Database) -> bytes:
        """All of them, in Prometheus' text format."""
        pipeline = CollectorRegistry()
        pipeline.register(_Pipeline(db))
        return generate_latest(self._registry) + generate_latest(pipeline)


class _Pipeline(Collector):
    """What the database says."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        videos = GaugeMetricFamily("reframer_videos_open", "Videos that wait to be computed, or are being computed.", labels=["status"])
        for row in self._db.fetch(_OPEN, within_s=_WITHIN_S):
            videos.add_metric([row["status"]], row["n"])
        yield videos

        done = GaugeMetricFamily("reframer_stage_results_last_hour", "Results that were computed in the last hour.", labels=["stage"])
        took = GaugeMetricFamily("reframer_stage_seconds_last_hour", "Seconds that computing them took.", labels=["stage"])
        length = GaugeMetricFamily("reframer_video_seconds_last_hour", "Seconds of video whose results became whole in the last hour.")
        for row in self._db.fetch(_DONE, (list(NAMES),), within_s=_WITHIN_S):
            done.add_metric([row["stage"]], row["n"])
            took.add_metric([row["stage"]], row["took"])
            if row["stage"] == NAMES[-1]:
                length.add_metric([], row["length"])
        yield from (done, took, length)

        at_work = GaugeMetricFamily("reframer_workers", "Workers of a fleet that live.", labels=["queue", "state"])
        for row in self._db.fetch(_WORKERS, (SILENT_S,), within_s=_WITHIN_S):
            at_work.add_metric([row["queue"], row["state"]], row["n"])
        yield at_work

        failed = GaugeMetricFamily("reframer_failures_last_hour", "Runs and uploads that failed in the last hour.", labels=["of", "code"])
        for row in self._db.fetch(_FAILED, within_s=_WITHIN_S):
            failed.add_metric([row["of"], row["code"]], row["n"])
        yield failed

"""Dagster's lasting instance: its folder in the data folder, its configuration, its database.

What belongs here: making DAGSTER_HOME, opening the instance, and the environment of its processes. What does not: what runs on it.
The configuration is the project's `dagster.yaml` with the limits that the settings give.
"""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

import yaml
from pydantic import SecretStr

from reframer_pipeline import scratch
from reframer_pipeline.database import embedded
from reframer_pipeline.planning.result_settings import absolute_places
from reframer_pipeline.settings import Settings
from reframer_pipeline.shipped import shipped

if TYPE_CHECKING:
    import dagster as dg

FOR_EVER_S = 10 * 365 * 86_400  # 0 would make Dagster 1.13's run monitoring stumble over each run that waits
URL_VARIABLE = "REFRAMER_DAGSTER_DATABASE_URL"


def prepare(settings: Settings) -> dict[str, str]:
    """Make the instance folder and return the environment that Dagster's processes need.

    Starts the embedded Postgres unless a Dagster database is configured.
    """
    home = scratch.made(settings.home_dir / "dagster")
    text, target = configuration(settings), home / "dagster.yaml"
    if not target.exists() or target.read_text() != text:
        part = target.with_name(f"{target.name}.{uuid.uuid4().hex}")  # replaced as a whole: another process may be reading it
        part.write_text(text)
        part.replace(target)
    return {
        "DAGSTER_HOME": str(home),
        URL_VARIABLE: embedded.dagster_url(settings),
        "REFRAMER_HOME": str(settings.home_dir),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_EVENT_BATCH_SIZE": "200",  # what a run intends is stored at once
    }


@functools.cache  # YAML takes longer than the rest of opening the instance
def configuration(settings: Settings) -> str:
    """The instance's `dagster.yaml`: the template with the limits of these settings."""
    (template,) = shipped("dagster.yaml")
    instance = yaml.safe_load(template.read_text())
    runs = instance["concurrency"]["runs"]
    (computing,) = runs["tag_concurrency_limits"]
    computing["limit"], runs["max_concurrent_runs"] = settings.max_concurrent_runs, settings.max_concurrent_runs + 1
    if settings.launcher == "celery":
        launcher = {"module": "reframer_pipeline.orchestration.fleet.launcher", "class": "FleetLauncher"}
        instance["run_launcher"] = {**launcher, "config": {"own_workers": settings.workers > 0}}
        # a run that waits for a worker is no trouble; and what a step prints goes to the worker's own log, which is on another machine
        instance["run_monitoring"] |= {"start_timeout_seconds": FOR_EVER_S, "poll_interval_seconds": 10}
        instance["compute_logs"] = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    instance["concurrency"]["pools"]["default_limit"] = settings.gpu_pool_limit
    return f"# Written by reframer from its settings: edits are lost.\n{yaml.safe_dump(instance, sort_keys=False)}"


Instance = Callable[[], AbstractContextManager["dg.DagsterInstance"]]


@contextmanager
def kept_instance(settings: Settings) -> Iterator[Instance]:
    """The lasting instance for one use after the other: opened for the first, closed with the block.

    Its environment is this process's only as long as one of the uses lasts.
    """
    with ExitStack() as kept:
        instance: dg.DagsterInstance | None = None

        @contextmanager
        def used() -> Iterator[dg.DagsterInstance]:
            nonlocal instance
            import dagster as dg

            with environment(prepare(settings)):
                instance = instance or kept.enter_context(dg.DagsterInstance.get())
                yield instance

        yield used


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The lasting instance, in this process. As long as it is open, its environment is this process's: runs and their children read it."""
    with kept_instance(settings) as used, used() as instance:
        yield instance


def as_environment(settings: Settings) -> dict[str, str]:
    """The same settings as environment variables, for a child process in whatever folder. Holds secrets in clear."""
    variables: dict[str, str] = {}
    places = absolute_places(settings)
    for name in Settings.model_fields:
        value = places.get(name, getattr(settings, name))
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        text = "" if value is None else ",".join(value) if isinstance(value, tuple) else str(value)
        variables[Settings.variable(name)] = text
    return variables


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables in this process, and afterwards those that were there before."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

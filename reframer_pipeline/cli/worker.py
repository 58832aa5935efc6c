"""`reframer worker`: a warm process that computes runs which a broker hands out."""

from __future__ import annotations

import logging
import os
import sys

import click

from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING, with_settings
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings


@click.command(cls=SectionedCommand)
@click.option(
    "--queue",
    type=click.Choice(["runs", "gpu", "cpu"]),
    default="runs",
    show_default=True,
    help="What it computes: whole runs. With REFRAMER_EXECUTOR=celery, runs leads them, and gpu and cpu compute their stages.",
)
@click.option("--same-machine", is_flag=True, help="Only for the deployment on this machine: the embedded PostgreSQL and folders will do.")
@click.option("--idle-s", type=click.FloatRange(min=1), help="End after so many seconds without work; unset: wait for more.")
@with_settings(*COMPUTING, common=("home", "device"))
def worker(settings: Settings, queue: str, same_machine: bool, idle_s: float | None) -> None:
    """Compute the runs that the broker hands out, one after the other.

    The models are loaded once, so a run begins within a second. Start one on each machine, and one for each GPU. Dagster's daemon and UI
    run elsewhere, with REFRAMER_LAUNCHER=celery. All need the same REFRAMER_BROKER_URL, databases and store.

    \b
    reframer worker                   says when it is ready
    reframer worker --device cuda:1   computes on the second GPU
    reframer worker --queue gpu       computes the stages that want a GPU

    Ctrl-C or SIGTERM: it finishes the stage that it is at, and another worker goes on. Once more: it ends at once.
    """
    from reframer_pipeline.results.storage import open_storage
    from reframer_pipeline.running import dagster_home, fleet_places
    from reframer_pipeline.scratch import sweep_scratch

    chosen = settings.model_copy(update={"launcher": "celery"})
    by_stage = chosen.executor == "celery"
    if queue != "runs" and not by_stage:
        raise SettingsInvalid(
            f"Nobody sends stages to the queue {queue}: a worker computes all stages of a run.",
            "Set REFRAMER_EXECUTOR=celery and REFRAMER_LAUNCHER=celery on all machines, or leave --queue out.",
        )
    if by_stage and queue != "gpu":  # the other queue has what wants one
        chosen = chosen.model_copy(update={"device": "cpu"})
    url = fleet_places.demand_broker(chosen)
    if not same_machine:
        fleet_places.demand_shared(chosen)
    from reframer_pipeline.orchestration.fleet.waiting import waiting
    from reframer_pipeline.orchestration.fleet.worker import AGAIN, Worker

    if chosen.device.startswith("cuda:"):  # before torch is imported: the process sees this one alone
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible(int(chosen.device.removeprefix("cuda:")))
        chosen = chosen.model_copy(update={"device": "cuda"})
    with open_storage(chosen):  # reaches database and store, and brings tables up to date
        waiting(url)
        sweep_scratch(chosen)
    variables = {name: value for name, value in dagster_home.as_environment(chosen).items() if value} | dagster_home.prepare(chosen)
    before = dict(os.environ)
    os.environ.update(variables)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    status = Worker(Settings(), queue, chosen.device, aside, lambda own: _rehearse(own, queue if by_stage else None), idle_s).run()
    if status == AGAIN:  # the broker ended the connection for good; a process that forked and ended its pool is no place to begin in
        aside("The worker begins anew.")
        os.execve(sys.executable, [sys.executable, "-m", "reframer_pipeline", *sys.argv[1:]], before)
    sys.exit(status)


def _visible(number: int) -> str:
    """The GPU of this number among those that this process may see."""
    seen = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    if seen and number >= len(seen):
        raise SettingsInvalid(f"CUDA_VISIBLE_DEVICES has {len(seen)} GPUs, so there is no cuda:{number}.", "The first one is cuda:0.")
    return seen[number] if seen else str(number)


def _rehearse(settings: Settings, queue: str | None) -> None:
    """Load what is needed: Dagster's definitions, and the models; of a worker for single stages what those need."""
    from reframer_pipeline import definitions  # noqa: F401
    from reframer_pipeline.running.rehearsal import rehearse

    if queue != "runs":
        rehearse(settings, models=queue != "cpu")

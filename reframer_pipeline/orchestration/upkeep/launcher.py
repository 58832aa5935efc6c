"""Dagster's default run launcher, which also tells run monitoring whether the process of a run is there (named in dagster.yaml).

What belongs here: whose a run is, and asking the code server that started it. What does not: the judgement (`life`), asking a code server
(`dagster_internals`), ending the run and freeing its slots (Dagster), what is written of it (`reconcile`), runs of `reframer run`, which no
launcher started (`dead_runs`). Dagster's own launcher judges nothing: a server reports workers that end without a word, but if it goes
with them, nobody does.
"""

from __future__ import annotations

import socket
import uuid

import dagster as dg

from reframer_pipeline.orchestration.dagster_internals import LaunchRunContext, Worker, worker_of
from reframer_pipeline.orchestration.tags import HOME_TAG
from reframer_pipeline.orchestration.upkeep.life import Judge
from reframer_pipeline.settings import Settings


def home_id(settings: Settings) -> str:
    """Which deployment this is, among those that share a Dagster database: the same for the same data folder of the same machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{socket.gethostname()}:{settings.home_dir}"))


class RunLauncher(Judge, dg.DefaultRunLauncher):
    """Dagster's default launcher, which also says whose a run is, and knows whether its worker lives."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Tag the run as this deployment's, and start it."""
        self._instance.add_run_tags(context.dagster_run.run_id, {HOME_TAG: home_id(Settings())})
        super().launch_run(context)

    def worker(self, run: dg.DagsterRun) -> Worker:
        """As the code server tells. Those of another machine cannot be asked."""
        return worker_of(run) if run.tags.get(HOME_TAG) in (None, home_id(Settings())) else Worker.UNKNOWN

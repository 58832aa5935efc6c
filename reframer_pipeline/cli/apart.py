"""`reframer daemon` and `reframer web`: Dagster's daemon and its UI, each alone, as containers want it.

What belongs here: preparing what they need, starting them, and ending them. What does not: all in one, and watching them (`dev`), computing
(`worker`), the API (`serve`).
"""

from __future__ import annotations

import os
import subprocess
import sys

import click

from reframer_pipeline.cli.alone import free_port
from reframer_pipeline.cli.beginning import one_daemon, prepared, put_right
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING, PLACES, with_settings
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.fleet_places import demand_broker
from reframer_pipeline.settings import Settings


@click.command(cls=SectionedCommand)
@with_settings(*COMPUTING, "uploads_url", common=("home", "uploads_url"))
def daemon(settings: Settings) -> None:
    """Run Dagster's daemon alone: it watches for uploads, and starts runs.

    For containers; on one machine `reframer dev` has it in it. There is one for a deployment: a second one is refused. Its settings are
    saved as the deployment's, as those of `reframer dev` are.

    \b
    reframer daemon
    """
    from reframer_pipeline.results.storage import storage_of

    if settings.launcher == "celery":
        demand_broker(settings)
    with one_daemon(settings):  # before the settings become the deployment's
        prepared(settings)
        with dagster_home.open_instance(settings) as instance:
            put_right(instance, storage_of(settings))
        words, environment, folder = _dagster(settings, "dagster._daemon", "run")
        child = subprocess.Popen(words, env=environment, cwd=folder)
        try:
            status = child.wait()
        except KeyboardInterrupt:  # Ctrl-C, SIGTERM, or another daemon
            child.terminate()
            status = child.wait()
    sys.exit(status)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that it listens on; 0.0.0.0: all of the machine's.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port that it listens on.")
@with_settings(*PLACES)
def web(settings: Settings, host: str, port: int) -> None:
    """Run the Dagster UI alone.

    For containers; on one machine `reframer dev` has it in it. It asks nobody for a password, and whoever reaches it may start and delete
    runs: open it to nobody else.

    \b
    reframer web
    """
    from reframer_pipeline.results.storage import open_storage

    free_port(port, host)
    with open_storage(settings):  # brings tables up to date
        pass
    words, environment, folder = _dagster(settings, "dagster_webserver", "--host", host, "--port", str(port))
    os.chdir(folder)
    os.execve(words[0], words, environment)


def _dagster(settings: Settings, module: str, *words: str) -> tuple[list[str], dict[str, str], str]:
    """A part of Dagster: its command, its environment, and its folder, so that a workspace.yaml of the present one does not interfere."""
    known = {name: value for name, value in dagster_home.as_environment(settings).items() if value}
    environment = {**os.environ, **known, **dagster_home.prepare(settings)}
    return [sys.executable, "-m", module, *words, "-m", "reframer_pipeline.definitions"], environment, environment["DAGSTER_HOME"]

"""`reframer dev`: the Dagster UI and the HTTP API over the same data as the command line."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import sys
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from reframer_pipeline.cli.alone import API, be_alone, free_port
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING, with_settings
from reframer_pipeline.cli.tables import ERR, aside
from reframer_pipeline.running import dagster_home
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from reframer_pipeline.results.storage import Storage


@click.command(cls=SectionedCommand)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port of the UI, on 127.0.0.1.")
@click.option("--print-env", is_flag=True, help='Only print what plain `dagster dev` needs: eval "$(reframer dev --print-env)".')
@with_settings(*COMPUTING, "uploads_url", "api_port", common=("home", "uploads_url", "api_port"))
def dev(settings: Settings, port: int, print_env: bool) -> None:
    """Open the Dagster UI, and watch a folder for uploads.

    It starts the embedded Postgres, brings its tables up to date, and runs Dagster's webserver and daemon. Beside them it runs the
    HTTP API, as `reframer serve` does, and starts that again if it ends. Both addresses are said once they answer. Files that are dropped
    into REFRAMER_HOME/uploads are taken in and computed.

    Its settings are saved as the deployment's. All videos are computed with them, except those that somebody ran with others. Older
    videos are brought up to date, a few at a time: `reframer plan` says beforehand what that will be.

    \b
    reframer dev
    reframer dev --uploads-url s3://my-bucket/drop

    Stop it with Ctrl-C. It says what still runs, and ends it within ten seconds. Finished stages are kept. Runs in the queue wait for
    the next `reframer dev`. A second Ctrl-C ends all at once.

    Runs, logs and results stay in REFRAMER_HOME. The embedded Postgres goes on for other commands; `reframer db stop` ends it.
    """
    from reframer_pipeline.cli.ending import run_until_stopped
    from reframer_pipeline.planning import result_settings
    from reframer_pipeline.results.storage import open_storage, storage_of
    from reframer_pipeline.uploads.bucket import Bucket

    if not print_env:
        be_alone(settings)
        free_port(port)
        free_port(settings.api_port, settings.api_host, "--api-port")
        if port == settings.api_port:
            raise click.BadParameter(f"port {port} is that of the API, too; say another --port or --api-port.", param_hint="--port")
    with open_storage(settings) as storage:  # starts the server, migrates, binds database and store to each other
        bucket = Bucket.open(settings)
        changed = {} if print_env else result_settings.save(storage.db, settings)
    for name, (old, new) in changed.items():
        aside(f"The deployment's {name}: {old} → {new}")
    instance_variables = dagster_home.prepare(settings)
    if print_env:
        for name, value in {**_chosen(settings), **instance_variables}.items():
            there = os.environ.get(name, "").replace("postgresql://", "postgresql+psycopg2://", 1)
            if name != dagster_home.URL_VARIABLE or value != there:  # it may have a password, which need not be shown
                click.echo(f"export {name}={shlex.quote(value)}")
        return
    environment = {
        **os.environ,
        **{name: value for name, value in dagster_home.as_environment(settings).items() if value},
        **instance_variables,
        Settings.variable("dagster_url"): f"http://127.0.0.1:{port}",
    }
    aside(f"Dagster starts. Its UI opens at http://127.0.0.1:{port} within a minute; this is said here.")
    threading.Thread(target=_tell_when_open, args=(port,), name="ui", daemon=True).start()
    aside(f"Drop videos into: {re.sub('//[^/]*@', '//', settings.bucket_url)}")
    if bucket.root is not None and not bucket.root.is_dir():
        aside("There is no such folder now: the sensor goes on looking for it.", style="yellow")
    environment["PYTHONWARNINGS"] = ",".join(filter(None, (environment.get("PYTHONWARNINGS"), "ignore:Function `dev_command`")))
    command = [sys.executable, "-m", "dagster", "dev", "-m", "reframer_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port)]
    api = [sys.executable, "-m", "reframer_pipeline", API, "--quiet"]
    with dagster_home.open_instance(settings) as instance:
        _put_right(instance, storage_of(settings))
        sys.exit(run_until_stopped(command, api, environment, instance, storage_of(settings)))


def _tell_when_open(port: int) -> None:
    """Say where the UI is once it answers. Before, a browser would only show an error."""
    while True:
        server = http.client.HTTPConnection("127.0.0.1", port, timeout=5)  # nobody's proxy lies between
        with closing(server), suppress(OSError, http.client.HTTPException):
            server.request("GET", "/server_info")
            server.getresponse()
            ERR.print(f"Dagster UI: [link]http://127.0.0.1:{port}[/link]")
            return
        time.sleep(0.5)


def _put_right(instance: dg.DagsterInstance, storage: Storage) -> None:
    """Before anything new starts: runs that died meanwhile are ended, and every video is a partition."""
    from reframer_pipeline.orchestration import assets
    from reframer_pipeline.orchestration.upkeep.reconcile import reconcile

    assets.register_partitions(instance, storage.db)
    done = reconcile(instance, storage)
    if done.died or done.ended:
        aside(f"Runs put right: {done}.")


def _chosen(settings: Settings) -> dict[str, str]:
    """The settings that are not the defaults, and those that the environment names, which an option may have overruled.

    Not the secrets: they are never options, so the environment has them already.
    """
    variables = dagster_home.as_environment(settings)
    chosen = {}
    for name, field in Settings.model_fields.items():
        variable, value = Settings.variable(name), getattr(settings, name)
        if not isinstance(value, SecretStr) and (value != field.default or variable in os.environ):
            chosen[variable] = variables[variable]
    return chosen

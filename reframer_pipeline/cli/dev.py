"""`reframer dev`: the Dagster UI and the HTTP API over the same data as the command line."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from reframer_pipeline.cli.alone import API, WORKER, be_alone, free_port
from reframer_pipeline.cli.beginning import one_daemon, prepared, put_right
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING, with_settings
from reframer_pipeline.cli.tables import ERR, aside
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.fleet_places import demand_broker
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.cli.ending import Program


@click.command(cls=SectionedCommand)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port of the UI, on 127.0.0.1.")
@click.option("--print-env", is_flag=True, help='Only print what plain `dagster dev` needs: eval "$(reframer dev --print-env)".')
@with_settings(*COMPUTING, "uploads_url", "api_port", "workers", common=("home", "uploads_url", "api_port", "workers"))
def dev(settings: Settings, port: int, print_env: bool) -> None:
    """Open the Dagster UI, and watch a folder for uploads.

    It starts the embedded Postgres, brings its tables up to date, and runs Dagster's webserver and daemon. Beside them it runs the
    HTTP API, as `reframer serve` does. Whatever of these ends by itself is started again. Both addresses are said once they answer. Files
    that are dropped into REFRAMER_HOME/uploads are taken in and computed.

    Its settings are saved as the deployment's. All videos are computed with them, except those that somebody ran with others. Older
    videos are brought up to date, a few at a time: `reframer plan` says beforehand what that will be.

    \b
    reframer dev
    reframer dev --uploads-url s3://my-bucket/drop
    reframer dev --workers 2   models stay loaded: a run begins within a second

    Stop it with Ctrl-C. It says what still runs, and ends it within ten seconds. Finished stages are kept. Runs in the queue wait for
    the next `reframer dev`. A second Ctrl-C ends all at once.

    Runs, logs and results stay in REFRAMER_HOME. The embedded Postgres goes on for other commands; `reframer db stop` ends it.
    """
    from reframer_pipeline.cli.ending import Program, run_until_stopped
    from reframer_pipeline.results.storage import storage_of

    programs: list[Program] = []
    if not print_env:
        be_alone(settings)
        settings, programs = _fleet(settings)
        free_port(port)
        free_port(settings.api_port, settings.api_host, "--api-port")
        if port == settings.api_port:
            raise click.BadParameter(f"port {port} is that of the API, too; say another --port or --api-port.", param_hint="--port")
    alone = ExitStack()
    if not print_env:
        alone.enter_context(one_daemon(settings))  # before the settings become the deployment's
    bucket = prepared(settings, save=not print_env)
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
    opened = threading.Event()
    threading.Thread(target=_tell_when_open, args=(port, opened), name="ui", daemon=True).start()
    aside(f"Drop videos into: {re.sub('//[^/]*@', '//', settings.bucket_url)}")
    if bucket.root is not None and not bucket.root.is_dir():
        aside("There is no such folder now: the sensor goes on looking for it.", style="yellow")
    environment["PYTHONWARNINGS"] = ",".join(filter(None, (environment.get("PYTHONWARNINGS"), "ignore:Function `dev_command`")))
    command = [sys.executable, "-m", "dagster", "dev", "-m", "reframer_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port)]
    ours = [sys.executable, "-m", "reframer_pipeline"]
    programs.append(Program("The API", [*ours, API, "--quiet"], environment))
    programs += [Program(f"Worker {number + 1}", [*ours, WORKER, "--same-machine"], environment) for number in range(settings.workers)]
    with dagster_home.open_instance(settings) as instance, alone:
        put_right(instance, storage_of(settings))
        sys.exit(run_until_stopped(Program("Dagster", command, environment), programs, opened, instance, storage_of(settings)))


def _fleet(settings: Settings) -> tuple[Settings, list[Program]]:
    """With workers of its own, a deployment hands runs to them by a broker: by one of its own, unless one is named."""
    if not settings.workers:
        if settings.launcher == "celery":
            demand_broker(settings)
        return settings, []
    if settings.executor != "in_process":
        raise SettingsInvalid(
            f"The workers of `reframer dev` compute whole videos, and REFRAMER_EXECUTOR is {settings.executor}.",
            "Leave REFRAMER_EXECUTOR out. Or leave REFRAMER_WORKERS out and start workers yourself: docs/scaling.md says how.",
        )
    more: dict[str, object] = {"launcher": "celery", "max_concurrent_runs": max(settings.max_concurrent_runs, settings.workers)}
    if settings.broker_url is not None:
        demand_broker(settings)
        return settings.model_copy(update=more), []
    from reframer_pipeline.cli.ending import Program
    from reframer_pipeline.running.embedded_broker import broker

    found = broker(settings)
    own = settings.model_copy(update={**more, "broker_url": SecretStr(found.url)})
    demand_broker(own)
    plain = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TZ")}  # no secrets of others
    return own, [Program("The broker", found.command, plain | found.environment)]


def _tell_when_open(port: int, opened: threading.Event) -> None:
    """Say where the UI is once it answers. Before, a browser would only show an error."""
    while True:
        server = http.client.HTTPConnection("127.0.0.1", port, timeout=5)  # nobody's proxy lies between
        with closing(server), suppress(OSError, http.client.HTTPException):
            server.request("GET", "/server_info")
            server.getresponse()
            ERR.print(f"Dagster UI: [link]http://127.0.0.1:{port}[/link]")
            opened.set()
            return
        time.sleep(0.5)


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

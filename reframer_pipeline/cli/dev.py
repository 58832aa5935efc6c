"""`reframer dev`: the Dagster UI over the same data as the command line."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click
from pydantic import SecretStr

from reframer_pipeline.cli.options import COMPUTING, with_settings
from reframer_pipeline.cli.tables import ERR
from reframer_pipeline.settings import Settings


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the UI, on 127.0.0.1.")
@click.option(
    "--print-env", is_flag=True, help='Only print the environment that plain `dagster dev` needs: eval "$(reframer dev --print-env)".'
)
@with_settings(*COMPUTING, "uploads_url")
def dev(settings: Settings, port: int, print_env: bool) -> None:
    """Open the Dagster UI: start the embedded Postgres, migrate, and run webserver and daemon, which watches the bucket for uploads.

    Runs, logs and results last: they are in REFRAMER_HOME. Stop with Ctrl-C; the embedded Postgres goes on for other commands
    (`reframer db stop` ends it).
    """
    from reframer_pipeline import dagster_home
    from reframer_pipeline.storage import open_storage
    from reframer_pipeline.uploads.bucket import Bucket

    with open_storage(settings):  # starts the server, migrates, binds database and store to each other
        bucket = Bucket.open(settings)
    instance_variables = dagster_home.prepare(settings)
    if print_env:
        for name, value in {**_chosen(settings), **instance_variables}.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        return
    environment = {**os.environ, **{name: value for name, value in settings.as_environment().items() if value}, **instance_variables}
    ERR.print(f"Dagster UI: [link]http://127.0.0.1:{port}[/link]", highlight=False)
    ERR.print(f"Drop videos into: {bucket.base}", highlight=False, markup=False)
    os.chdir(instance_variables["DAGSTER_HOME"])  # a dagster.yaml or workspace.yaml of the present folder must not interfere
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execve(dagster, [dagster, "dev", "-m", "reframer_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port)], environment)


def _chosen(settings: Settings) -> dict[str, str]:
    """The settings that are not the defaults, and those that the environment names, which an option may have overruled.

    Not the secrets: they are never options, so the environment has them already.
    """
    variables = settings.as_environment()
    chosen = {}
    for name, field in Settings.model_fields.items():
        variable, value = settings.variable(name), getattr(settings, name)
        if not isinstance(value, SecretStr) and (value != field.default or variable in os.environ):
            chosen[variable] = variables[variable]
    return chosen


COMMANDS = {"dev": dev}

"""The command line: `reframer`. One file per group of commands; commands that compute call `run_videos`, those that read the core."""

from __future__ import annotations

import pkgutil
import signal
import sys
from typing import Final

import click

from reframer_pipeline.cli.readable import readable
from reframer_pipeline.database import clients
from reframer_pipeline.failures import ReframerError

# Command to the module that holds it and its name there: loaded only when asked for, so that `--help` and short commands start at once.
COMMANDS: Final = {
    "run": "run:run",
    "demo": "demo:demo",
    "list": "show:list_",
    "show": "show:show",
    "preview": "preview:preview",
    "plan": "plan:plan",
    "uploads": "uploads:uploads",
    "restore": "restore:restore",
    "models": "models:models",
    "db": "db:db",
    "dev": "dev:dev",
    "doctor": "doctor:doctor",
    "fake-gemini": "fake_gemini:fake_gemini",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of this package and are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module and take the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = pkgutil.resolve_name(f"reframer_pipeline.cli.{COMMANDS[cmd_name]}")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(None, "-V", "--version", package_name="reframer_pipeline")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Find every person and product in a video, mask it, follow it, and describe each scene.

    \b
    reframer demo                   see it work on the bundled clip
    reframer run clip.mp4           your own files
    reframer list                   the videos, with their ids
    reframer show ID                what was found in one
    reframer preview ID -o out.mp4  the same, drawn into a video
    reframer dev                    the Dagster UI, and a folder that is watched
    reframer doctor                 if something does not work

    The first characters of an id are enough. Everything is kept in one folder: REFRAMER_HOME, by default .reframer in this folder.

    A setting is an option or an environment variable: --vid-stride is REFRAMER_VID_STRIDE. `reframer doctor --settings` lists them all.
    """
    clients.introduce(str(ctx.invoked_subcommand))


def main() -> None:
    """Entry point: typed failures become one clear sentence and exit 1, wrong usage exit 2, Ctrl-C or SIGTERM exit 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. Finished stages are kept; the same command goes on from there.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ReframerError as failure:
        message, remedy = readable(failure.message), readable(failure.remedy)
        click.echo(f"{click.style('failed', fg='red')} [{failure.code}] {message}\n  {remedy}", err=True)
        sys.exit(2 if failure.code == "settings_invalid" else 1)

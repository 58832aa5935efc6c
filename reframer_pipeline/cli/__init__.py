"""The command line: `reframer`. One file per group of commands; commands that compute call `run_videos`, those that read the core."""

from __future__ import annotations

import pkgutil
import signal
import sys
from typing import Final

import click
from click.shell_completion import CompletionItem

from reframer_pipeline.cli.readable import readable
from reframer_pipeline.database import clients
from reframer_pipeline.failures import ReframerError

# By section, in the order people meet them: the module that holds a command and its name there, and how its own help begins. It is
# imported when it is run; `--help` and completion make do with what stands here.
SECTIONS: Final = {
    "Compute": {
        "run": ("run:run", "Compute video files: mp4, mov or avi."),
        "demo": ("demo:demo", "See the pipeline work on the bundled clip."),
        "plan": ("plan:plan", "Say what would be computed, why, and how long it takes."),
    },
    "Look at results": {
        "list": ("show:list_", "List the videos and where they stand."),
        "show": ("show:show", "Show what was found in one video."),
        "preview": ("preview:preview", "Draw what was found into the video or a picture."),
        "export": ("export:export", "Export results for other programs."),
        "reframe": ("reframe:reframe", "Reframe a video: keep what matters in view in another ratio."),
        "matte": ("matte:matte", "Make a matte of a track: which pixels are its own, in every frame."),
        "uploads": ("uploads:uploads", "List what came of each upload."),
    },
    "Correct": {
        "correct": ("correct:correct", "Correct by hand what was found in a video."),
    },
    "Operate": {
        "dev": ("dev:dev", "Open the Dagster UI, and watch a folder for uploads."),
        "daemon": ("apart:daemon", "Run Dagster's daemon alone: it watches for uploads, and starts runs."),
        "web": ("apart:web", "Run the Dagster UI alone."),
        "worker": ("worker:worker", "Compute the runs that the broker hands out, one after the other."),
        "serve": ("serve:serve", "Answer over HTTP: the page for people, the API for programs."),
        "users": ("users:users", "The people who may use the API."),
        "keys": ("keys:keys", "Keys for the API: make, list, revoke, rotate."),
        "doctor": ("doctor:doctor", "Check that everything is there, and say how to mend it."),
        "models": ("models:models", "The official models: YOLO finds, SAM2 masks."),
        "db": ("db:db", "The database of results."),
        "restore": ("restore:restore", "Load the rows of an archived video back into Postgres."),
        "delete": ("delete:delete", "Delete videos with everything that was made of them."),
        "completion": ("completion:completion", "Let the shell complete commands, options and ids."),
        "fake-gemini": ("fake_gemini:fake_gemini", "Run a stand-in for Gemini on this machine."),
    },
}
COMMANDS: Final = {name: place for section in SECTIONS.values() for name, place in section.items()}


class LazyGroup(click.Group):
    """A group whose commands live in modules of this package and are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module and take the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = pkgutil.resolve_name(f"reframer_pipeline.cli.{COMMANDS[cmd_name][0]}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A list for each section."""
        widest = max(map(len, COMMANDS))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{widest}}", says) for name, (_, says) in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, and what any command has."""
        names = [CompletionItem(name, help=says) for name, (_, says) in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


# click suggests among `commands` what a misspelt one may mean
@click.group(
    cls=LazyGroup,
    commands={name: click.Command(name) for name in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
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

"""`reframer completion`: the script that makes a shell complete, and what it offers for a video's id.

What belongs here: ids. What does not: the mechanism, names of commands and options, files: these are click's and the shell's.
"""

from __future__ import annotations

import contextlib
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

PROGRAM: Final = "reframer"
MOST: Final = 50
_SHORT: Final = 8  # characters of an id, as `list` shows it


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Let the shell complete commands, options and ids.

    It prints a script for bash, zsh or fish. Ids of videos are offered while the embedded database runs; the TAB key never starts it.

    \b
    eval "$(reframer completion bash)"          add this line to ~/.bashrc
    eval "$(reframer completion zsh)"           to ~/.zshrc, after compinit
    reframer completion fish | source           to ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.get_current_context().find_root().command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())


def video_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids that begin like this, the newest first, with the names of the files. None if the database is not up, or for whatever trouble."""
    from reframer_pipeline.database import embedded
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.settings import Settings
    from reframer_pipeline.work.videos import beginning_with

    with contextlib.suppress(Exception):  # what is wrong is said when the command runs
        home = ctx.params.get("home")
        settings = Settings(home=home) if home else Settings()
        server = None if settings.database_url is not None else embedded.running(settings)
        if server is not None:
            with Database(server.database_url, max_size=1, patience_s=1) as db:
                rows = beginning_with(db, incomplete, MOST)
            length = _SHORT if len(incomplete) <= _SHORT else None
            return [CompletionItem(row["id"][:length], help=row["filename"]) for row in rows]
    return []


def ids_or_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same; where no id begins like this, the shell is to offer files."""
    return video_ids(ctx, param, incomplete) or [CompletionItem(incomplete, type="file")]

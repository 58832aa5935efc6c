"""`--help` of every command: it fits a terminal of 80 columns, begins with a sentence that the list shows whole, and names every option."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from reframer_pipeline.cli import app


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name)


@pytest.mark.parametrize("words", commands(app), ids=lambda words: " ".join(words) or "reframer")
def test_help_fits_and_is_whole(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}, prog_name="reframer").output
    assert max(map(len, shown.splitlines())) <= 80
    command: click.Command = app
    for word in words:
        command = command.get_command(click.Context(command), word) or command  # type: ignore[attr-defined]
    assert {option for one in command.params if isinstance(one, click.Option) for option in one.opts} <= set(
        shown.replace(",", " ").split()
    )
    assert "..." not in shown.partition("Commands:")[2]

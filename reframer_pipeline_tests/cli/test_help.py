"""`--help` of every command: it fits a terminal of 80 columns, and a screen; with `--help-all` it names every option."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from reframer_pipeline.cli import COMMANDS, SECTIONS, app
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name)


def named(words: tuple[str, ...]) -> click.Command:
    command: click.Command = app
    for word in words:
        command = command.get_command(click.Context(command), word) or command  # type: ignore[attr-defined]
    return command


def page(words: tuple[str, ...], option: str) -> str:
    shown = CliRunner().invoke(app, [*words, option], env={"COLUMNS": "80"}, prog_name="reframer").output
    assert max(map(len, shown.splitlines())) <= 80
    return shown


every_command = pytest.mark.parametrize("words", commands(app), ids=lambda words: " ".join(words) or "reframer")


@every_command
def test_help_fits_and_is_whole(words: tuple[str, ...]) -> None:
    command = named(words)
    shown = page(words, "--help-all" if isinstance(command, SectionedCommand) else "--help")
    assert {option for one in command.params if isinstance(one, click.Option) for option in one.opts} <= set(
        shown.replace(",", " ").split()
    )
    assert "..." not in shown.partition("\n")[2]  # after the usage line: no sentence is cut


@pytest.mark.parametrize("name", ["run", "dev", "plan", "doctor"])
def test_settings_that_few_change_are_behind_help_all(name: str) -> None:
    shown, whole = page((name,), "--help"), page((name,), "--help-all")
    assert len(shown.splitlines()) <= 45
    assert "--help-all" in shown and "--home" in shown and "--match-thresh" not in shown
    for title in ("Options:", "Places:", "Models:", "Frames and detections:", "Tracks:", "Scenes:", "Running:"):
        assert f"\n{title}\n" in whole
    assert {f"--{setting.replace('_', '-')}" for setting in COMPUTING} <= set(whole.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_a_command_s_own_help_begins_with(name: str) -> None:
    assert COMMANDS[name][1] == named((name,)).get_short_help_str(limit=200)
    assert all(f"\n{title}:\n" in page((), "--help") for title in SECTIONS)


def test_help_version_and_suggestions_import_no_command() -> None:
    for args, said in ((["--help"], "Operate:"), (["-V"], "version"), (["shwo"], "Did you mean 'show'?")):
        code = f"import sys; sys.argv = ['reframer', *{args}]; from reframer_pipeline import cli\n"
        code += "try: cli.main()\nfinally: print(sorted({'pydantic', 'rich', 'psycopg', 'pyarrow', 'dagster'} & set(sys.modules)))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
        assert said in ran.stdout + ran.stderr and ran.stdout.endswith("[]\n"), ran


def test_commands_that_read_do_without_dagster() -> None:
    code = "import sys; from reframer_pipeline.cli import show, preview, restore, run, uploads; assert 'dagster' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


@pytest.mark.parametrize(
    ("args", "meant"), [(["shwo"], "show"), (["db", "stpo"], "stop"), (["run", "x", "--cnf", "1"], "--conf"), (["plan", "--iuo"], "--iou")]
)
def test_what_is_misspelt_is_guessed(args: list[str], meant: str) -> None:
    ran = CliRunner().invoke(app, args)
    assert ran.exit_code == 2 and re.search(rf"Did you mean .*'{meant}'", ran.output)

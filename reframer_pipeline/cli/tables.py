"""How results look on a terminal: tables and notices. Standard output carries results, standard error everything else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from reframer_pipeline.cli.readable import readable

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Row

# a table in a file or for another program is as wide as it has to be
OUT: Final = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
ERR: Final = Console(stderr=True, highlight=False)
_SHORTEST: Final = 12  # columns that a name is given at least

DEMO_NOTICE: Final = (
    "Demonstration models: small networks trained on drawn clips. Their output on real footage is no measure of the pipeline; "
    "use official weights for that."
)


def line(text: str, style: str | None = None) -> None:
    """A line of standard output as it is: no markup, no breaks but the terminal's own."""
    OUT.print(readable(text), markup=False, soft_wrap=True, style=style)


def aside(text: str, style: str | None = None) -> None:
    """The same on standard error."""
    ERR.print(readable(text), markup=False, soft_wrap=True, style=style)


def cell(text: str) -> str:
    """Text from elsewhere, for a place where markup is read."""
    return escape(readable(text))


def shortened(text: str, width: int) -> str:
    """The text in at most `width` columns. What is too much is taken out of its middle, since names differ at both ends."""
    if cell_len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{set_cell_size(text, width - 1 - end)}…{set_cell_size(text[::-1], end)[::-1]}"


class Name:
    """A file's name in a table, on one line whatever the room, with a mark behind or below it."""

    def __init__(self, text: str, mark: str = "") -> None:
        self._text, self._mark = Text(readable(text)), Text(mark, style="yellow")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = self._text.cell_len + (1 + self._mark.cell_len if self._mark else 0)
        return Measurement(min(whole, _SHORTEST), whole)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        if self._mark and self._text.cell_len + 1 + self._mark.cell_len <= options.max_width:
            yield Text.assemble(self._text, " ", self._mark)
            return
        yield Text(shortened(self._text.plain, options.max_width))
        if self._mark:
            yield self._mark


def notice(text: str) -> None:
    """Something everyone must see, on standard error."""
    ERR.print(f"[yellow]![/yellow] {cell(text)}")


def table(*names: str, wraps: Collection[str] = (), title: str | None = None) -> Table:
    """A table without rows; its columns stay on one line, but for those that may wrap."""
    columns = (Column(name, overflow="fold", no_wrap=name not in wraps) for name in names)
    return Table(*columns, box=None, pad_edge=False, title=title, title_justify="left")


def print_rows(rows: list[Row], as_json: bool, empty: str, listed: Table, cells: Callable[[Row], Iterable[str | Name]]) -> None:
    """Rows of the database: a line of JSON each, or in a table, or what is said where there are none."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, default=str))
    elif rows:
        for row in rows:
            listed.add_row(*cells(row))
        OUT.print(listed)
    else:
        line(empty)


def own_settings(overrides: Mapping[str, Any]) -> str:
    """A video's own settings in one line: `conf 0.3; vid_stride 15`."""
    listed = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in overrides.items()}
    return "; ".join(f"{name} {value}" for name, value in sorted(listed.items()))

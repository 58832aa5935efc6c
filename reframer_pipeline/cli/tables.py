"""How results look on a terminal: tables and notices. Standard output carries results, standard error everything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from reframer_pipeline.cli.readable import readable
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.running.run_videos import VideoOutcome

OUT: Final = Console(highlight=False)
ERR: Final = Console(stderr=True, highlight=False)

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


def notice(text: str) -> None:
    """Something everyone must see, on standard error."""
    ERR.print(f"[yellow]![/yellow] {cell(text)}")


def table(*names: str, wraps: Collection[str] = (), title: str | None = None) -> Table:
    """A table without rows; its columns stay on one line, but for those that may wrap."""
    columns = (Column(name, overflow="fold", no_wrap=name not in wraps) for name in names)
    return Table(*columns, box=None, pad_edge=False, title=title, title_justify="left")


def print_rows(rows: list[Row], as_json: bool, empty: str, listed: Table, cells: Callable[[Row], Iterable[str]]) -> None:
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


def outcomes_table(outcomes: list[VideoOutcome]) -> None:
    """What came out, a line per file; failures with their reason below."""
    columns = Table(Column("video", overflow="fold"), box=None, padding=(0, 1, 0, 0))
    for name in ("id", "status", "frames", "detections", "masks", "tracks", "scenes", "seconds"):
        columns.add_column(name, justify="left" if name in ("id", "status") else "right", no_wrap=True)
    for one in outcomes:
        colour = "green" if one.status == "completed" else "red"
        counts = [str(value) for value in (one.frames, one.detections, one.masks, one.tracks, one.scenes)]
        spent = f"{sum(one.seconds.values()):.1f}" if one.seconds else "fresh"
        cells = [*counts, spent] if one.status == "completed" else [""] * 6
        columns.add_row(cell(one.filename), (one.video_id or "")[:8], f"[{colour}]{one.status}[/{colour}]", *cells)
    OUT.print(columns)
    for one in outcomes:
        if one.failure_code:
            line(f"{one.filename} [{one.failure_code}] {one.failure_message}")
        if one.note:
            line(f"{one.filename}: {one.note}")

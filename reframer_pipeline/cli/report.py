"""How `run` and `demo` say what came of each file: lines as they end, a table, JSON; and how much they say besides.

What belongs here: the words, and -q and -v. What does not: bars (`progress`), what is in a video (`show`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
from rich.cells import cell_len, set_cell_size

from reframer_pipeline.cli import tables
from reframer_pipeline.cli.readable import readable

if TYPE_CHECKING:
    from reframer_pipeline.running.run_videos import VideoOutcome

COUNTS: Final = ("frames", "detections", "masks", "tracks", "scenes")


class Report:
    """What is said of each file.

    On a terminal a table at the end, under the bars; elsewhere a line a file as it ends. With `quiet` only of files that failed. With
    `verbose` also which stage a file is in and what each took. JSON is one object a line in any case.
    """

    def __init__(self, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self._table = tables.OUT.is_terminal and tables.ERR.is_terminal and not quiet
        self._ended, self._files = 0, 1

    def begins(self, files: int) -> None:
        """So many files are to come."""
        self._files = files

    def ended(self, one: VideoOutcome) -> None:
        """A file is over."""
        self._ended += 1
        if self.as_json:
            click.echo(json.dumps(asdict(one)))
        elif one.failure_code if self.quiet else self.verbose or not self._table:
            place = f"[{self._ended}/{self._files}] " if self._files > 1 else ""
            tables.line(f"{place}{one.filename}: {_told(one)}")
            if self.verbose and one.seconds:
                tables.line("  " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in one.seconds.items()))

    def finished(self, outcomes: list[VideoOutcome]) -> None:
        """All are."""
        if self._table and not self.as_json:
            outcomes_table(outcomes)


def reporting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options -q and -v beside the command's own `--json`; it receives a `report`. Stands before options that may have something to say."""

    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but what failed.")
    @click.option("-v", "--verbose", is_flag=True, help="Say where each file is, and what each stage took.")
    @functools.wraps(command)
    def wrapper(*args: Any, quiet: bool, verbose: bool, as_json: bool, **kwargs: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose exclude each other.")
        console, before = tables.ERR, tables.ERR.quiet
        console.quiet = quiet
        try:
            return command(*args, report=Report(as_json, quiet, verbose), **kwargs)
        finally:
            console.quiet = before

    return wrapper


def outcomes_table(outcomes: list[VideoOutcome]) -> None:
    """What came out, a line per file; the reasons of failures below. A name for which there is no room has a line of its own."""
    heads = ("id", "status", *COUNTS, "seconds")
    rows = [_cells(one) for one in outcomes]
    widths = [max(len(head), *(len(row[index]) for row in rows)) for index, head in enumerate(heads)]
    names = [readable(one.filename) for one in outcomes]
    room = max(tables.OUT.width - sum(widths) - len(widths), len("video"))
    first = max(len("video"), *(cell_len(name) for name in names if cell_len(name) <= room), 0)

    def said(name: str, cells: tuple[str, ...]) -> str:
        texts = (
            text.ljust(width) if index < 2 else text.rjust(width) for index, (text, width) in enumerate(zip(cells, widths, strict=True))
        )
        return " ".join((set_cell_size(name, first), *texts)).rstrip()

    tables.line(said("video", heads), style="bold")
    for one, name, cells in zip(outcomes, names, rows, strict=True):
        if cell_len(name) > first:
            tables.line(name)
            name = ""
        tables.line(said(name, cells), style=None if one.status == "completed" else "red")
    for one in outcomes:
        if one.failure_code:
            tables.OUT.print(tables.cell(f"{one.filename} [{one.failure_code}] {one.failure_message}"))
        if one.note:
            tables.OUT.print(tables.cell(f"{one.filename}: {one.note}"))


def _cells(one: VideoOutcome) -> tuple[str, ...]:
    counts = [str(getattr(one, name)) for name in COUNTS] if one.status == "completed" else [""] * len(COUNTS)
    spent = (f"{sum(one.seconds.values()):.1f}" if one.seconds else "fresh") if one.status == "completed" else ""
    return (one.video_id or "")[:8], one.status, *counts, spent


def _told(one: VideoOutcome) -> str:
    if one.failure_code:
        return f"{one.status} [{one.failure_code}] {one.failure_message}"
    spent = f" in {sum(one.seconds.values()):.1f} s" if one.seconds else ", fresh"
    counts = ", ".join(f"{getattr(one, name)} {name}" for name in COUNTS)
    return f"{one.status}{spent}: {counts}; id {(one.video_id or '')[:8]}" + (f". {one.note}" if one.note else "")

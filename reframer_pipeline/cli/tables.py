"""How results look on a terminal: tables and notices. Standard output carries results, standard error everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reframer_pipeline.cli.readable import readable
from reframer_pipeline.running.run_videos import VideoOutcome

OUT: Final = Console()
ERR: Final = Console(stderr=True)

DEMO_NOTICE: Final = (
    "Demonstration models: small networks trained on drawn clips. Their output on real footage is no measure of the pipeline; "
    "use official weights for that."
)


def line(text: str) -> None:
    """A line of standard output as it is: no markup, no highlights, no breaks but the terminal's own."""
    OUT.print(readable(text), markup=False, highlight=False, soft_wrap=True)


def cell(text: str) -> str:
    """Text from elsewhere, for a place where markup is read."""
    return escape(readable(text))


def notice(text: str) -> None:
    """Something everyone must see, on standard error."""
    ERR.print(f"[yellow]![/yellow] {cell(text)}", highlight=False)


def own_settings(overrides: Mapping[str, Any]) -> str:
    """A video's own settings in one line: `conf 0.3; vid_stride 15`."""
    listed = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in overrides.items()}
    return "; ".join(f"{name} {value}" for name, value in sorted(listed.items()))


def outcomes_table(outcomes: list[VideoOutcome]) -> None:
    """What came out, a line per file; failures with their reason below."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("video", overflow="fold")
    for name in ("id", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("frames", "detections", "masks", "tracks", "scenes", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in outcomes:
        colour = "green" if one.status == "completed" else "red"
        counts = [str(value) for value in (one.frames, one.detections, one.masks, one.tracks, one.scenes)]
        spent = f"{sum(one.seconds.values()):.1f}" if one.seconds else "fresh"
        cells = [*counts, spent] if one.status == "completed" else [""] * 6
        table.add_row(cell(one.filename), (one.video_id or "")[:8], f"[{colour}]{one.status}[/{colour}]", *cells)
    OUT.print(table, highlight=False)
    for one in outcomes:
        if one.failure_code:
            line(f"{one.filename} [{one.failure_code}] {one.failure_message}")
        if one.note:
            line(f"{one.filename}: {one.note}")

"""`reframer plan`: before anything runs, what would be computed, why, and what it would take. Computes and requests nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

import click
from rich.table import Table

from reframer_pipeline.cli.options import COMPUTING, with_settings
from reframer_pipeline.cli.tables import OUT
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import deployment, open_storage, status
from reframer_pipeline.storage.estimates import Rates, rates
from reframer_pipeline.storage.planning import VideoPlan

LONGEST_TABLE: Final = 50


@click.command()
@click.argument("video_ids", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: videos, and every stage with state, reason and estimates.")
@with_settings(*COMPUTING)
def plan(video_ids: tuple[str, ...], settings: Settings, as_json: bool) -> None:
    """What is missing or stale, and why; what it would take by what earlier runs measured.

    Compares with the deployment's settings and each video's own. Options ask what if:

    \b
    reframer plan                 everything
    reframer plan 3f2a            one video; the first characters of its id are enough
    reframer plan --conf 0.4      what another confidence would recompute
    """
    from reframer_pipeline.planner import Planner

    with open_storage(settings) as storage:
        ids = [status.find_video(storage.db, prefix) for prefix in video_ids] or None
        planner = Planner.of(storage, settings, _given(settings))
        known = rates(storage.db)
        told = (_told(one, known) for one in planner.plans(ids))
        if as_json:
            _print_json(told)
        else:
            _print_table(told)


def _given(settings: Settings) -> dict[str, Any]:
    """The result settings that options gave: those that are not what the environment says."""
    usual = Settings()
    return {name: getattr(settings, name) for name in deployment.NAMES if getattr(settings, name) != getattr(usual, name)}


def _told(one: VideoPlan, known: Rates) -> dict[str, Any]:
    stages = []
    for stage, state in one.stages.items():
        idle = state.state == "fresh"
        stages.append(
            {
                "stage": stage,
                "state": state.state,
                "reason": "; ".join(state.reasons) or ("never ran" if state.state == "missing" else None),
                "estimated_seconds": 0.0 if idle else known.of_stage(stage, one.duration),
                "estimated_cost": 0.0 if idle or stage != "scenes" else known.of_gemini(one.video_id, one.wanted, one.duration),
            }
        )
    return {"video_id": one.video_id, "stages": stages}


def _print_json(told: Iterator[dict[str, Any]]) -> None:
    """Written video by video, so that a hundred thousand need no memory."""
    sys.stdout.write('{"videos":[')
    for index, one in enumerate(told):
        sys.stdout.write(("," if index else "") + json.dumps(one, separators=(",", ":")))
    sys.stdout.write("]}\n")


def _print_table(told: Iterator[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("id", "stage", "state", "why"):
        table.add_column(name, overflow="fold", no_wrap=name != "why")
    for name in ("seconds", "$"):
        table.add_column(name, justify="right", no_wrap=True)
    fresh = work = 0
    seconds = cost = 0.0
    unknown = False
    for one in told:
        open_ones = [stage for stage in one["stages"] if stage["state"] != "fresh"]
        fresh, work = fresh + (not open_ones), work + bool(open_ones)
        for index, stage in enumerate(open_ones):
            seconds, cost = seconds + (stage["estimated_seconds"] or 0), cost + (stage["estimated_cost"] or 0)
            unknown = unknown or stage["estimated_seconds"] is None
            if work <= LONGEST_TABLE:
                figures = (_figure(stage["estimated_seconds"], ".1f"), _figure(stage["estimated_cost"] or None, ".4f"))
                table.add_row("" if index else one["video_id"][:8], stage["stage"], stage["state"], stage["reason"], *figures)
    if work:
        OUT.print(table, markup=False, highlight=False)
    more = f" ({work - LONGEST_TABLE} more than shown)" if work > LONGEST_TABLE else ""
    guess = f", about {seconds:.0f} s" + (" and what was never measured" if unknown else "") + (f", ${cost:.4f}" if cost else "")
    OUT.print(f"{fresh} videos are fresh, {work} have work{more}{guess if work else ''}.", markup=False, highlight=False, soft_wrap=True)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


COMMANDS = {"plan": plan}

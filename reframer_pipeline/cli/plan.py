"""`reframer plan`: before anything runs, what would be computed, why, and what it would take. Computes and requests nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import click
from rich.markup import escape

from reframer_pipeline.cli.completion import video_ids as complete_ids
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.options import COMPUTING, PLACES, make_settings, setting_options
from reframer_pipeline.cli.tables import OUT, line, table
from reframer_pipeline.planning import result_settings
from reframer_pipeline.planning.survey import StageState, VideoPlan
from reframer_pipeline.reading.estimates import Rates, rates
from reframer_pipeline.results.storage import open_existing
from reframer_pipeline.work.videos import find_video

LONGEST_TABLE: Final = 50


@click.command(cls=SectionedCommand)
@click.argument("video_ids", nargs=-1, shell_complete=complete_ids)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every stage of every video.")
@setting_options(*COMPUTING, common=PLACES)
def plan(video_ids: tuple[str, ...], chosen: dict[str, Any], as_json: bool) -> None:
    """Say what would be computed, why, and how long it takes.

    Nothing is computed. Times come from earlier runs. It compares with the settings that `reframer dev` saved, and each video's own.
    An option asks "what if":

    \b
    reframer plan             all videos
    reframer plan 3f2a        one video
    reframer plan --conf 0.4  what if the confidence were 0.4?
    """
    from reframer_pipeline.planning.backlog import held_back, waits
    from reframer_pipeline.planning.planner import Planner

    settings = make_settings(chosen)
    what_if = result_settings.given(settings, [name for name, value in chosen.items() if value is not None])
    with open_existing(settings) as storage:
        ids = [find_video(storage.db, prefix) for prefix in video_ids] or None
        planner = Planner.of(storage, settings, what_if)
        known, waiting = rates(storage.db), waits(storage.db)

        def held(one: VideoPlan) -> str | None:
            return held_back(one, waiting, settings.max_attempts) if one.to_compute and not one.failed else None

        told = ((one.video_id, _lines(one, known, held(one))) for one in planner.plans(ids))
        if as_json:
            _print_json(told)
        else:
            _print_table(told)


class Line(NamedTuple):
    """One stage of one video; `held` is why the backfill does not take it up now."""

    state: StageState
    seconds: float | None
    cost: float | None
    held: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it has to run, and what keeps it; why readers do not see it; None if there is nothing to say."""
        why = self.state.reasons or (("never ran",) if self.state.state == "missing" else ())
        return "; ".join((*why, self.held) if self.held else why) or None


def _lines(one: VideoPlan, known: Rates, held: str | None = None) -> list[Line]:
    """A video's stages. What keeps the video is said with the first that has to run."""
    lines = list[Line]()
    for stage, state in one.stages.items():
        if state.state == "fresh":
            lines.append(Line(state, 0.0, 0.0))
        else:
            cost = known.of_gemini(one.video_id, one.wanted, one.duration) if stage == "scenes" else 0.0
            lines.append(Line(state, known.of_stage(stage, one.duration, one.wanted), cost, held))
            held = None
    return lines


def _print_json(told: Iterator[tuple[str, list[Line]]]) -> None:
    """Written video by video, so that a hundred thousand need no memory; what many stages have in common is encoded once."""
    sys.stdout.write('{"videos":[')
    for index, (video_id, lines) in enumerate(told):
        stages = []
        for one in lines:
            figures = f', "estimated_seconds": {_json(one.seconds)}, "estimated_cost": {_json(one.cost)}}}'
            stages.append(_head(one.state.stage, one.state.state, one.reason) + figures)
        sys.stdout.write(f'{"," if index else ""}\n{{"video_id": "{video_id}", "stages": [{", ".join(stages)}]}}')
    sys.stdout.write("]}\n")


@lru_cache
def _head(stage: str, state: str, reason: str | None) -> str:
    """What does not depend on the video's length, encoded but for the closing brace."""
    return json.dumps({"stage": stage, "state": state, "reason": reason})[:-1]


def _json(value: float | None) -> str:
    return "null" if value is None else repr(value)


def _print_table(told: Iterator[tuple[str, list[Line]]]) -> None:
    columns = table("id", "stage", "state", "why", wraps={"why"})
    for name in ("seconds", "$"):
        columns.add_column(name, justify="right", no_wrap=True)
    fresh = work = failed = unshown = listed = 0
    seconds = cost = 0.0
    unknown = False
    for video_id, lines in told:
        todo = [one for one in lines if one.state.state != "fresh"]
        to_show = [] if todo else [one for one in lines if one.reason]
        gave_up = any(one.state.state == "failed" for one in todo)
        fresh, work, failed, unshown = fresh + (not todo), work + bool(todo and not gave_up), failed + gave_up, unshown + bool(to_show)
        listed += bool(todo or to_show)
        for index, one in enumerate(todo or to_show):
            if not gave_up:
                seconds, cost = seconds + (one.seconds or 0), cost + (one.cost or 0)
                unknown = unknown or one.seconds is None
            if listed <= LONGEST_TABLE:
                figures = (_figure(one.seconds, ".1f"), _figure(one.cost or None, ".4f"))
                columns.add_row("" if index else video_id[:8], one.state.stage, one.state.state, escape(one.reason or ""), *figures)
    if listed:
        OUT.print(columns)
    more = f" ({listed - LONGEST_TABLE} more than listed)" if listed > LONGEST_TABLE else ""
    waiting = f" ({unshown} of them computed before and not shown yet)" if unshown else ""
    left_alone = f", {failed} failed for good and are left alone" if failed else ""
    measured = f", about {seconds:.0f} s" if seconds else ""
    guess = (
        measured + (f"{' and' if measured else ', with'} what was never measured" if unknown else "") + (f", ${cost:.4f}" if cost else "")
    )
    line(f"{fresh} videos are fresh{waiting}{left_alone}, {work} have work{more}{guess if work else ''}.")


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)

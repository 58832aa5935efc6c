"""Planning: what of a video is fresh, stale, missing or failed, why, and what it would take.

What belongs here: comparing the recipes that are wanted with what the manifest has. What does not: computing anything, deciding who runs
it, where settings come from (`result_settings`). CLI, schedule and runner all ask this one module. It is one query over the manifest, and
since recipes do not depend on the video, one string comparison per stage: 100,000 videos take seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, LiteralString

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import NAMES, STAGES
from reframer_pipeline.versions import Recipe

Wanted = Mapping[str, Recipe]
# From a video's overrides to the recipes wanted for it, and why these cannot be followed now, if they cannot.
Choose = Callable[[Mapping[str, Any]], tuple[Wanted, str | None]]
NOT_SHOWN: Final = "computed before, not shown yet"


@dataclass(frozen=True)
class StageState:
    """How one stage of one video stands.

    Attributes:
        stage: Name of the stage.
        state: `fresh`, the result asked for exists; `stale`, only others do; `missing`, none does; `failed`, it failed for good with
            exactly this recipe, and it is needed: it is missing, or it was evicted and another stage looks at it.
        reasons: For stale ones, what differs from what readers see; for failed ones, code and message; for fresh ones that readers do
            not see, that.
        published: Whether readers see exactly this result.
        evicted: Whether its attachment was deleted to save space: fresh, unless another stage needs it.
    """

    stage: str
    state: Literal["fresh", "stale", "missing", "failed"]
    reasons: tuple[str, ...] = ()
    published: bool = False
    evicted: bool = False


@dataclass(frozen=True)
class VideoPlan:
    """How a video stands.

    Attributes:
        video_id: The video.
        duration: Seconds, or None before metadata.
        stages: In pipeline order.
        wanted: The recipes that it was compared with.
        trouble: Why these cannot be followed now, such as weights that are not here; None if they can.
    """

    video_id: str
    duration: float | None
    stages: dict[str, StageState]
    wanted: Wanted
    trouble: str | None = None

    @property
    def to_compute(self) -> tuple[str, ...]:
        """The stages that have no result yet, in order, and frames that were evicted if one of these looks at pictures.

        (What follows a stale stage is stale by its recipe.)
        """
        return to_compute(self.stages, self.wanted)

    @property
    def unshown(self) -> bool:
        """Whether there is nothing to compute, and readers see other results all the same: settings were changed and changed back."""
        return not self.to_compute and not all(state.published for state in self.stages.values())

    @property
    def failed(self) -> bool:
        """Whether it would fail again: a stage failed for good with the very recipe that is wanted."""
        return any(state.state == "failed" for state in self.stages.values())


def survey(db: Database, video_ids: Iterable[str] | None, choose: Choose) -> Iterator[VideoPlan]:
    """How videos stand, the oldest first.

    Args:
        db: The database.
        video_ids: Which; None for all. Unknown ids are left out.
        choose: The recipes that are wanted, given a video's overrides, and what is wrong with them; called once for each distinct set.
    """
    known, found = db.run(
        lambda conn: (
            {row["digest"]: row for row in conn.execute("SELECT * FROM recipes")},
            conn.execute(_SURVEY, {"ids": None if video_ids is None else list(video_ids)}).fetchall(),
        ),
        snapshot=True,  # or the first result of a new recipe comes in between
    )
    wanted: dict[str, tuple[Wanted, str | None]] = {}
    memo: dict[tuple[str, str | None, str], dict[str, StageState]] = {}
    for row in found:
        overrides = row["overrides"]
        if overrides not in wanted:
            wanted[overrides] = choose(json.loads(overrides))
        # thousands of videos stand alike: each way of standing is worked out once
        alike = (overrides, row["made"], row["failure"] or "")
        if alike not in memo:
            memo[alike] = _states(row, wanted[overrides][0], known)
        yield VideoPlan(row["video_id"], row["duration"], memo[alike], *wanted[overrides])


def to_compute(states: Mapping[str, StageState], wanted: Wanted) -> tuple[str, ...]:
    """The stages that have to run, in order; see `VideoPlan.to_compute`."""
    open_ones = {name for name in NAMES if states[name].state != "fresh"}
    looking = {stage.name for stage in STAGES if stage.looks_at_pictures(wanted[stage.name].settings)}
    if states["frames"].evicted and not looking.isdisjoint(open_ones):
        open_ones.add("frames")
    return tuple(name for name in NAMES if name in open_ones)


# A result counts as published if the one that corrects it by hand is. A failure counts until the same recipe has succeeded: a result that
# was made again later, and then evicted, may be made once more.
_SURVEY: Final[LiteralString] = """
    SELECT v.id::text AS video_id, v.duration, v.settings_overrides::text AS overrides, made.made, failed.failure
    FROM videos v
    LEFT JOIN (
        SELECT r.video_id, string_agg(r.recipe || CASE WHEN p.result_id IS NULL AND by_hand.corrects IS NULL THEN '' ELSE '*' END
                   || CASE WHEN r.evicted_at IS NULL THEN '' ELSE '!' END, ' ' ORDER BY r.created_at) AS made
        FROM results r LEFT JOIN published p ON p.video_id = r.video_id AND p.result_id = r.result_id
            LEFT JOIN (SELECT c.corrects FROM results c JOIN published USING (result_id) WHERE c.corrects IS NOT NULL
                AND (%(ids)s::uuid[] IS NULL OR c.video_id = ANY(%(ids)s::uuid[]))) by_hand
                ON by_hand.corrects = r.result_id
        WHERE r.corrects IS NULL AND (%(ids)s::uuid[] IS NULL OR r.video_id = ANY(%(ids)s::uuid[]))
        GROUP BY r.video_id
    ) made ON made.video_id = v.id
    LEFT JOIN (
        SELECT DISTINCT ON (j.video_id) j.video_id, CASE WHEN NOT j.retryable AND NOT EXISTS (
            SELECT 1 FROM results r WHERE r.video_id = j.video_id AND r.recipe = j.failed_recipe
                AND greatest(r.created_at, r.recomputed_at) > j.finished_at
            ) THEN jsonb_build_object('recipe', j.failed_recipe, 'code', j.failure_code, 'message', j.failure_message)::text END AS failure
        FROM processing_jobs j WHERE j.failed_recipe IS NOT NULL AND (%(ids)s::uuid[] IS NULL OR j.video_id = ANY(%(ids)s::uuid[]))
        ORDER BY j.video_id, j.created_at DESC
    ) failed ON failed.video_id = v.id
    WHERE %(ids)s::uuid[] IS NULL OR v.id = ANY(%(ids)s::uuid[])
    ORDER BY v.created_at, v.id
"""


def _states(row: Row, wanted: Wanted, known: Mapping[str, Row]) -> dict[str, StageState]:
    made = (row["made"] or "").split()
    seen = {digest.rstrip("*!"): digest for digest in made}
    failure = json.loads(row["failure"]) if row["failure"] else None
    states: dict[str, StageState] = {}
    for stage in NAMES:
        recipe = wanted[stage]
        mine = [digest for digest in seen if known[digest]["stage"] == stage]
        if recipe.digest in seen:
            published, evicted = "*" in seen[recipe.digest], "!" in seen[recipe.digest]
            states[stage] = StageState(stage, "fresh", () if published else (NOT_SHOWN,), published, evicted)
        elif failure is not None and failure["recipe"] == recipe.digest:
            states[stage] = _failed(stage, failure)
        elif not mine:
            states[stage] = StageState(stage, "missing")
        else:  # what readers see is what a person compares with; before there is such, the newest
            old = next((digest for digest in mine if "*" in seen[digest]), mine[-1])
            states[stage] = StageState(stage, "stale", _difference(recipe, known[old]))
    for stage in to_compute(states, wanted):  # what was evicted and is needed again may have failed as well
        if failure is not None and failure["recipe"] == wanted[stage].digest:
            states[stage] = _failed(stage, failure)
    return states


def _failed(stage: str, failure: Mapping[str, str]) -> StageState:
    return StageState(stage, "failed", (f"[{failure['code']}] {failure['message']}",))


def _difference(wanted: Recipe, there: Row) -> tuple[str, ...]:
    """What differs between two recipes of a stage, in words: `conf: 0.5 → 0.4`."""
    reasons = []
    if wanted.code_version != there["code_version"]:
        reasons.append(f"code version: {there['code_version']} → {wanted.code_version}")
    if wanted.weights != there["weights"]:
        reasons.append(f"weights: {_short(there['weights'])} → {_short(wanted.weights)}")
    old, new = there["settings"], wanted.settings
    pairs = {name: (_value(name, old, new), _value(name, new, old)) for name in sorted({*old, *new})}
    reasons += [f"{name}: {_short(before)} → {_short(now)}" for name, (before, now) in pairs.items() if before != now]
    reasons += [f"other {stage}" for stage, digest in wanted.inputs.items() if there["inputs"].get(stage) != digest]
    return tuple(reasons)


def _value(name: str, settings: Mapping[str, Any], others: Mapping[str, Any]) -> object:
    """A setting of a recipe. Some stand in it only if they are not at their default; others if something else asks for them."""
    field = Settings.model_fields.get(name)
    usual = field.default if field is not None and name in others and field.default != others[name] else None
    return settings.get(name, usual)


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else "unset" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"

"""Planning: what of a video is fresh, stale or missing, and why.

What belongs here: comparing the keys that today's settings ask for with what the manifest has. What does not: computing anything,
deciding who runs it. Sensor, schedule, CLI and UI all ask this one function.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reframer_pipeline.settings import Settings
from reframer_pipeline.storage.postgres import Database
from reframer_pipeline.versions import STAGES, StageKey, stage_keys


@dataclass(frozen=True)
class StageState:
    """How one stage of one video stands.

    Attributes:
        stage: Name of the stage.
        state: `fresh`, the result asked for exists; `stale`, only others do; `missing`, none does.
        result_id: The result asked for, whether it exists or not.
        reasons: For stale ones, what differs from the newest there is.
        published: Whether readers see exactly this result.
    """

    stage: str
    state: Literal["fresh", "stale", "missing"]
    result_id: str
    reasons: tuple[str, ...] = ()
    published: bool = False


def stage_states(
    db: Database, video_ids: Iterable[str] | None, settings: Settings, weights: dict[str, str]
) -> dict[str, dict[str, StageState]]:
    """How all stages of some videos stand.

    Args:
        db: The database.
        video_ids: Which; None for all.
        settings: What results are wanted for.
        weights: Digest by role, as for `versions.stage_keys`.

    Returns:
        Video id to stage to state, in pipeline order. Unknown ids are left out.
    """
    chosen = None if video_ids is None else list(video_ids)
    rows = db.fetch(
        """SELECT v.id::text AS video_id, v.sha256, r.result_id::text, r.stage, r.components, p.result_id IS NOT NULL AS published
           FROM videos v LEFT JOIN results r ON r.video_id = v.id
               LEFT JOIN published p ON p.video_id = r.video_id AND p.result_id = r.result_id
           WHERE %(ids)s::uuid[] IS NULL OR v.id = ANY(%(ids)s::uuid[])
           ORDER BY v.created_at, v.id, r.created_at""",
        {"ids": chosen},
    )
    videos: dict[str, str] = {}
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        videos[row["video_id"]] = row["sha256"]
        if row["stage"]:
            found[row["video_id"]][row["stage"]].append(row)
    return {
        video_id: {stage: _state(key, found[video_id][stage]) for stage, key in stage_keys(sha256, settings, weights).items()}
        for video_id, sha256 in videos.items()
    }


def to_compute(states: Mapping[str, StageState]) -> list[str]:
    """The stages that have to run, in order: those not fresh. (What follows a stale stage is stale by its key.)"""
    return [stage for stage in STAGES if states[stage].state != "fresh"]


def difference(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two keys' components, in words: `conf: 0.5 → 0.4`."""
    reasons = []
    if wanted["code_version"] != there.get("code_version"):
        reasons.append(f"code version: {there.get('code_version')} → {wanted['code_version']}")
    if wanted["weights"] != there.get("weights"):
        reasons.append(f"weights: {_short(there.get('weights'))} → {_short(wanted['weights'])}")
    old, new = there.get("settings", {}), wanted["settings"]
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    reasons += [f"{name}: {_short(old.get(name))} → {_short(new.get(name))}" for name in names]
    inputs = there.get("inputs", {})
    changed = [stage for stage, result_id in wanted["inputs"].items() if inputs.get(stage) != result_id]
    return (*reasons, *(f"other {stage}" for stage in changed))


def _state(key: StageKey, rows: list[dict[str, Any]]) -> StageState:
    for row in rows:
        if row["result_id"] == key.result_id:
            return StageState(key.stage, "fresh", key.result_id, published=row["published"])
    if not rows:
        return StageState(key.stage, "missing", key.result_id)
    # What readers see is what a person compares with; before there is such, the newest.
    reference = next((row for row in rows if row["published"]), rows[-1])
    return StageState(key.stage, "stale", key.result_id, difference(key.components, reference["components"]))


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"

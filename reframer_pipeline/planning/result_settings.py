"""Whose settings a video is computed with: the deployment's, and the video's own where somebody ran it with others.

What belongs here: these two rows (`deployment.settings`, `videos.settings_overrides`) and putting them together. What does not: settings
that change no result, such as device or batch: each process has its own. Only what somebody gave counts: a setting that was left at its
default says nothing against the deployment's. A run with other settings than the deployment's leaves an override, so no schedule reverts
it; a run without them takes it away again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.releases import RELEASES

# Every setting that changes a result, directly or by what is derived from it.
NAMES: Final = (
    "models", "yolo_model", "sam2_model", "precision", "vid_stride", "imgsz", "conf", "iou", "min_size", "person_labels", "product_labels",
    "mask_stride", "mask_conf", "sam2_imgsz",
    "track_thresh", "track_low_conf", "track_buffer", "match_thresh", "min_sightings", "shot_threshold", "min_shot_s",
    "describer", "gemini_model", "gemini_media", "gemini_keyframes", "gemini_snap_s",
)  # fmt: skip


def chosen(settings: Settings) -> dict[str, Any]:
    """The settings that change results, as JSON values. Who describes is resolved: a process without a key must not see it otherwise."""
    places = absolute_places(settings)
    values: dict[str, Any] = json.loads(settings.model_dump_json(include=set(NAMES)))
    return {**values, "describer": settings.resolved_describer, "yolo_model": places.get("yolo_model", settings.yolo_model)}


def absolute_places(settings: Settings) -> dict[str, str]:
    """The settings that name a file or folder here, as absolute paths. URLs and names of models are not among them."""
    places = {"home": str(settings.home_dir)}
    if settings.weights_dir is not None:
        places["weights_dir"] = str(settings.weights_folder)
    for name in ("store_url", "uploads_url"):
        url = getattr(settings, name)
        if url is not None and "://" not in url and "::" not in url:
            places[name] = str(Path(url).expanduser().absolute())
    own_model = Path(settings.yolo_model).expanduser()
    if settings.yolo_model not in RELEASES and own_model.is_file():
        places["yolo_model"] = str(own_model.absolute())
    return places


def given(settings: Settings, among: Collection[str] | None = None) -> dict[str, Any]:
    """The settings that change results and that somebody gave, as JSON values: keyword arguments, options and variables that are set.

    `auto` asks for no describer where there is no key: a shell without one must not decide for Gemini's absence.

    Args:
        settings: As they were made, or copied with an update (`model_fields_set`).
        among: Only these names; None for all.
    """
    names = set(settings.model_fields_set if among is None else among)
    if settings.describer == "auto" and settings.gemini_api_key is None:
        names.discard("describer")
    return {name: value for name, value in chosen(settings).items() if name in names}


def apply(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings with stored values in place of their own; unknown names are left out."""
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in NAMES}
    return settings.model_copy(update=known) if known else settings


def load(db: Database, settings: Settings) -> Settings:
    """The deployment's settings; those of the process where none were ever saved."""
    return apply(settings, _stored(db))


def save(db: Database, settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Make these the deployment's settings.

    Returns:
        What changed: name to old and new value. A setting that did not exist when they were saved last had its default. Empty the first
        time.
    """
    before, now = _stored(db), chosen(settings)
    if now != before:
        db.execute("UPDATE deployment SET settings = %s", (json.dumps(now),))
    was = {**chosen(Settings.model_construct()), **before} if before else now
    return {name: (was[name], now[name]) for name in NAMES if was[name] != now[name]}


def wanted(db: Database, settings: Settings) -> Settings:
    """What a run by a process with these settings computes with: the deployment's, and above them what was given."""
    return apply(load(db, settings), given(settings))


@dataclass(frozen=True)
class Noted:
    """What a run's settings change in the overrides of its videos.

    Attributes:
        overrides: What stands above the deployment's settings; empty if nothing does.
        video_ids: The videos that had another override, or one where there is none now.
    """

    overrides: dict[str, Any]
    video_ids: tuple[str, ...]


def note_ahead(db: Database, settings: Settings, video_ids: Collection[str]) -> Noted:
    """Remember that videos are wanted with these settings, before their turn: should the run never come to them, the backfill knows.

    A video that somebody is computing keeps its override until its turn: a run must not see its settings change.
    """
    overrides = _overrides(db, settings)
    rows = db.fetch(
        "SELECT id::text AS id FROM videos WHERE id::text = ANY(%s) AND settings_overrides <> %s", (list(video_ids), json.dumps(overrides))
    )
    changed = tuple(row["id"] for row in rows)
    if changed:
        db.execute(
            f"{_NOTE} AND NOT EXISTS (SELECT 1 FROM leases WHERE video_id = videos.id AND expires_at > clock_timestamp())",
            {"new": json.dumps(overrides), "ids": list(changed)},
        )
    return Noted(overrides, changed)


def note_overrides(db: Database, settings: Settings, video_id: str) -> dict[str, Any]:
    """Remember that a video is wanted with these settings: what was given and differs from the deployment's becomes its override. For the
    holder of the video's lease.

    Where the deployment has no settings yet, what was given and differs from the defaults does.

    Returns:
        The override; empty if there is none.
    """
    overrides = _overrides(db, settings)
    db.execute(_NOTE, {"new": json.dumps(overrides), "ids": [video_id]})
    return overrides


_NOTE: Final[LiteralString] = (
    "UPDATE videos SET settings_overrides = %(new)s WHERE id = ANY(%(ids)s::uuid[]) AND settings_overrides <> %(new)s"
)


def _overrides(db: Database, settings: Settings) -> dict[str, Any]:
    standard = {**chosen(Settings.model_construct()), **_stored(db)}
    return {name: value for name, value in given(settings).items() if value != standard.get(name)}


def _stored(db: Database) -> dict[str, Any]:
    """The deployment's settings as JSON values; empty where none were ever saved."""
    row = db.fetch_one("SELECT settings FROM deployment")
    return row["settings"] if row else {}

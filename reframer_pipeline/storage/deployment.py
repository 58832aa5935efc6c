"""Whose settings a video is computed with: the deployment's, and the video's own where somebody ran it with others.

What belongs here: these two rows (`deployment.settings`, `videos.settings_overrides`) and putting them together. What does not: settings
that change no result, such as device or batch: each process has its own. A run from the command line with other settings than the
deployment's leaves an override, so no schedule reverts it; a run with the deployment's settings takes it away again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from reframer_pipeline.failures import UnknownVideo
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage.postgres import Database

# Every setting that changes a result, directly or by what is derived from it.
NAMES: Final = (
    "models", "yolo_model", "sam2_model", "vid_stride", "imgsz", "conf", "iou", "min_size", "person_labels", "product_labels",
    "track_thresh", "track_low_conf", "track_buffer", "match_thresh", "shot_threshold", "min_shot_s",
    "describer", "gemini_model", "gemini_media", "gemini_keyframes", "gemini_snap_s",
)  # fmt: skip


def chosen(settings: Settings) -> dict[str, Any]:
    """The settings that change results, as JSON values. Who describes is resolved: a process without a key must not see it otherwise."""
    places = settings.absolute_places()
    values: dict[str, Any] = json.loads(settings.model_dump_json(include=set(NAMES)))
    return {**values, "describer": settings.resolved_describer, "yolo_model": places.get("yolo_model", settings.yolo_model)}


def apply(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings with stored values in place of their own; unknown names are left out."""
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in NAMES}
    return settings.model_copy(update=known) if known else settings


def load(db: Database, settings: Settings) -> Settings:
    """The deployment's settings; those of the process where none were ever saved."""
    row = db.fetch_one("SELECT settings FROM deployment")
    return apply(settings, row["settings"] if row else {})


def save(db: Database, settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Make these the deployment's settings.

    Returns:
        What changed: name to old and new value. Empty the first time.
    """
    row = db.fetch_one("SELECT settings FROM deployment")
    before: dict[str, Any] = row["settings"] if row else {}
    now = chosen(settings)
    if now != before:
        db.execute("UPDATE deployment SET settings = %s", (json.dumps(now),))
    return {name: (before[name], now[name]) for name in NAMES if name in before and before[name] != now[name]}


def for_video(db: Database, settings: Settings, video_id: str) -> Settings:
    """What a video is computed with when nobody says otherwise.

    Raises:
        UnknownVideo: There is no such video.
    """
    row = db.fetch_one("SELECT d.settings, v.settings_overrides FROM videos v, deployment d WHERE v.id = %s", (video_id,))
    if row is None:
        raise UnknownVideo(f"There is no video {video_id}.")
    return apply(apply(settings, row["settings"]), row["settings_overrides"])


def note_overrides(db: Database, settings: Settings, video_id: str) -> dict[str, Any]:
    """Remember that a video is wanted with these settings: what differs from the deployment's becomes its override.

    Where the deployment has no settings yet, everything that differs from the defaults does.

    Returns:
        The override; empty if there is none.
    """
    row = db.fetch_one("SELECT settings FROM deployment")
    standard = {**chosen(Settings.model_construct()), **(row["settings"] if row else {})}
    overrides = {name: value for name, value in chosen(settings).items() if value != standard.get(name)}
    db.execute(
        "UPDATE videos SET settings_overrides = %(new)s WHERE id = %(id)s AND settings_overrides <> %(new)s",
        {"new": json.dumps(overrides), "id": video_id},
    )
    return overrides

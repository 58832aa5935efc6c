"""Orders: what a video is to be computed with, resolved from what is stored and what is at hand.

What belongs here: making an `Order`, and writing it down for the other stages of its run. What does not: the value (`stages.order`), whose
settings count (`result_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reframer_pipeline.database.postgres import Database
from reframer_pipeline.failures import ReframerError, UnknownVideo
from reframer_pipeline.failures.typing import typed
from reframer_pipeline.planning import result_settings
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.order import Order, VideoCard
from reframer_pipeline.work.videos import is_video_id


def resolve(db: Database, settings: Settings, video_id: str, run_id: str | None = None) -> Order:
    """What a video is computed with when nobody says otherwise: the deployment's settings and the video's own in place of the process's.

    Args:
        db: The database.
        settings: The process's.
        video_id: The video.
        run_id: A run whose order may have been written down by another of its stages.

    Raises:
        UnknownVideo: There is no such video.
    """
    if not is_video_id(video_id):
        raise UnknownVideo(f"There is no video {video_id}.")
    row = db.fetch_one(
        """SELECT v.id::text AS video_id, v.sha256, v.filename, v.size_bytes, u.email, v.created_at,
                d.settings, v.settings_overrides, j.pinned
            FROM videos v JOIN users u ON u.id = v.user_id CROSS JOIN deployment d
                LEFT JOIN processing_jobs j ON j.video_id = v.id AND j.run_id = %s
            WHERE v.id = %s""",
        (run_id, video_id),
    )
    if row is None:
        raise UnknownVideo(f"There is no video {video_id}.")
    chosen, overrides, pinned = (row.pop(name) for name in ("settings", "settings_overrides", "pinned"))
    if pinned is not None:
        return follow(Order(VideoCard(**row), settings, {}), pinned)
    return of(VideoCard(**row), result_settings.apply(result_settings.apply(settings, chosen), overrides))


def of(video: VideoCard, settings: Settings) -> Order:
    """An order with exactly these settings, and the weights that are at hand."""
    return Order(video, settings, *known_weights(settings))


def pinned(order: Order) -> dict[str, Any]:
    """An order as JSON values: what the other stages of its run have to know of it."""
    return {"settings": result_settings.chosen(order.settings), "weights": dict(order.weights)}


def follow(order: Order, pinned: Mapping[str, Any]) -> Order:
    """An order as it was pinned. Weights that could not be had at that time are looked for again, and a setting that there was not yet had
    what is its default now.
    """
    settings = result_settings.apply(order.settings, {**result_settings.chosen(Settings.model_construct()), **pinned["settings"]})
    if not pinned["weights"]:
        return of(order.video, settings)
    return replace(order, settings=settings, weights=pinned["weights"], trouble=None)


def known_weights(settings: Settings) -> tuple[dict[str, str], ReframerError | None]:
    """Digests of the weights that these settings name, by role; or none, and why they cannot be had."""
    from reframer_pipeline.vision import weights

    try:
        return weights.digests(settings), None
    except (ReframerError, OSError) as error:
        return {}, typed(error)

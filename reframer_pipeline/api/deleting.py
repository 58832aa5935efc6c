"""The route that deletes a video.

What belongs here: HTTP. What does not: what goes, and when (`retention.deletion`).
"""

from __future__ import annotations

import logging

from fastapi import APIRouter

from reframer_pipeline.api.access import Writer
from reframer_pipeline.api.services import Served
from reframer_pipeline.failures import NothingThere, ReframerError
from reframer_pipeline.retention import deletion
from reframer_pipeline.work.videos import is_video_id

router = APIRouter(tags=["videos"])
_log = logging.getLogger(__name__)


@router.delete("/videos/{video_id}", status_code=204)
def delete(video_id: str, served: Served, who: Writer) -> None:
    """Delete a video. Your uploads of it go at once; if nobody else has uploaded it, everything that was made of it goes too."""
    gone = deletion.delete(served.db, video_id, who.user_id) if is_video_id(video_id) else None
    if gone is None or not gone.claims:
        raise NothingThere("There is no such video.")
    try:
        deletion.finish(served.db, served.storage.store, served.settings, video_id)
    except ReframerError as failure:  # nobody can see any of it any more: the rest goes with the next sweep
        _log.warning("Deleting video %s is to be finished later: %s", video_id, failure.message)

"""Which set of a video's results a request is about: the one that is published now, or the one that it names by `result_id`.

What belongs here: how a request names a set, and how an address that an answer gives does. What does not: which sets there are, and who
sees the video (`reading.library`). Each page and each row of a table names its set: pictures asked for by that name fit the rows, even if
the video is computed anew meanwhile.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Query, Request

from reframer_pipeline.api.access import Reader
from reframer_pipeline.api.services import Served
from reframer_pipeline.reading import library
from reframer_pipeline.reading.library import Seen

NAME: Final = "result_id"
ID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"  # a UUID, as answers write it
_SAID: Final[dict[str, Any]] = {
    "pattern": ID,
    "description": "The set of results: `result_id` of a page or a row. Without it, the one that is published now.",
}
SetId = Annotated[str | None, Query(**_SAID)]


def _seen(video_id: str, served: Served, who: Reader, result_id: SetId = None) -> Seen:
    """One of the caller's videos with that set. Raises `NothingThere`, `ResultsGone`."""
    return library.see(served.db, who.user_id, video_id, result_id)


def _of_job(job_id: str, served: Served, who: Reader, result_id: SetId = None) -> Seen:
    """The video of one of the caller's jobs with that set. Raises `NothingThere`, `NotPublished`, `ResultsGone`."""
    return library.of_job(served.db, who.user_id, job_id, result_id)


Chosen = Annotated[Seen, Depends(_seen)]
ChosenOfJob = Annotated[Seen, Depends(_of_job)]


def address(request: Request, video_id: str, result_id: str, path: str) -> str:
    """The address of what is made from a set, as an answer gives it."""
    return f"{request.scope.get('root_path', '')}/videos/{video_id}/{path}?{NAME}={result_id}"

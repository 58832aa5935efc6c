"""One correction by the command line: made, and told of.

What belongs here: from what was typed to the correction, and from its outcome to lines. What does not: the commands (`correct`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from reframer_pipeline.cli.tables import line
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.results.correcting import Place
    from reframer_pipeline.results.storage import Storage


def make(settings: Settings, video_id: str, asked: dict[str, Any], at_seconds: float | None = None) -> None:
    """Make one correction, and say so.

    Args:
        settings: The settings.
        video_id: Beginning of the video's id.
        asked: The correction, as the API takes it.
        at_seconds: The moment whose frame it is about, in place of `frame`.

    Raises:
        click.UsageError: It is no correction.
        ReframerError: As for `results.correcting.correct`.
    """
    from pydantic import ValidationError

    from reframer_pipeline.corrections.events import change_of
    from reframer_pipeline.corrections.log import Author
    from reframer_pipeline.failures import UnknownTrack
    from reframer_pipeline.media.sampled import frame_at
    from reframer_pipeline.reading.sheets import results_of
    from reframer_pipeline.reading.tables import published_set
    from reframer_pipeline.results import correcting
    from reframer_pipeline.results.storage import open_existing

    with open_existing(settings) as storage:
        place = place_of(storage, video_id)
        result_id = published_set(storage.db, place.video_id)
        if at_seconds is not None:
            asked = {**asked, "frame": frame_at(results_of(storage, result_id)["frames"], at_seconds)}
        try:
            change = change_of(asked)
        except ValidationError as error:
            (wrong, *_) = error.errors(include_url=False, include_input=False)
            name = str(wrong["loc"][0])
            if name in ("track_id", "other_id"):
                raise UnknownTrack(f"{asked[name]!r} is no track such as obj_003.") from error
            raise click.UsageError(f"{name}: {wrong['msg']}.") from error
        for row in correcting.correct(place, [change], Author(author(storage)), result_id):
            line(f"{row['says']} (correction {row['number']})")
            say_lost(row["no_longer_match"])


def say_lost(numbers: Sequence[int]) -> None:
    """Say which earlier corrections lost their match."""
    for number in numbers:
        line(f"correction {number} no longer matches")


def place_of(storage: Storage, video_id: str) -> Place:
    """Where the results of a video are that is named by the beginning of its id."""
    from reframer_pipeline.results.correcting import Place
    from reframer_pipeline.work.videos import find_video

    return Place(storage.db, storage.store, storage.settings.scratch_dir, find_video(storage.db, video_id))


def author(storage: Storage) -> str:
    """The local person's user id."""
    from reframer_pipeline.users import people

    return people.add(storage.db, people.LOCAL_USER)


def seconds_of(text: str) -> float:
    """Seconds of `01:02:03.5`, `2:03` or `123.5`. Raises `click.UsageError`."""
    if not re.fullmatch(r"([0-9]{1,4}:){0,2}[0-9]{1,7}(\.[0-9]{1,9})?", text):
        raise click.UsageError(f"{text!r} is no time such as 01:02:03.5.")
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds

"""`reframer correct`: what was found is something else, and stays so.

What belongs here: its commands, as they are typed and explained. What does not: making a correction and telling of it (`correction`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.correction import author, make, place_of, say_lost, seconds_of
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import Name, line, print_rows, table
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Row

_CLASSES = click.Choice(["person", "product"])
_DIFFICULTIES = click.Choice(["easy", "medium", "hard"])


@click.group()
def correct() -> None:
    """Correct by hand what was found in a video.

    A correction is kept when the video is computed again, with whatever settings: the same thing is found by where it was. All that shows
    or exports results shows the corrected ones, marked as done by hand. `list` shows the corrections, and `undo` takes one back.

    \b
    reframer show 3f2a                             tracks, scenes and elements
    reframer correct rename 3f2a obj_003 "red mug"
    reframer correct merge 3f2a obj_003 obj_007    one thing, lost and found
    reframer correct undo 3f2a 2
    """


def _video(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument that all of them have, and the places."""
    return click.argument("video_id", metavar="ID", shell_complete=video_ids)(with_settings(*PLACES)(command))


@correct.command()
@_video
@click.argument("track")
@click.argument("label")
def rename(settings: Settings, video_id: str, track: str, label: str) -> None:
    """Say what a track is.

    Its sightings and elements get the name as well, and descriptions speak of it by that.

    \b
    reframer correct rename 3f2a obj_003 "red mug"
    """
    make(settings, video_id, {"kind": "rename", "track_id": track, "label": label})


@correct.command("class")
@_video
@click.argument("track")
@click.argument("object_class", metavar="person|product", type=_CLASSES)
def class_(settings: Settings, video_id: str, track: str, object_class: str) -> None:
    """Say of which class a track is.

    \b
    reframer correct class 3f2a obj_003 product
    """
    make(settings, video_id, {"kind": "class", "track_id": track, "class": object_class})


@correct.command()
@_video
@click.argument("track")
def delete(settings: Settings, video_id: str, track: str) -> None:
    """Delete a track that is nothing.

    Its sightings, masks and elements go with it.

    \b
    reframer correct delete 3f2a obj_003
    """
    make(settings, video_id, {"kind": "delete", "track_id": track})


@correct.command()
@_video
@click.argument("track")
@click.argument("other")
def merge(settings: Settings, video_id: str, track: str, other: str) -> None:
    """Make two tracks one.

    The first keeps its id, its name and its class. No frame may have both.

    \b
    reframer correct merge 3f2a obj_003 obj_007
    """
    make(settings, video_id, {"kind": "merge", "track_id": track, "other_id": other})


@correct.command()
@_video
@click.argument("track")
@click.option("--frame", type=click.IntRange(0), help="First frame of the second track.")
@click.option("--at", metavar="TIME", help="The same by its time: 01:02:03.5, 2:03 or 123.5.")
def split(settings: Settings, video_id: str, track: str, frame: int | None, at: str | None) -> None:
    """Make one track two.

    The part before keeps the id. The part from that frame on is a new track.

    \b
    reframer correct split 3f2a obj_003 --frame 120
    reframer correct split 3f2a obj_003 --at 0:04.8
    """
    if (frame is None) == (at is None):
        raise click.UsageError("Say where: --frame or --at.")
    seconds = None if at is None else seconds_of(at)
    make(settings, video_id, {"kind": "split", "track_id": track, "frame": frame}, seconds)


@correct.command()
@_video
@click.argument("element", metavar="SCENE:ELEMENT")
@click.argument("difficulty_", metavar="easy|medium|hard", type=_DIFFICULTIES)
def difficulty(settings: Settings, video_id: str, element: str, difficulty_: str) -> None:
    """Say how difficult an element is to replace.

    An element is the number of its scene and its place there, from 1. What was measured stays beside it.

    \b
    reframer correct difficulty 3f2a 2:1 hard
    """
    if not re.fullmatch(r"[0-9]{1,9}:[0-9]{1,9}", element):
        raise click.UsageError(f"{element!r} is no element such as 2:1, the first of scene 2.")
    scene, _, place = element.partition(":")
    make(settings, video_id, {"kind": "difficulty", "scene_number": int(scene), "element_number": int(place), "difficulty": difficulty_})


@correct.command("list")
@_video
@click.option("--json", "as_json", is_flag=True, help="One JSON object per correction, each on a line.")
def list_(settings: Settings, video_id: str, as_json: bool) -> None:
    """List the corrections of a video, and which still fit.

    \b
    reframer correct list 3f2a
    """
    from reframer_pipeline.corrections import log
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.work.videos import find_video

    with open_existing(settings) as storage:
        rows = log.list_(storage.db, find_video(storage.db, video_id))
    columns = table("number", "what", "when", "who", "", wraps={"what", ""})
    print_rows(rows, as_json, "Nothing was corrected.", columns, _listed)


@correct.command()
@_video
@click.argument("number", type=click.IntRange(1))
def undo(settings: Settings, video_id: str, number: int) -> None:
    """Take a correction back, by its number in `list`.

    \b
    reframer correct undo 3f2a 2
    """
    from reframer_pipeline.results import correcting
    from reframer_pipeline.results.storage import open_existing

    with open_existing(settings) as storage:
        lost = correcting.undo(place_of(storage, video_id), number, author(storage))
    line(f"correction {number} is undone")
    say_lost(lost)


@correct.command("import")
@_video
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be corrected.")
@click.option("--allow-deletions", is_flag=True, help="Also if the file lacks most tracks, which are deleted then.")
def import_(settings: Settings, video_id: str, file: Path, dry_run: bool, allow_deletions: bool) -> None:
    """Take over what was corrected in CVAT.

    Export the video, correct the file in CVAT, and export it there as CVAT for video 1.1. Labels, the attribute `label`, and which tracks
    there are count. Boxes and masks that were moved do not.

    \b
    reframer export 3f2a --format cvat -o clip.xml
    reframer correct import 3f2a corrected.xml
    """
    from reframer_pipeline.corrections.events import in_words
    from reframer_pipeline.corrections.log import Author
    from reframer_pipeline.exports.cvat_corrections import corrections_of
    from reframer_pipeline.exports.videos import published_videos
    from reframer_pipeline.results import correcting
    from reframer_pipeline.results.storage import open_existing

    with open_existing(settings) as storage:
        place = place_of(storage, video_id)
        (video,) = published_videos(storage, [place.video_id])
        with file.open("rb") as source:
            found = corrections_of(video, source, allow_deletions)
        rows: Sequence[Row] = [{"says": in_words(one)} for one in found]
        if found and not dry_run:
            rows = correcting.correct(place, found, Author(author(storage), "cvat"), video.result_id)
    for row in rows:
        line(row["says"])
    say_lost(rows[0].get("no_longer_match", ()) if rows else ())
    if not rows:
        line("Nothing was corrected in this file.")


def _listed(row: Row) -> tuple[str | Name, ...]:
    state = "undone" if row["undone_at"] else "" if row["applied"] else f"no longer matches: {row['trouble']}"
    says = row["says"] + (" (CVAT)" if row["source"] == "cvat" else "")
    return str(row["number"]), says, f"{row['created_at']:%Y-%m-%d %H:%M}", row["email"], state

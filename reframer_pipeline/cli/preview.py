"""`reframer preview`: a video's results drawn into a file of the user's choice.

What belongs here: which kind of file, and what is drawn. What does not: drawing it (`reading.sheets`, `reading.previews`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, min_sightings, with_settings
from reframer_pipeline.cli.tables import ERR, aside, line
from reframer_pipeline.handover import StageInput
from reframer_pipeline.reading.outputs import appearing
from reframer_pipeline.results.storage import Storage, open_existing
from reframer_pipeline.settings import Settings
from reframer_pipeline.work.videos import find_video

if TYPE_CHECKING:
    from reframer_pipeline.vision.film import FilmKind
    from reframer_pipeline.vision.overlay import Look

PICTURES: Final = (".jpg", ".jpeg")
FILMS: Final[dict[str, FilmKind]] = {".mp4": "mp4", ".webm": "webm", ".gif": "gif"}


@click.command()
@click.argument("video_id", shell_complete=video_ids)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write: .mp4, .webm, .gif or .jpg.")
@click.option("--masks/--no-masks", default=True, show_default=True, help="Whether masks are drawn.")
@click.option("--boxes/--no-boxes", default=True, show_default=True, help="Whether boxes and ids are drawn.")
@click.option("--track", "tracks", multiple=True, metavar="ID", help="Only this track, such as obj_001. May be repeated.")
@click.option("--no-caption", is_flag=True, help="No times and no words.")
@min_sightings
@with_settings(*PLACES)
def preview(
    video_id: str,
    settings: Settings,
    output: Path,
    masks: bool,
    boxes: bool,
    tracks: tuple[str, ...],
    no_caption: bool,
    min_sightings: int,
) -> None:
    """Draw what was found into the video or a picture.

    Boxes, masks, ids, and below the picture the timecode and the scene's words. Every frame at its time, with the sound. Between sampled
    frames boxes are dashed and masks fainter: they are told from the sampled frames beside. The file's ending says what is written:

    \b
    .mp4, .webm   the video
    .gif          the same, small and without sound
    .jpg          a sheet of twelve frames

    \b
    reframer preview 3f2a -o annotated.mp4
    reframer preview 3f2a -o cup.gif --track obj_002 --no-boxes
    reframer preview 3f2a -o sheet.jpg --min-sightings 2
    """
    from reframer_pipeline.reading import sheets
    from reframer_pipeline.vision.overlay import Look

    kind = output.suffix.lower()
    if kind not in (*PICTURES, *FILMS):
        raise click.BadParameter("the file's name must end in .mp4, .webm, .gif or .jpg", param_hint="--output")
    look = Look(boxes, masks, not no_caption, frozenset(tracks), min_sightings)
    with open_existing(settings) as storage:
        results = sheets.published(storage, find_video(storage.db, video_id))
        with appearing(output) as part:
            if kind in PICTURES:
                part.write_bytes(sheets.sheet(results, look=look))
            else:
                _film(storage, results, part, FILMS[kind], look)
    made_by = f" (made by {sheets.DEMO_MODELS})" if no_caption and sheets.is_demo(results) else ""
    line(f"Wrote {output}{made_by}")


def _film(storage: Storage, results: dict[str, StageInput], part: Path, kind: FilmKind, look: Look) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from reframer_pipeline.reading import previews

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as bars:
        bar = bars.add_task("frames", total=None)
        heard = previews.write_preview(
            storage, results, part, kind, look, lambda done, total: bars.update(bar, completed=done, total=total)
        )
    (facts,) = next(results["metadata"].batches()).to_pylist()
    if facts["has_audio"] and not heard and kind != "gif":
        aside("The sound cannot be decoded; the preview has none.", style="yellow")

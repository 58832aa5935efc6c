"""`reframer preview`: a video's results drawn into a file of the user's choice.

What belongs here: the file, which appears when it is whole. What does not: what is drawn (`previews`).
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, min_sightings, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.failures import OutputNotWritable
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work.videos import find_video

PICTURES, VIDEOS = (".jpg", ".jpeg"), (".mp4",)


@click.command()
@click.argument("video_id", shell_complete=video_ids)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write: FILE.mp4 or FILE.jpg.")
@min_sightings
@with_settings(*PLACES)
def preview(video_id: str, settings: Settings, output: Path, min_sightings: int) -> None:
    """Draw what was found into a video or a picture.

    Boxes, masks, ids and scene captions. The file's ending says which: .mp4 for a video, .jpg for a sheet of twelve frames.

    \b
    reframer preview 3f2a -o annotated.mp4
    reframer preview 3f2a -o sheet.jpg --min-sightings 2
    """
    from reframer_pipeline.reading import sheets

    kind = output.suffix.lower()
    if kind not in PICTURES + VIDEOS:
        raise click.BadParameter("the file's name must end in .mp4 or .jpg", param_hint="--output")
    with open_storage(settings) as storage:
        results = sheets.published(storage, find_video(storage.db, video_id))
        with appearing(output) as part:
            if kind in PICTURES:
                part.write_bytes(sheets.sheet(results, min_sightings=min_sightings))
            else:
                sheets.write_video(results, part, min_sightings)
    line(f"Wrote {output}")


@contextlib.contextmanager
def appearing(output: Path) -> Iterator[Path]:
    """A new empty file beside the target, which takes its name when the block has ended well and is deleted when not.

    Raises:
        OutputNotWritable: Before the block where the target cannot be written, or later, such as on a full disk.
    """
    part = output.with_name(f".reframer-{uuid.uuid4().hex[:12]}{output.suffix}")
    try:
        if output.is_dir():
            raise OutputNotWritable(f"{output} is a folder.")
        output.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        try:
            yield part
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputNotWritable(f"{output} cannot be written: {error.strerror or type(error).__name__}.") from error

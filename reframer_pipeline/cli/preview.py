"""`reframer preview`: a video's results drawn into a file of the user's choice.

What belongs here: which kind of file. What does not: what is drawn (`reading.sheets`).
"""

from __future__ import annotations

from pathlib import Path

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, min_sightings, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.reading.outputs import appearing
from reframer_pipeline.results.storage import open_existing
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
    with open_existing(settings) as storage:
        results = sheets.published(storage, find_video(storage.db, video_id))
        with appearing(output) as part:
            if kind in PICTURES:
                part.write_bytes(sheets.sheet(results, min_sightings=min_sightings))
            else:
                sheets.write_video(results, part, min_sightings)
    line(f"Wrote {output}")

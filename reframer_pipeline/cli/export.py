"""`reframer export`: what is published of videos, in the formats of other programs.

What belongs here: which videos, which format, where to. What does not: formats and files (`exports`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.exports.packing import write
from reframer_pipeline.exports.videos import have_results, published_videos
from reframer_pipeline.failures import NotPublished
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work.videos import find_video

_FORMATS: Final = "\n".join(f"{one.name:<8} {one.says}" for one in FORMATS.values())
_HELP: Final = f"""Export results for other programs.

\b
{_FORMATS}

\b
reframer export 3f2a --format coco
reframer export 3f2a --format vtt -o clip.vtt
reframer export 3f2a --format coco --track obj_001 --track obj_004
reframer export --all --format davis -o masks.zip
"""


@click.command(help=_HELP)
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=video_ids)
@click.option("--format", "name", required=True, type=click.Choice(list(FORMATS)), help="What to make.")
@click.option("--all", "every", is_flag=True, help="Every video that has results.")
@click.option("--track", "tracks", multiple=True, metavar="ID", help="Only this track, such as obj_001, and its elements. May be repeated.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A new folder, or FILE.zip. Default: reframer-FORMAT.")
@with_settings(*PLACES)
def export(ids: tuple[str, ...], settings: Settings, name: str, every: bool, tracks: tuple[str, ...], output: Path | None) -> None:
    """Export results for other programs."""
    if bool(ids) == every:
        raise click.UsageError("name videos by their ids, or give --all")
    if tracks and len(ids) != 1:
        raise click.UsageError("--track is for one video")
    output = output or Path(f"reframer-{name}")
    with open_storage(settings) as storage:
        videos = published_videos(storage, have_results(storage) if every else [find_video(storage.db, one) for one in ids])
        if not videos:
            raise NotPublished("No video has results yet.", "`reframer run` computes some.")
        write(FORMATS[name], [video.of_tracks(tracks) for video in videos], output)
    line(f"Wrote {output}")

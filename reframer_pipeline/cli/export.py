"""`reframer export`: what is published of videos, in the formats of other programs.

What belongs here: which format, where to. What does not: which videos (`chosen`), formats and files (`exports`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from reframer_pipeline.cli.chosen import Search, SearchType, choose
from reframer_pipeline.cli.completion import ids_or_files
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.exports.packing import title_of, write
from reframer_pipeline.exports.videos import published_videos
from reframer_pipeline.results.storage import open_existing
from reframer_pipeline.settings import Settings

_FORMATS: Final = "\n".join(f"{one.name:<8} {one.says}" for one in FORMATS.values())
_DEFAULT: Final = "Default: reframer-FORMAT; with --track, NAME-TRACKS-FORMAT."
_HELP: Final = f"""Export results for other programs.

\b
{_FORMATS}

\b
reframer export 3f2a --format coco
reframer export 3f2a --format vtt -o clip.vtt
reframer export footage/ --format csv         the videos of a folder
reframer export 3f2a --format davis --track obj_001   into NAME-obj_001-davis
reframer export --all --format davis -o masks.zip
reframer export --search "in=tracks label=cup min_seconds=3" --format coco
"""


@click.command(help=_HELP)
@click.argument("words", nargs=-1, metavar="[ID|FILE|FOLDER]...", shell_complete=ids_or_files)
@click.option("--format", "name", required=True, type=click.Choice(list(FORMATS)), help="What to make.")
@click.option("--all", "every", is_flag=True, help="Every video that has results.")
@click.option("--search", type=SearchType(), help="Every video in which a search has hits.")
@click.option("--track", "tracks", multiple=True, metavar="ID", help="Only this track, such as obj_001, and its elements. May be repeated.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help=f"A new folder, or FILE.zip. {_DEFAULT}")
@with_settings(*PLACES)
def export(
    words: tuple[str, ...], settings: Settings, name: str, every: bool, search: Search | None, tracks: tuple[str, ...], output: Path | None
) -> None:
    """Export results for other programs."""
    if [bool(words), every, search is not None].count(True) != 1:
        raise click.UsageError("name videos by ids, files or folders, or give --all or --search")
    if tracks and len(words) != 1:
        raise click.UsageError("--track is for one video")
    with open_existing(settings) as storage:
        chosen = choose(storage, words, search)
        videos = [video.of_tracks(tracks) for video in published_videos(storage, chosen.video_ids)]
        output = output or Path(f"{title_of(videos) if tracks else 'reframer'}-{name}")
        write(FORMATS[name], videos, output)
    line(f"Wrote {output}")
    if chosen.left_out:
        sys.exit(1)

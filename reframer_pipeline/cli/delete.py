"""`reframer delete`: videos and everything that was made of them."""

from __future__ import annotations

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.settings import Settings


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=video_ids)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings(*PLACES)
def delete(ids: tuple[str, ...], yes: bool, settings: Settings) -> None:
    """Delete videos with everything that was made of them.

    The uploads of all people go, results, the stored file, and what Gemini was sent and has answered. A run that is at the video ends. A
    file that came from the watched bucket stays there and is not taken in again; files on your disk stay as well.

    \b
    reframer delete 3f2a
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.retention import deletion
    from reframer_pipeline.work.videos import find_video, in_words

    with open_existing(settings) as storage:
        found = {video: in_words(storage.db, video) for video in (find_video(storage.db, prefix) for prefix in ids)}
        if not yes:
            for name in found.values():
                line(name)
            try:
                click.confirm(f"Delete {'this video' if len(found) == 1 else f'these {len(found)} videos'} for everybody?", abort=True)
            except click.Abort:  # no, Ctrl-C, or nobody there to answer
                raise click.ClickException("Nothing was deleted. The option --yes answers the question.") from None
        for video, name in found.items():
            deletion.delete(storage.db, video)
            line(f"Deleted {name}.")
        deletion.finish(storage.db, storage.store, settings)

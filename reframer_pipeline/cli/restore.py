"""`reframer restore`: rows of an archived video back into Postgres."""

from __future__ import annotations

import os

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import line
from reframer_pipeline.settings import Settings


@click.command()
@click.argument("video_id", shell_complete=video_ids)
@with_settings(*PLACES)
def restore(video_id: str, settings: Settings) -> None:
    """Load the rows of an archived video back into Postgres.

    They come from Parquet. The video counts as used just now: it is archived again after REFRAMER_ARCHIVE_AFTER_DAYS days at the
    earliest.

    \b
    reframer restore 3f2a
    """
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.retention import archive
    from reframer_pipeline.work import lease
    from reframer_pipeline.work.videos import find_video

    with open_existing(settings) as storage:
        video = find_video(storage.db, video_id)
        with lease.hold(storage.db, video, owner=f"restore:{os.getpid()}") as token:
            loaded = archive.restore(storage.db, storage.store, video, token)
    line(f"{video}: {f'{loaded} rows loaded.' if loaded else 'nothing is archived.'}")

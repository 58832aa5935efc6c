"""`reframer run`: files in, results out. What belongs here: reading the command line and the order of the steps."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reframer_pipeline.cli import inputs
from reframer_pipeline.cli.help import SectionedCommand
from reframer_pipeline.cli.inputs import Input
from reframer_pipeline.cli.models import fetch_with_bars
from reframer_pipeline.cli.options import COMPUTING, with_settings
from reframer_pipeline.cli.report import Report, reporting
from reframer_pipeline.cli.tables import DEMO_NOTICE, aside, notice, own_settings
from reframer_pipeline.failures import ReframerError, VideoBusy
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.planning.result_settings import Noted
    from reframer_pipeline.running.run_videos import VideoOutcome


@click.command(cls=SectionedCommand)
@click.argument("videos", metavar="FILE|FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per file, each on a line.")
@click.option("--force", is_flag=True, help="Compute all stages again.")
@click.option("--trust", is_flag=True, help="Load models whose digest nobody published.")
@reporting
@with_settings(*COMPUTING, common=("home", "models", "device", "vid_stride", "conf"))
def run(videos: tuple[Path, ...], settings: Settings, report: Report, force: bool, trust: bool) -> None:
    """Compute video files: mp4, mov or avi.

    They are recognised by content. A folder stands for all videos in it and below; its other files are left out, and hidden ones. One
    bad file never stops the others.

    Only what is missing or out of date is computed. The same file again takes a moment. Another --conf computes the detections again,
    and what follows from them.

    \b
    reframer run clip.mp4                  the official models, fetched once
    reframer run clip.mp4 --models demo    the small models that come along
    reframer run footage --vid-stride 15   a folder; look at fewer frames
    reframer run 'day*/**/*.mov'           a pattern

    Settings are those that `reframer dev` saved last. What you give is stronger, and is kept with the video. You give it as an option
    or as an environment variable: --vid-stride is REFRAMER_VID_STRIDE.

    Exit status: 0 all completed, 1 some failed, 2 wrong usage, 130 interrupted.
    """
    outcomes = process(settings, inputs.find(videos, settings.home_dir), report, force=force, trust=trust)
    report.finished(outcomes)
    sys.exit(0 if all(outcome.status == "completed" for outcome in outcomes) else 1)


def process(settings: Settings, files: list[Input], report: Report, *, force: bool = False, trust: bool = False) -> list[VideoOutcome]:
    """Ingest the files, run what is needed, show progress on standard error. One outcome per file, in order.

    What it computes with is said in `run_videos`.

    Raises:
        SettingsInvalid: This machine does not have the device that the settings name.
    """
    from reframer_pipeline.cli.estimate import warn_if_slow
    from reframer_pipeline.cli.progress import StageBars
    from reframer_pipeline.planning import result_settings
    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
    from reframer_pipeline.uploads.ingest import ingest_file
    from reframer_pipeline.vision.device import resolve_device

    report.begins(len(files))
    outcomes: dict[int, VideoOutcome] = {}
    if settings.device != "auto":  # that takes what there is, and looking costs seconds
        resolve_device(settings.device)

    def done(index: int, outcome: VideoOutcome) -> None:
        outcomes[index] = outcome
        report.ended(outcome)

    try:
        storage = storage_of(settings)
        wanted_settings = result_settings.wanted(storage.db, settings)
        if wanted_settings.models == "demo":
            notice(DEMO_NOTICE)
        else:  # fetched on first use; nothing slow starts before they are there and trusted
            fetch_with_bars(wanted_settings, trust=trust)
    except ReframerError as failure:
        for index, file in enumerate(files):
            done(index, VideoOutcome.failed(file.name, file.failure or failure))
        return list(outcomes.values())

    wanted: dict[str, list[int]] = {}
    for index, file in enumerate(files):
        try:
            if file.failure is not None:
                raise file.failure
            result = ingest_file(file.path, storage.db, storage.store, settings)
            if result.failure is not None:
                raise result.failure
            if result.was_theirs and result.filename != file.path.name:
                aside(f"{file.name}: you have this film already, as {result.filename}. It was not added again.")
        except ReframerError as failure:
            done(index, VideoOutcome.failed(file.name, failure))
        else:
            wanted.setdefault(str(result.video_id), []).append(index)

    warn_if_slow(wanted_settings, storage, list(wanted), force)
    names = {video_id: files[indices[0]].name for video_id, indices in wanted.items()}

    def noted(change: Noted) -> None:
        """One line, however many videos: which settings are theirs alone from now on, or that none are any more."""
        whom = names[change.video_ids[0]] if len(change.video_ids) == 1 else f"{len(change.video_ids)} videos"
        if change.overrides:
            aside(f"Own settings kept with {whom}: {own_settings(change.overrides)}")
        else:
            aside(f"Own settings taken from {whom}: the deployment's count")

    def waits(video_id: str, busy: VideoBusy) -> None:
        aside(f"{names[video_id]}: {busy.message} Waiting: if that run is dead, its hold ends within a minute.")

    with StageBars(storage.db, names, lines=report.verbose) as bars:
        ran = run_videos(settings, list(wanted), force=force, announce=bars.announce, noted=noted, waits=waits)
        for video_id, outcome in zip(wanted, ran, strict=True):
            bars.ended(video_id)
            for index in wanted[video_id]:
                done(index, replace(outcome, filename=files[index].name))
    return [outcomes[index] for index in sorted(outcomes)]

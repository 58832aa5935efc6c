"""`reframer demo`: the main job on the bundled clip with the bundled models, and their measured quality."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import click

from reframer_pipeline.cli.options import with_settings
from reframer_pipeline.cli.report import Report, reporting
from reframer_pipeline.cli.tables import DEMO_NOTICE, aside, line, notice
from reframer_pipeline.settings import Settings


@click.command()
@click.option("--score", is_flag=True, help="Measure the bundled models on clips that training never saw.")
@click.option("--clips", default=12, show_default=True, type=click.IntRange(1, 100), help="How many clips --score draws.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@reporting
@with_settings("home", "device", "executor", "batch")
def demo(settings: Settings, report: Report, score: bool, clips: int) -> None:
    """See the pipeline work on the bundled clip.

    No download, no account, no server. It takes the clip through all six stages, prints what was found, and draws a video and a
    picture into REFRAMER_HOME/demo.

    With --score it measures the bundled models instead: detection mAP50, mask IoU, HOTA, IDF1 and shot F1. It draws new clips for
    that, and keeps them apart from your videos.

    \b
    reframer demo
    reframer demo --score --clips 3
    """
    settings = settings.model_copy(update={"models": "demo"})
    if score:
        notice(DEMO_NOTICE)
        _score(settings, clips, report.as_json)
    else:
        _show(settings, report)


def _show(settings: Settings, report: Report) -> None:
    from reframer_pipeline.cli.inputs import Input
    from reframer_pipeline.cli.run import process
    from reframer_pipeline.cli.show import print_video
    from reframer_pipeline.demo.world import bundled_clip_path
    from reframer_pipeline.reading import sheets
    from reframer_pipeline.reading.previews import write_preview
    from reframer_pipeline.reading.videos import show_video
    from reframer_pipeline.results.storage import open_storage

    clip = bundled_clip_path()
    (outcome,) = outcomes = process(settings, [Input(clip, clip.name)], report)
    report.finished(outcomes)
    if outcome.status != "completed" or outcome.video_id is None:
        sys.exit(1)
    folder = settings.home_dir / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    with open_storage(settings) as storage:
        results = sheets.published(storage, outcome.video_id)
        (folder / "contact_sheet.jpg").write_bytes(sheets.sheet(results))
        write_preview(storage, results, folder / "annotated.mp4")
        found = show_video(storage.db, outcome.video_id)
    if not report.as_json and not report.quiet:
        print_video({**found, "demo_models": False})  # that was said before
        line("")
        line(f"Annotated video   {folder / 'annotated.mp4'}")
        line(f"Contact sheet     {folder / 'contact_sheet.jpg'}")
        line("")
        called = click.get_current_context().find_root().info_name or "reframer"
        name = called if shutil.which(called.split()[0]) else sys.argv[0]  # in a checkout it is not on PATH
        line(f"Next: `{name} run YOUR.mp4`, `{name} dev` for the Dagster UI, `{name} --help` for the rest.")


def _score(settings: Settings, clips: int, as_json: bool) -> None:
    from reframer_pipeline.cli.score import measure

    # a data folder for the drawn clips, with a database and a store of its own: they are no videos of the user's
    unset: dict[str, Any] = dict.fromkeys(("database_url", "dagster_database_url", "store_url"))
    exact = {"mask_stride": 1, "mask_conf": 0.0}  # an object without a mask would count as one that was not found
    own = settings.model_copy(update={"home": settings.home_dir / "demo" / "score", **unset, **exact})
    figures = measure(own, clips, aside)
    if as_json:
        click.echo(json.dumps(figures))
        return
    names = {
        "clips": "clips",
        "map50": "detection mAP50",
        "mask_iou": "mean mask IoU",
        "hota": "HOTA",
        "idf1": "IDF1",
        "shot_f1": "shot F1",
    }
    for key, name in names.items():
        line(f"{name:<18} {figures[key] if key == 'clips' else format(figures[key], '.3f')}")

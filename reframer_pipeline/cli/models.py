"""`reframer models`: which weights are used, fetched and trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from reframer_pipeline.cli.options import with_settings
from reframer_pipeline.cli.tables import ERR, OUT, line, table
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.vision.weights import WeightsFile

CHOICE = ("home", "models", "yolo_model", "sam2_model", "weights_dir")


@click.group()
def models() -> None:
    """The official models: YOLO finds, SAM2 masks."""


@models.command()
@click.option("--trust", is_flag=True, help="You trust these files, where nobody published a digest. It is recorded.")
@with_settings(*CHOICE)
def fetch(settings: Settings, trust: bool) -> None:
    """Download the chosen models.

    A download that broke off goes on from there. Without a connection, put the files into the folder yourself, or name another
    folder with --weights-dir.

    \b
    reframer models fetch
    reframer models fetch --yolo-model yolov8n.pt --sam2-model sam2_hiera_tiny
    """
    for file in fetch_with_bars(settings, trust=trust):
        line(f"{file.role:<10} {file.path}  sha256:{file.sha256}  {file.trusted_by or 'not trusted yet'}")


@models.command(name="list")
@with_settings(*CHOICE)
def list_(settings: Settings) -> None:
    """List the official models, and which are here."""
    from reframer_pipeline.vision.releases import RELEASES

    columns = table("model", "file", "here", "published digest")
    for name, release in RELEASES.items():
        here = (settings.weights_folder / release.file).is_file()
        columns.add_row(name, release.file, "yes" if here else "", (release.sha256 or "none")[:16])
    OUT.print(columns)
    line(f"Folder: {settings.weights_folder}")


def fetch_with_bars(settings: Settings, trust: bool = False) -> list[WeightsFile]:
    """Have both weights files ready and trusted, with a bar on standard error while one is downloaded.

    Raises:
        WeightsMissing, DownloadFailed, WeightsCorrupt, WeightsUntrusted: Before anything slow has started.
    """
    from reframer_pipeline.vision import weights

    files: list[WeightsFile] = []
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as bars:
        for role in weights.ROLES:
            bar = bars.add_task(weights.model_name(settings, role), total=None, visible=False)

            def moved(done: int, total: int, bar: TaskID = bar) -> None:
                bars.update(bar, completed=done, total=total or None, visible=True)

            file = weights.fetch(settings, role, moved, trust)
            weights.require_trusted(file)
            files.append(file)
    return files

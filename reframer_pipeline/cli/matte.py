"""`reframer matte`: which pixels are a track's, in every frame, as a film or as pictures.

What belongs here: what people type, and progress. What does not: making it (`editing.matte`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import ERR, aside, line
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.editing.matte.order import MatteOrder, Stored
    from reframer_pipeline.results.storage import Storage

FORMS: Final = ("prores", "webm", "luma", "png")
_BY_SUFFIX: Final = {".mov": "prores", ".webm": "webm"}
_SUFFIXES: Final = {"prores": ".mov", "luma": ".mov", "webm": ".webm"}
_HELP: Final = """Make a matte of a track: which pixels are its own, in every frame.

Name tracks or elements, a scene, or both. Several make one matte together, or one each with --each. A matte has the source's size,
times and sound, and begins with the first frame in which one of its tracks is.

\b
prores   ProRes 4444 with alpha, FILE.mov
webm     VP9 with alpha, FILE.webm
luma     a grey film, FILE.mov (ProRes 422 HQ): white is inside
png      a picture a frame, named by the source's frame: FOLDER or FILE.zip

\b
reframer matte 3f2a --track obj_001 -o cup.mov
reframer matte 3f2a --track obj_001 --cutout -o cup.webm   the picture itself
reframer matte 3f2a --element 2.1 -o matte.mov   the first element of scene 2
reframer matte 3f2a --scene 2 --each --form png -o scene2   a folder a track
reframer matte 3f2a --track obj_001 --track obj_004 --soften 4 -o both.mov

`reframer show ID` lists tracks, scenes and elements.
"""


class _Element(click.ParamType):
    """`2.1`: the first element of scene 2."""

    name = "element"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        scene, _, place = str(value).partition(".")
        if not (scene.isdigit() and place.isdigit() and scene.isascii() and place.isascii()):
            self.fail(f"{value!r} is no element: say SCENE.PLACE, such as 2.1", param, ctx)
        return int(scene), int(place)


@click.command(help=_HELP)
@click.argument("video_id", shell_complete=video_ids)
@click.option("--track", "tracks", multiple=True, metavar="ID", help="A track, such as obj_001. May be repeated.")
@click.option("--element", "elements", multiple=True, type=_Element(), metavar="SCENE.PLACE", help="The tracks of an element, such as 2.1.")
@click.option("--scene", type=click.IntRange(1), help="Only the frames of this scene; alone, all tracks in it.")
@click.option("--form", type=click.Choice(FORMS), help="What to write. Default: by the ending, .mov prores, .webm webm, else png.")
@click.option("--cutout", is_flag=True, help="The picture with the matte as alpha, not the matte alone.")
@click.option(
    "--soften", type=click.FloatRange(0, 200), default=0.0, metavar="PX", help="Pixels from nothing to all at edges.  [default: 0]"
)
@click.option("--each", is_flag=True, help="One matte for each track, in a new folder.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="FILE or FOLDER. A file is replaced.")
@with_settings(*PLACES, "models", "sam2_model", "weights_dir", "device")
def matte(
    video_id: str, settings: Settings, tracks: tuple[str, ...], elements: tuple[tuple[int, int], ...], scene: int | None,
    form: str | None, cutout: bool, soften: float, each: bool, output: Path,
) -> None:  # fmt: skip
    """Make a matte of a track."""
    if not (tracks or elements or scene):
        raise click.UsageError("name what to cut out: --track, --element or --scene")
    form = form or ("prores" if each else _BY_SUFFIX.get(output.suffix.lower(), "png"))
    if cutout and form == "luma":
        raise click.UsageError("a luma matte has no picture: --cutout goes with prores, webm and png")
    suffix = _SUFFIXES.get(form)
    if not each and suffix and output.suffix.lower() != suffix:
        raise click.BadParameter(f"the file's name must end in {suffix}", param_hint="--output")
    from reframer_pipeline.editing.matte.making import published, settings_of
    from reframer_pipeline.editing.matte.order import Wanted, order_of
    from reframer_pipeline.editing.writing import Shape
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.work.videos import find_video

    with open_existing(settings) as storage, _nothing_left():
        video = find_video(storage.db, video_id)
        results, own = published(storage, video), settings_of(storage, video)
        wanted, shape = Wanted(tracks, elements, scene), Shape(form, cutout)  # type: ignore[arg-type]
        order = order_of(results, own, wanted, shape, soften=soften)
        if results["masks"].manifest.components["weights"] != order.weights:
            aside("The published masks are another model's than the one that fills the frames between.", style="yellow")
        if each:
            apart = {one: replace(wanted, tracks=(one,), elements=()) for one in order.tracks}
            orders = {one: order_of(results, own, alone, shape, soften=soften) for one, alone in apart.items()}
            _write_each(storage, own, orders, output, suffix or "")
        else:
            _write(storage, own, order, output)
        place = _place(results, order)
    line(f"Wrote {output}: {place} of {', '.join(order.tracks)}")


def _place(results: Stored, order: MatteOrder) -> str:
    """Which source frames it has, and what editing programs call these."""
    from reframer_pipeline.media.probe import VideoMetadata
    from reframer_pipeline.media.sampled import all_seconds
    from reframer_pipeline.media.timecode import Timecode

    seconds, (first, last) = all_seconds(results["frames"]).tolist(), (order.start, order.stop - 1)
    called = Timecode.of(VideoMetadata.from_batch(next(results["metadata"].batches())).fps, enumerate(seconds))
    return f"frames {first} to {last} ({called.at(first, seconds[first])} to {called.at(last, seconds[last])})"


@contextlib.contextmanager
def _nothing_left() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        aside("Interrupted. Nothing was written.")
        sys.exit(130)


def _write(storage: Storage, settings: Settings, order: MatteOrder, output: Path) -> None:
    from reframer_pipeline.reading.outputs import appearing

    with appearing(output, folder=not order.shape.is_film and output.suffix.lower() != ".zip") as part:
        _make(storage, settings, order, part, output.name)


def _write_each(storage: Storage, settings: Settings, orders: dict[str, MatteOrder], output: Path, suffix: str) -> None:
    from reframer_pipeline.reading.outputs import appearing

    with appearing(output, folder=True) as part:
        for track, order in orders.items():
            target = part / f"{track}{suffix}"
            if not suffix:
                target.mkdir()
            _make(storage, settings, order, target, track)


def _make(storage: Storage, settings: Settings, order: MatteOrder, target: Path, title: str) -> None:
    from reframer_pipeline.editing.matte.making import make_matte

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as bars:
        bar = bars.add_task(title, total=order.stop - order.start)
        make_matte(storage, order, target, lambda done, total: bars.update(bar, completed=done, total=total), settings=settings)

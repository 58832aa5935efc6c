"""`reframer reframe`: a video in another ratio, as a clip or as keyframes.

What belongs here: which form, and what is said at the end. What does not: the path (`editing.reframe`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reframer_pipeline.cli.completion import video_ids
from reframer_pipeline.cli.options import PLACES, with_settings
from reframer_pipeline.cli.tables import ERR, aside, line
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from reframer_pipeline.editing.reframe.plan import Reframing
    from reframer_pipeline.results.storage import Storage

FORMS: Final = {"mp4": ".mp4", "json": ".json", "otio": ".otio", "sendcmd": ".sendcmd", "ae": ".txt"}
NAMED: Final = 5  # tracks, at most


@click.command()
@click.argument("video_id", shell_complete=video_ids)
@click.option("--ratio", required=True, metavar="W:H", help="Width to height: 9:16, 1:1, 4:5 or any other.")
@click.option("--track", "tracks", multiple=True, metavar="ID", help="What must stay in view, such as obj_001. May be repeated.")
@click.option("--label", metavar="LABEL", help="The same by label or class: cup, person.")
@click.option("--letterbox", is_flag=True, help="Show the whole picture with bars where the subjects do not fit.")
@click.option("--scene", type=click.IntRange(1), metavar="N", help="This scene alone.")
@click.option("--as", "form", type=click.Choice(list(FORMS)), help="What to write, if the file's ending does not say.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write.")
@with_settings(*PLACES)
def reframe(
    video_id: str,
    settings: Settings,
    ratio: str,
    tracks: tuple[str, ...],
    label: str | None,
    letterbox: bool,
    scene: int | None,
    form: str | None,
    output: Path,
) -> None:
    """Reframe a video: keep what matters in view in another ratio.

    Without --track and --label, that is whatever was found: the larger and the longer in view, the more it matters. Each shot has a path
    of its own. The file's ending says what is written:

    \b
    .mp4      the clip, with sound
    .json     the keyframes of the window
    .otio     a timeline with the keyframes, for OpenTimelineIO
    .sendcmd  commands for FFmpeg's crop
    .txt      keyframes to paste into After Effects

    \b
    reframer reframe 3f2a --ratio 9:16 -o tall.mp4
    reframer reframe 3f2a --ratio 1:1 --label cup -o cup.mp4
    reframer reframe 3f2a --ratio 4:5 --track obj_001 --scene 2 -o path.json
    """
    from reframer_pipeline.editing.reframe.order import write
    from reframer_pipeline.editing.reframe.plan import Wishes, reframing
    from reframer_pipeline.editing.reframe.window import Ratio
    from reframer_pipeline.reading.outputs import appearing
    from reframer_pipeline.reading.sheets import published
    from reframer_pipeline.results.storage import open_existing
    from reframer_pipeline.work.videos import find_video, get_video

    form = form or next((name for name, ending in FORMS.items() if output.suffix.lower() == ending), None)
    if form is None:
        raise click.BadParameter(f"the file's name must end in {', '.join(FORMS.values())}, or say --as", param_hint="--output")
    if form == "sendcmd" and letterbox:
        raise click.UsageError("--letterbox is not for sendcmd: its commands move a window and draw no bars")
    wishes = Wishes(Ratio.read(ratio), frozenset(tracks), label, letterbox, scene)
    with open_existing(settings) as storage:
        found = find_video(storage.db, video_id)
        plan = reframing(published(storage, found), found, str(get_video(storage.db, found)["filename"]), wishes)
        with appearing(output) as part:
            if form == "mp4":
                _render(storage, plan, part)
            else:
                write(plan, form, part)  # type: ignore[arg-type]
    line(f"Wrote {output}: {_summary(plan)}")
    if said := _left_out(plan):
        aside(said, style="yellow")


def _render(storage: Storage, plan: Reframing, part: Path) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from reframer_pipeline.editing.reframe.render import render

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal, transient=True) as bars:
        bar = bars.add_task("frames", total=None)
        sound = render(storage, plan, part, lambda done, total: bars.update(bar, completed=done, total=total or None))
    if sound == "none" and plan.facts.has_audio:
        aside("The sound cannot be kept; the clip has none.", style="yellow")


def _summary(plan: Reframing) -> str:
    shots = len(plan.shots)
    words = [f"{plan.size[0]}x{plan.size[1]}", f"{shots} shot{'s' if shots > 1 else ''}"]
    if whole := sum(shot.whole for shot in plan.shots):
        words.append(f"{whole} with bars")
    what = "what you chose is inside in {:.1f} % of its frames" if plan.chosen else "main subject inside in {:.1f} % of its frames"
    words.append("nothing to follow" if plan.inside is None else what.format(100 * plan.inside))
    return ", ".join(words)


def _left_out(plan: Reframing) -> str:
    """What does not fit of what was chosen; empty for nothing."""
    if not plan.left_out:
        return ""
    more = f" and {len(plan.left_out) - NAMED} more" if len(plan.left_out) > NAMED else ""
    tried = "" if plan.wishes.letterbox else " Try --letterbox."
    return f"Not everywhere in the window beside the others: {', '.join(plan.left_out[:NAMED])}{more}.{tried}"

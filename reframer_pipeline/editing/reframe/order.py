"""What one reframed video is: a function of a video, its published results and some choices.

What belongs here: the identity by which a store can keep and find what was made, and making it. What does not: the plan (`plan`), the forms
(`forms`, `sendcmd`, `timeline`, `render`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from reframer_pipeline.editing.reframe import forms, sendcmd, timeline
from reframer_pipeline.editing.reframe.plan import Reframing, Wishes, reframing
from reframer_pipeline.editing.reframe.render import render
from reframer_pipeline.editing.reframe.window import Ratio
from reframer_pipeline.failures import ResultsGone
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.versions import digest_of

CODE_VERSION: Final = 1  # raised when they come out differently
Form = Literal["mp4", "json", "otio", "sendcmd", "ae"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
SUFFIXES: Final[dict[Form, str]] = {"mp4": ".mp4", "json": ".json", "otio": ".otio", "sendcmd": ".sendcmd", "ae": ".txt"}
NAMED: Final[tuple[Form, ...]] = ("json", "otio")  # these have the video's name in them
_READ: Final = ("frames", "metadata", "scenes", "trajectories")


@dataclass(frozen=True)
class ReframeOrder:
    """Everything that a reframed video follows from.

    Attributes:
        video_id: The video.
        sha256: Of its file.
        results: Stage and result id, of those results that are read, by stage.
        ratio: As `window.Ratio` writes it.
        tracks, label, letterbox, scene: See `plan.Wishes`; tracks rising.
        form: What is written.
        filename: What the video is called, in those forms that say so; else empty.
        code_version: Of the code that makes it.
    """

    video_id: str
    sha256: str
    results: tuple[tuple[str, str], ...]
    ratio: str
    tracks: tuple[str, ...]
    label: str | None
    letterbox: bool
    scene: int | None
    form: Form
    filename: str
    code_version: int = CODE_VERSION

    @property
    def key(self) -> str:
        """SHA-256 (hex) over the canonical JSON of all of it."""
        return digest_of(asdict(self))

    @property
    def wishes(self) -> Wishes:
        """What is wanted of the plan."""
        return Wishes(Ratio.read(self.ratio), frozenset(self.tracks), self.label, self.letterbox, self.scene)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> ReframeOrder:
        """The order whose `asdict` went through JSON."""
        results = tuple((stage, result_id) for stage, result_id in values["results"])
        return cls(**{**values, "results": results, "tracks": tuple(values["tracks"])})


def order_of(results: Mapping[str, StoredResult], filename: str, wishes: Wishes, form: Form) -> ReframeOrder:
    """The order for what a person wishes.

    Args:
        results: A video's results by stage.
        filename: What they call the video.
        wishes: What they wish.
        form: What to write.

    Raises:
        RatioImpossible: The ratio leaves no picture.
        NothingThere: It has no such track, label or scene.
    """
    manifest = results["metadata"].manifest
    reframing(results, manifest.video_id, filename, wishes)
    return ReframeOrder(
        video_id=manifest.video_id,
        sha256=manifest.components["video"],
        results=tuple((stage, results[stage].result_id) for stage in _READ),
        ratio=wishes.ratio.text,
        tracks=tuple(sorted(wishes.track_ids)),
        label=wishes.label,
        letterbox=wishes.letterbox,
        scene=wishes.scene,
        form=form,
        filename=filename if form in NAMED else "",
    )


def make_reframed(storage: Storage, order: ReframeOrder, target: Path, progress: Progress = no_progress) -> Reframing:
    """Writes a reframed video, or its keyframes. Its file is whole when this returns.

    Args:
        storage: Where the results and the video's file are.
        order: What is wanted.
        target: The file to write.
        progress: Told the number of encoded frames, and how many there will be.

    Returns:
        The plan.

    Raises:
        ResultsGone: The results of the order are not there any more.
        And what `render.render` raises.
    """
    plan = plan_of(storage, order)
    if order.form == "mp4":
        render(storage, plan, target, progress)
    else:
        write(plan, order.form, target)
    return plan


def plan_of(storage: Storage, order: ReframeOrder) -> Reframing:
    """The plan, from the results that it was ordered of. Raises `ResultsGone` if these are not there any more."""
    found = {one.stage: one for one in storage.results.open_all([result_id for _, result_id in order.results]).values()}
    if len(found) < len(order.results):
        raise ResultsGone("The results that it was ordered of are kept no more.", "Order it again.")
    return reframing(found, order.video_id, order.filename, order.wishes)


def write(plan: Reframing, form: Form, target: Path) -> None:
    """Writes a plan's keyframes, in a form that is no clip."""
    pieces: dict[Form, Iterable[str]] = {
        "json": forms.as_json(plan),
        "sendcmd": sendcmd.as_sendcmd(plan),
        "ae": forms.as_after_effects(plan),
    }
    with target.open("w", encoding="utf-8") as file:
        file.writelines(pieces[form] if form in pieces else [timeline.as_otio(plan)])

"""A plan as a clip with sound.

What belongs here: from a plan to a cut. What does not: FFmpeg (`media.cropping`), the plan (`plan`).
"""

from __future__ import annotations

from pathlib import Path

from reframer_pipeline import scratch
from reframer_pipeline.editing.reframe.plan import Reframing
from reframer_pipeline.editing.reframe.sendcmd import write_files
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.media.cropping import Cut, Sound, make_cut
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.ingest import local_copy


def render(storage: Storage, plan: Reframing, target: Path, progress: Progress = no_progress) -> Sound:
    """Write the clip.

    Args:
        storage: Where the video is.
        plan: Its plan.
        target: The file to write, mp4.
        progress: Told the number of encoded frames, and how many there will be.

    Returns:
        What became of the sound.

    Raises:
        ObjectMissing, StoreUnavailable: The video cannot be read.
        DiskFull, HomeNotWritable: There is no room for it on its way.
        And what `media.cropping.make_cut` raises.
    """
    folder = storage.settings.scratch_dir
    with scratch.private(folder) as place, scratch.writing(folder):
        first, last = plan.shots[0], plan.shots[-1]
        begins = float(first.seconds[0])
        cut = Cut(
            size=plan.size,
            at=(0, 0) if first.whole else (int(first.pixels[0, 0]), int(first.pixels[0, 1])),
            moves=write_files(plan, place, begins=begins),
            frames=(first.start_frame, last.end_frame if plan.wishes.scene else max(last.end_frame, plan.facts.frame_count)),
            seconds=(begins, last.end_seconds),
            bars=any(shot.whole for shot in plan.shots),
            pts=plan.pts,
        )
        with local_copy(plan.facts.sha256, storage.store, place) as path:
            return make_cut(path, plan.facts, storage.settings, cut, target, progress)

"""Before slow work: how long it will take, and what would be faster.

What belongs here: the estimate and the words. Its figures come from this database where earlier runs with the same weights
measured them, else from `TYPICAL_S`, measured on two busy cores with random weights (benchmarks/models.py).
"""

from __future__ import annotations

from typing import Final

from reframer_pipeline.cli.tables import notice
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings

SLOW_S: Final = 120.0
# Seconds a sampled frame on a CPU: detector by size letter, image encoder by name.
TYPICAL_S: Final = {"n": 0.09, "s": 0.22, "m": 0.5, "l": 1.0, "x": 1.6, "tiny": 4.1, "small": 5.0, "base_plus": 9.4, "large": 20.0}


def warn_if_slow(settings: Settings, storage: Storage, video_ids: list[str], force: bool = False) -> None:
    """Say so when official models on a CPU will take minutes, with the choices that are faster.

    Args:
        settings: What the videos are to be computed with.
        storage: Has what is fresh already, and how long earlier results took.
        video_ids: Ingested videos.
        force: Everything is computed again, fresh or not.
    """
    from reframer_pipeline.planning.survey import survey
    from reframer_pipeline.reading.estimates import seconds_a_frame
    from reframer_pipeline.stages.order import recipes
    from reframer_pipeline.vision import weights
    from reframer_pipeline.vision.device import resolve_device

    if settings.models == "demo" or resolve_device(settings.device) != "cpu":
        return
    present = weights.digests(settings)
    wanted = recipes(settings, present)
    plans = survey(storage.db, video_ids, lambda overrides: (wanted, None))
    frames = sum(_sampled_frames(settings, storage, plan.video_id) for plan in plans if force or "masks" in plan.to_compute)
    seconds = frames * (seconds_a_frame(storage.db, wanted) or _typical(settings))
    if seconds > SLOW_S:
        notice(
            f"No GPU: about {seconds / 60:.0f} minutes for {frames} frames. Faster: --models demo (a demonstration), "
            "--sam2-model sam2_hiera_tiny, --yolo-model yolov8n.pt, a larger --vid-stride. Ctrl-C loses no finished stage."
        )


def _sampled_frames(settings: Settings, storage: Storage, video_id: str) -> int:
    """Frames to be looked at. Nothing is downloaded or counted to know it: before the metadata have been computed, it is what the header
    claims, and 0 where it claims nothing or the store is remote.
    """
    from reframer_pipeline.media.headers import read_header
    from reframer_pipeline.media.sampling import Looks
    from reframer_pipeline.store.objects import video_key
    from reframer_pipeline.work.videos import get_video

    try:
        video = get_video(storage.db, video_id)
        path = storage.store.local_path(video_key(video["sha256"]))
        if video["frame_count"]:
            return Looks.about(settings.vid_stride, video["frame_count"], video["duration"])
        header = read_header(path, settings) if path else None
        return Looks.about(settings.vid_stride, header.frames, header.seconds) if header else 0
    except ReframerError:
        return 0  # what is wrong with the file is said when it is run


def _typical(settings: Settings) -> float:
    yolo = settings.yolo_model.removesuffix(".pt")[-1:]
    sam2 = next((name for name in ("tiny", "small", "base_plus", "large") if name in settings.sam2_model), "base_plus")
    return TYPICAL_S.get(yolo, 0.5) + TYPICAL_S[sam2]

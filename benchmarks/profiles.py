"""F7: profiles that trade exactness for speed, each beside the exact way, with what it costs on the demo score.

    python -m benchmarks F7 [--pairs 5] [--quick]

Both sides make the masks of the same drawn clips from the same stored frames and detections; only the settings differ. Clips come from the
seeds of `reframer demo --score`, with exact truth: the gate says how near the masks are to it, and how many detections have one. An object
without a mask is left out of a profile that looks at key frames only, and counts 0 where weak detections are left out.

The official SAM2s have RANDOM weights here: of them the seconds are compared, and nothing is said of quality.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.homes import fresh_home
from benchmarks.models import sam2_of, scene
from benchmarks.pairs import PAIRS, Row, Side, Way, Work, compare_ways
from reframer_pipeline.cli.score import FIRST_SEED
from reframer_pipeline.demo.score import mask_iou
from reframer_pipeline.demo.truth import Frame, truth_of
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.settings import Settings

CLIPS: Final = 2
FRAMES: Final = 125
TARGET: Final = "4, IoU stated"
# By the name that docs/performance.md gives them.
PROFILES: Final[dict[str, dict[str, Any]]] = {
    "key frames: mask_stride 5": {"mask_stride": 5},
    "sure ones: mask_conf 0.8": {"mask_conf": 0.8},
    "small picture: sam2_imgsz 320": {"sam2_imgsz": 320},
    "quick: mask_stride 4, sam2_imgsz 448": {"mask_stride": 4, "sam2_imgsz": 448},
    "coarse arithmetic: precision bfloat16": {"precision": "bfloat16"},
}
OFFICIAL: Final = {f"{size} at 512": (f"sam2_hiera_{size}", 512) for size in ("base_plus", "small", "tiny")}


def settings_of(home: str, **chosen: Any) -> Settings:
    """The demo models on the CPU."""
    return Settings(home=Path(home), models="demo", device="cpu", **chosen)


def computed(home: str, clips: int) -> list[tuple[int, str]]:
    """Draw clips and run all stages on them; seeds and ids."""
    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.running.run_videos import run_videos
    from reframer_pipeline.uploads.ingest import ingest_file

    settings, done = settings_of(home), []
    storage = storage_of(settings)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(FIRST_SEED, FIRST_SEED + clips):
            path = Path(folder) / f"{seed}.mp4"
            write_clip(make_clip(seed, n_frames=FRAMES), path)
            video_id = ingest_file(path, storage.db, storage.store, settings).video_id
            assert video_id is not None
            (outcome,) = run_videos(settings, [video_id])
            assert outcome.status == "completed", outcome.failure_message
            done.append((seed, video_id))
    return done


def masks(home: str, videos: list[tuple[int, str]], chosen: dict[str, Any]) -> Work:
    """The masks of all clips under these settings; the answer is, per clip, the sampled frames and the rows of detections with masks."""
    from reframer_pipeline.media.frame_store import FrameStore
    from reframer_pipeline.media.sampled import sampled_times
    from reframer_pipeline.reading import sheets
    from reframer_pipeline.results.storage import storage_of
    from reframer_pipeline.vision import models
    from reframer_pipeline.vision.boxes import by_frame
    from reframer_pipeline.vision.segmenter import MaskChoice, segment_frames

    settings = settings_of(home, **chosen)
    storage, choice = storage_of(settings), MaskChoice(settings.mask_stride, settings.mask_conf)
    results = [sheets.published(storage, video_id) for _, video_id in videos]
    detected = [list(by_frame(result["detections"].batches())) for result in results]
    segmenter = models.segmenter(settings)

    def work() -> Any:
        made = []
        for result, frames in zip(results, detected, strict=True):
            with FrameStore(result["frames"].open_attachment()) as store:
                batches = segment_frames(frames, store.read, segmenter, result["masks"].result_id, choice=choice)
                found = {row["detection_id"]: row for batch in batches for row in batch.to_pylist()}
            rows = [
                (frame.frame_number, frame.xyxy[at].tolist(), frame.object_classes[at], found.get(name))
                for frame in frames
                for at, name in enumerate(frame.detection_ids)
            ]
            made.append((sampled_times(result["frames"])[0].tolist(), rows))
        return made

    return work


def gate_of(videos: list[tuple[int, str]], chosen: dict[str, Any]) -> Callable[[Any, Any], str]:
    """Says how near both sides' masks are to the truth."""
    clips = {seed: make_clip(seed, n_frames=FRAMES) for seed, _ in videos}
    judged: dict[str, Any] = {}

    def gate(exact: Any, traded: Any) -> str:
        if not judged:
            all_rows = [row for _, rows in traded for row in rows]
            count = sum(row[3] is not None for row in all_rows)
            some = [{row[0] for row in rows if row[3] is not None} for _, rows in traded] if "mask_stride" in chosen else None
            ours, theirs = (_score(clips, videos, side, some) for side in (traded, exact))
            where = "in the frames with masks" if some else "in all frames"
            said = f"mask IoU {ours:.3f} beside {theirs:.3f} {where}; {count} of {len(all_rows)} detections have masks"
            judged.update(answers=(exact, traded), said=said)
        assert judged["answers"] == (exact, traded), "a pair has other masks than the first one, which was judged"
        return str(judged["said"])

    return gate


def _score(clips: dict[int, Any], videos: list[tuple[int, str]], side: Any, frames: list[set[int]] | None) -> float:
    pairs = []
    for at, ((seed, _), (numbers, rows)) in enumerate(zip(videos, side, strict=True)):
        chosen = [number for number in numbers if frames is None or number in frames[at]]
        for number, truth in zip(chosen, truth_of(clips[seed], chosen).frames, strict=True):
            here = [row for row in rows if row[0] == number and row[3] is not None]
            coded = [{"size": [row[3]["height"], row[3]["width"]], "counts": row[3]["rle"].encode()} for row in here]
            pairs.append((truth, Frame.of([row[1] for row in here], [row[2] for row in here], masks=coded)))
    return mask_iou(pairs)


def official(name: str, image_size: int | None) -> Work:
    """Masks of a frame with eight boxes, of an untrained SAM2 of that architecture."""
    from reframer_pipeline.vision.sam2_single import Sam2Segmenter
    from reframer_pipeline.vision.single_frames import for_single_frames

    segmenter = Sam2Segmenter(for_single_frames(sam2_of(name, image_size), "cpu"))
    (image,), boxes = scene(1)

    def work() -> int:
        return len(segmenter.segment([(image, boxes)])[0])

    return work


def _as_many(theirs: int, ours: int) -> str:
    assert theirs == ours
    return f"{ours} masks; random weights, no quality"


def rows(pairs: int = PAIRS, quick: bool = False) -> Iterator[Row]:
    """Each profile beside the exact way; then the official architectures, a frame."""
    with fresh_home() as home:
        videos = computed(str(home), 1 if quick else CLIPS)
        ways = [
            Way(f"masks, {name}", Side(name, masks, (str(home), videos, chosen)), gate_of(videos, chosen))
            for name, chosen in PROFILES.items()
        ]
        yield from compare_ways("F7", Side("exact", masks, (str(home), videos, {})), ways, TARGET, pairs)
    if quick:
        return
    ways = [Way(f"masks of a frame, {name}", Side(name, official, chosen), _as_many) for name, chosen in OFFICIAL.items()]
    yield from compare_ways("F7", Side("base+ at 1024", official, ("sam2_hiera_base_plus", None)), ways, TARGET, pairs)

"""Who describes the scenes of a run: Gemini where it is set and answers, else the local describer.

What belongs here: the choice, and what happens when Gemini cannot answer. What does not: asking (`scenes.gemini`), describing. A
fallback is the local result under the local key, so it is exactly what a deployment without a key would have; Gemini's result stays
missing, and the next planning asks for it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from reframer_pipeline import failures
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.sampled import seconds_by_frame
from reframer_pipeline.scenes.describer import Describer
from reframer_pipeline.scenes.gemini.errors import foreseen
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline.stages.stage import Work


def describer_for(work: Work, facts: Mapping[str, Any], frames: StageInput, masks: StageInput, trajectories: StageInput) -> Describer:
    """The describer of a run; Gemini's has its answer already.

    Args:
        work: The scenes stage of a video; a fallback changes its order.
        facts: Its row of `schemas.METADATA`.
        frames: `schemas.FRAMES`, with the frame store.
        masks: `schemas.MASKS`.
        trajectories: `schemas.TRAJECTORIES`.

    Raises:
        ReframerError: Gemini could not answer, and the settings say that the video fails then.
    """
    if work.settings.resolved_describer == "local":
        return LocalDescriber()
    try:
        with foreseen():  # what nobody foresaw must not fail a video that can be described locally
            return _ask_gemini(work, facts, frames, masks, trajectories)
    except failures.GeminiFailure as failure:
        if work.settings.gemini_on_failure == "fail":
            raise
        work.notes["fallback"] = {"code": failure.code, "message": failure.message}
        work.order = work.order.with_settings(describer="local")
        return LocalDescriber()


def _ask_gemini(work: Work, facts: Mapping[str, Any], frames: StageInput, masks: StageInput, trajectories: StageInput) -> Describer:
    from reframer_pipeline.scenes.gemini.answer import CheckedAnswer
    from reframer_pipeline.scenes.gemini.ask import Asker
    from reframer_pipeline.scenes.gemini.grounded import GeminiDescriber
    from reframer_pipeline.scenes.gemini.keyframes import choose_keyframes, keyframe_pictures
    from reframer_pipeline.scenes.observations import load_observations
    from reframer_pipeline.scenes.shots import COLUMNS, find_shots

    settings, began = work.settings, time.monotonic()
    keyframes: dict[int, float] | None = None
    if settings.gemini_media == "keyframes":
        seconds = seconds_by_frame(frames)
        shots = find_shots(frames.batches(COLUMNS), facts, settings)
        chosen = choose_keyframes(list(seconds), shots, load_observations(trajectories, masks), settings.gemini_keyframes)
        keyframes = {frame: seconds[frame] for frame in chosen}

    def pictures() -> Any:
        with FrameStore(frames.open_attachment()) as store:
            return keyframe_pictures(store, keyframes or {})

    asker = Asker(work.db, settings, work.order.video.video_id, facts, work.upload, work.alive)
    try:
        answer, was_there = asker.answer(keyframes, pictures)
    finally:  # also what was asked in vain has its price
        seconds_taken = round(time.monotonic() - began, 3)
        work.notes["gemini"] = {**asdict(asker.spent), "seconds": seconds_taken}
    checked = CheckedAnswer.model_validate(answer.content)
    work.notes["gemini"] = {
        "model_version": answer.model_version,
        "from_cache": was_there,
        **asdict(asker.spent),
        "in_all": asdict(answer.spent),
        "dropped": checked.dropped,
        "seconds": seconds_taken,
    }
    labels = {"person": settings.person_labels, "product": settings.product_labels}
    return GeminiDescriber(checked, answer.model_version, settings.gemini_snap_s, labels)

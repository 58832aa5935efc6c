"""Who describes the scenes of a run: Gemini where it is set and answers, else the local describer.

What belongs here: the choice, and what happens when Gemini cannot answer. What does not: asking (`scenes.gemini`), describing. A
fallback is the local result under the local key, so it is exactly what a deployment without a key would have; Gemini's result stays
missing, and the next planning asks for it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reframer_pipeline import failures, versions
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.media.sampled import seconds_by_frame
from reframer_pipeline.scenes.describer import Describer
from reframer_pipeline.scenes.gemini.errors import foreseen
from reframer_pipeline.scenes.local import LocalDescriber
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.stage import Work

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.scenes.gemini.answer import CheckedAnswer


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
    from reframer_pipeline.scenes.gemini import questions
    from reframer_pipeline.scenes.gemini.answer import CheckedAnswer
    from reframer_pipeline.scenes.gemini.ask import Asker
    from reframer_pipeline.scenes.gemini.keyframes import keyframe_pictures

    settings, began = work.settings, time.monotonic()
    keyframes = _keyframes(settings, facts, frames, masks, trajectories)

    def pictures() -> Any:
        with FrameStore(frames.open_attachment()) as store:
            return keyframe_pictures(store, keyframes or {})

    asker = Asker(work.db, settings, work.order.video.video_id, facts, work.upload, work.alive)
    try:
        answer, was_there = asker.answer(keyframes, pictures)
    finally:  # also what was asked in vain has its price
        seconds_taken = round(time.monotonic() - began, 3)
        work.notes["gemini"] = {**asdict(asker.spent), "seconds": seconds_taken}
    work.answer = questions.told(asker.question(keyframes), answer)
    checked = CheckedAnswer.model_validate(answer.content)
    work.notes["gemini"] = {
        "model_version": answer.model_version,
        "from_cache": was_there,
        **asdict(asker.spent),
        "in_all": asdict(answer.spent),
        "dropped": checked.dropped,
        "seconds": seconds_taken,
    }
    return _grounded(checked, answer.model_version, settings)


def gemini_again(
    db: Database, settings: Settings, facts: Mapping[str, Any], frames: StageInput, masks: StageInput, trajectories: StageInput
) -> Describer:
    """Gemini's describer with the answer that it gave when it was asked about these results. Nothing is asked.

    Args:
        db: Where answers are kept.
        settings: That the results were made with.
        facts, frames, masks, trajectories: As for `describer_for`: what it was asked about.

    Raises:
        CorrectionRefused: The answer is not kept any more.
    """
    from reframer_pipeline.scenes.gemini.answer import CheckedAnswer
    from reframer_pipeline.scenes.gemini.prompt import question_digest
    from reframer_pipeline.scenes.gemini.questions import find

    keyframes = _keyframes(settings, facts, frames, masks, trajectories)
    digest = question_digest(
        facts["sha256"], settings.gemini_model, versions.GEMINI_PROMPT_VERSION, None if keyframes is None else sorted(keyframes)
    )
    answer = find(db, digest)
    if answer is None:
        raise failures.CorrectionRefused(
            "The scenes cannot be described anew: Gemini's answer is not kept any more.",
            "Compute the video again first: `reframer run --force`.",
        )
    return _grounded(CheckedAnswer.model_validate(answer.content), answer.model_version, settings)


def _keyframes(
    settings: Settings, facts: Mapping[str, Any], frames: StageInput, masks: StageInput, trajectories: StageInput
) -> dict[int, float] | None:
    """The frames that are sent in place of the video, with their times in seconds; None if it is sent itself."""
    from reframer_pipeline.scenes.gemini.keyframes import choose_keyframes
    from reframer_pipeline.scenes.observations import load_observations
    from reframer_pipeline.scenes.shots import COLUMNS, find_shots

    if settings.gemini_media != "keyframes":
        return None
    seconds = seconds_by_frame(frames)
    shots = find_shots(frames.batches(COLUMNS), facts, settings)
    chosen = choose_keyframes(list(seconds), shots, load_observations(trajectories, masks), settings.gemini_keyframes)
    return {frame: seconds[frame] for frame in chosen}


def _grounded(checked: CheckedAnswer, model_version: str, settings: Settings) -> Describer:
    from reframer_pipeline.scenes.gemini.grounded import GeminiDescriber

    labels = {"person": settings.person_labels, "product": settings.product_labels}
    return GeminiDescriber(checked, model_version, settings.gemini_snap_s, labels)

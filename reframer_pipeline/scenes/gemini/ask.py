"""One video's question to Gemini: asked once, in its turn, and paid once.

What belongs here: putting cache, limiter and client together. What does not: any of these. The limiter and the claims live in the database
that all processes share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from reframer_pipeline import versions
from reframer_pipeline.scenes.gemini.client import GeminiClient, Hooks, Keyframe, VideoFile
from reframer_pipeline.scenes.gemini.prompt import question_digest, task
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import questions, rate_limit
from reframer_pipeline.storage.postgres import Database
from reframer_pipeline.storage.questions import Answer, Claim, Question
from reframer_pipeline.storage.text import clean_json

LIMITER: Final = "gemini"


class Asker:
    """Asks about one video.

    Args:
        db: The database.
        settings: Everything of Gemini.
        video_id: The video.
        facts: Its row of `schemas.METADATA`.
        upload: Opens the video as a local file, while a context lasts; only called if the video must be sent.
        alive: Called at least every few seconds; may raise to give up.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        video_id: str,
        facts: Mapping[str, Any],
        upload: Callable[[], AbstractContextManager[Path]],
        alive: Callable[[], None],
    ) -> None:
        self._db, self._settings, self._video_id, self._facts = db, settings, video_id, facts
        self._upload, self._alive = upload, alive

    def answer(self, keyframes: Mapping[int, float] | None, pictures: Callable[[], Sequence[Keyframe]]) -> tuple[Answer, bool]:
        """The answer, and whether it was there already.

        Args:
            keyframes: Source frames to send in place of the video, with their times in seconds; None to send the video.
            pictures: Makes the pictures of these; only called if they must be sent.

        Raises:
            ReframerError: One of `failures.GEMINI_FAILURES`, or the database's.
        """
        settings, prompt_version = self._settings, versions.GEMINI_PROMPT_VERSION
        frames = None if keyframes is None else sorted(keyframes)
        digest = question_digest(self._facts["sha256"], settings.gemini_model, prompt_version, frames)
        question = Question(digest, self._video_id, settings.gemini_model, prompt_version)
        text = task(self._facts, None if keyframes is None else [keyframes[frame] for frame in sorted(keyframes)])

        def ask(claim: Claim) -> Answer:
            client = GeminiClient(settings, self._hooks(claim))
            if keyframes is not None:
                reply = client.ask(text, pictures(), claim.left_behind)
            else:
                with self._upload() as path:
                    reply = client.ask(text, VideoFile(path, _mime_type(self._facts["container"])), claim.left_behind)
            cost = (reply.input_tokens * settings.gemini_input_price + reply.output_tokens * settings.gemini_output_price) / 1e6
            content: Any = clean_json(reply.answer.model_dump(mode="json"))
            return Answer(content, reply.model_version, reply.input_tokens, reply.output_tokens, round(cost, 6))

        return questions.ask_once(self._db, question, ask, deadline_s=settings.gemini_deadline_s, alive=self._alive)

    def _hooks(self, claim: Claim) -> Hooks:
        per_minute = self._settings.gemini_requests_per_minute
        return Hooks(
            alive=self._alive,
            take_turn=lambda until: rate_limit.take_turn(self._db, LIMITER, per_minute, until=until, alive=self._alive),
            hold_off=lambda seconds: rate_limit.hold_off(self._db, LIMITER, seconds),
            remote_file=claim.note_remote_file,
        )


def _mime_type(container: str) -> str:
    return "video/avi" if container == "avi" else "video/mp4"

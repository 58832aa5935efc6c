"""One video's question to Gemini: asked once, in its turn, and paid once.

What belongs here: putting cache, limiter and client together. What does not: any of these. The limiter and the claims live in the database
that all processes share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from reframer_pipeline import failures, versions
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.scenes.gemini import questions, rate_limit
from reframer_pipeline.scenes.gemini.claims import Answer, Claim, ClaimLost, Question, Spent
from reframer_pipeline.scenes.gemini.client import GeminiClient, Hooks, Keyframe
from reframer_pipeline.scenes.gemini.prompt import question_digest, task
from reframer_pipeline.scenes.gemini.remote_file import VideoFile
from reframer_pipeline.settings import Settings


class Asker:
    """Asks about one video.

    Args:
        db: The database.
        settings: Everything of Gemini.
        video_id: The video.
        facts: Its row of `schemas.METADATA`.
        upload: Opens the video as a local file, while a context lasts; only called if the video must be sent.
        alive: Called at least every few seconds; may raise to give up.

    Attributes:
        spent: What this asker used up itself, whether or not it got an answer.
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
        self._limiter = limiter_name(settings)
        self.spent = Spent()

    def answer(self, keyframes: Mapping[int, float] | None, pictures: Callable[[], Sequence[Keyframe]]) -> tuple[Answer, bool]:
        """The answer, and whether it was there already.

        Args:
            keyframes: Source frames to send in place of the video, with their times in seconds; None to send the video.
            pictures: Makes the pictures of these; only called if they must be sent.

        Raises:
            ReframerError: A `GeminiFailure`, or the database's or the store's.
        """
        settings, prompt_version = self._settings, versions.GEMINI_PROMPT_VERSION
        frames = None if keyframes is None else sorted(keyframes)
        digest = question_digest(self._facts["sha256"], settings.gemini_model, prompt_version, frames)
        question = Question(digest, self._video_id, settings.gemini_model, prompt_version)
        text = task(self._facts, None if keyframes is None else [keyframes[frame] for frame in sorted(keyframes)])

        def ask(claim: Claim) -> Answer:
            client = GeminiClient(settings, self._hooks(claim), claim.until)
            claim.afterwards = client.tidy_up
            try:
                if keyframes is not None:
                    return client.ask(text, pictures(), claim.left_behind)
                with self._upload() as path:
                    return client.ask(text, VideoFile(path, _mime_type(self._facts["container"])), claim.left_behind)
            except (failures.ReframerError, ClaimLost):
                raise
            except Exception as error:  # unforeseen: noted like any failure, so that the pauses before the next one grow
                raise failures.GeminiUnavailable(f"Asking Gemini ended with an unexpected {type(error).__name__}.") from error
            finally:
                claim.spent = client.spent
                self.spent += claim.spent

        return questions.ask_once(self._db, question, ask, deadline_s=settings.gemini_deadline_s, alive=self._alive)

    def _hooks(self, claim: Claim) -> Hooks:
        def take_turn(until: float) -> bool:
            came = rate_limit.take_turn(self._db, self._limiter, self._settings.gemini_requests_per_minute, until=until, alive=self._alive)
            claim.renew()  # a process that was stopped for a while may have lost it: then another one pays
            return came

        return Hooks(
            alive=self._alive,
            take_turn=take_turn,
            hold_off=lambda seconds: rate_limit.hold_off(self._db, self._limiter, seconds),
            uploaded=claim.note_uploaded,
            deleted=claim.note_deleted,
        )


def limiter_name(settings: Settings) -> str:
    """Quotas belong to a model and a key's project: a name for both, from which nobody learns the key."""
    key = settings.gemini_api_key.get_secret_value() if settings.gemini_api_key is not None else ""
    return f"gemini:{settings.gemini_model}:{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:8]}"


def _mime_type(container: str) -> str:
    return "video/avi" if container == "avi" else "video/mp4"

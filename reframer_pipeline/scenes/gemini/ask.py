"""One video's question to Gemini: asked once, in its turn, and paid once.

What belongs here: putting cache, limiter and client together. What does not: any of these. The limiter and the claims live in the database
that all processes share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reframer_pipeline import versions
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.scenes.gemini import questions, rate_limit
from reframer_pipeline.scenes.gemini.claims import Answer, Claim, ClaimLost, Question, Spent
from reframer_pipeline.scenes.gemini.client import GeminiClient, Hooks, Keyframe
from reframer_pipeline.scenes.gemini.errors import foreseen
from reframer_pipeline.scenes.gemini.prompt import question_digest, task
from reframer_pipeline.scenes.gemini.remote_file import VideoFile
from reframer_pipeline.settings import Settings


@dataclass
class Asker:
    """Asks about one video.

    Attributes:
        db: The database.
        settings: Everything of Gemini.
        video_id: The video.
        facts: Its row of `schemas.METADATA`.
        upload: Opens the video as a local file, while a context lasts; only called if the video must be sent.
        alive: Called at least every few seconds; may raise to give up.
        spent: What this asker used up itself, whether or not it got an answer.
    """

    db: Database
    settings: Settings
    video_id: str
    facts: Mapping[str, Any]
    upload: Callable[[], AbstractContextManager[Path]]
    alive: Callable[[], None]
    spent: Spent = Spent()

    def question(self, keyframes: Mapping[int, float] | None) -> Question:
        """The question; arguments as for `answer`."""
        model, prompt_version = self.settings.gemini_model, versions.GEMINI_PROMPT_VERSION
        digest = question_digest(self.facts["sha256"], model, prompt_version, None if keyframes is None else sorted(keyframes))
        return Question(digest, self.video_id, model, prompt_version)

    def answer(self, keyframes: Mapping[int, float] | None, pictures: Callable[[], Sequence[Keyframe]]) -> tuple[Answer, bool]:
        """The answer, and whether it was there already.

        Args:
            keyframes: Source frames to send in place of the video, with their times in seconds; None to send the video.
            pictures: Makes the pictures of these; only called if they must be sent.

        Raises:
            ReframerError: A `GeminiFailure`, or the database's or the store's.
        """
        settings, question = self.settings, self.question(keyframes)
        text = task(self.facts, None if keyframes is None else [keyframes[frame] for frame in sorted(keyframes)])

        def ask(claim: Claim) -> Answer:
            client = GeminiClient(settings, self._hooks(claim), claim.until)
            claim.afterwards = client.tidy_up
            try:
                with foreseen(ClaimLost):  # so that what was not is noted like any failure, and the pauses before the next one grow
                    if keyframes is not None:
                        return client.ask(text, pictures(), claim.left_behind)
                    with self.upload() as path:
                        kind = "video/avi" if self.facts["container"] == "avi" else "video/mp4"
                        return client.ask(text, VideoFile(path, kind), claim.left_behind)
            finally:
                claim.spent = client.spent
                self.spent += claim.spent

        return questions.ask_once(self.db, question, ask, deadline_s=settings.gemini_deadline_s, alive=self.alive)

    def _hooks(self, claim: Claim) -> Hooks:
        limiter = limiter_name(self.settings)

        def take_turn(until: float) -> bool:
            came = rate_limit.take_turn(self.db, limiter, self.settings.gemini_requests_per_minute, until=until, alive=self.alive)
            claim.renew()  # a process that was stopped for a while may have lost it: then another one pays
            return came

        return Hooks(
            alive=self.alive,
            take_turn=take_turn,
            hold_off=lambda seconds: rate_limit.hold_off(self.db, limiter, seconds),
            uploaded=claim.note_uploaded,
            deleted=claim.note_deleted,
        )


def limiter_name(settings: Settings) -> str:
    """Quotas belong to a model and a key's project: a name for both, from which nobody learns the key."""
    key = settings.gemini_api_key.get_secret_value() if settings.gemini_api_key is not None else ""
    return f"gemini:{settings.gemini_model}:{hashlib.sha256(key.encode(errors='replace')).hexdigest()[:8]}"

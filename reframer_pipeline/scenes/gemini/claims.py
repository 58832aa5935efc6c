"""The right to ask a question, which one at a time holds; and what is written down when it ends.

What belongs here: taking, keeping and giving up a claim, in Postgres. What does not: waiting for another's (`questions`). A claim is kept
alive by a heartbeat; when its holder dies, another takes over after `CLAIM_S` at the latest. Should both have asked by then, the first
answer stands, and what both used is counted.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reframer_pipeline import failures
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.database.text import clean_text
from reframer_pipeline.work.heartbeat import beating

CLAIM_S: Final = 30.0  # after its last heartbeat a claim is anybody's
_FIRST_PAUSE_S: Final = 300.0  # before the backfill asks again; doubled with each failure
_LONGEST_PAUSE_S: Final = 86_400.0


@dataclass(frozen=True)
class Question:
    """What identifies a question.

    Attributes:
        digest: SHA-256 over everything the answer depends on.
        video_id: The video it is about.
        model: The model that is asked.
        prompt_version: Of prompt and schema.
    """

    digest: str
    video_id: str
    model: str
    prompt_version: int


@dataclass(frozen=True)
class Spent:
    """What asking used up.

    Attributes:
        requests: That the model was at work for, as far as is known.
        input_tokens: Of prompt and media.
        output_tokens: Of the answers, thoughts included.
        cost_usd: By the prices that were set.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            round(self.cost_usd + other.cost_usd, 6),
        )


@dataclass(frozen=True)
class Answer:
    """An answer, as it was paid for.

    Attributes:
        content: What the model said, valid for the schema.
        model_version: The model that really answered.
        spent: What the question has used up in all, in vain and by whomever, as far as is known.
    """

    content: dict[str, Any]
    model_version: str
    spent: Spent


class ClaimLost(Exception):
    """Another one has taken the question over: this one goes back to waiting."""


class Claim:
    """The right to ask a question, while it lasts. Whoever holds it fills `spent` and `afterwards`.

    Attributes:
        until: `time.monotonic()` at which the asker must be done.
        left_behind: Name of a remote file that an earlier claimant did not delete, or None.
        spent: What the claimant used; written down with the outcome, whatever it is.
        afterwards: Called once the outcome is written down, so that an answer is safe before anything is tidied up.
    """

    def __init__(self, db: Database, question: Question, token: str, left_behind: str | None, until: float) -> None:
        self._db, self._question, self._token = db, question, token
        self.left_behind, self.until = left_behind, until
        self.spent = Spent()
        self.afterwards: Callable[[], None] = lambda: None

    def renew(self) -> None:
        """To be called right before each request that costs something.

        Raises:
            ClaimLost: Another one holds the claim now.
        """
        if not self._beat():
            raise ClaimLost

    def note_uploaded(self, name: str) -> None:
        """Remember a remote file, so that a successor can delete it."""
        self._db.execute(
            "UPDATE gemini_questions SET remote_file = %s WHERE digest = %s AND claim_token = %s",
            (name, self._question.digest, self._token),
        )

    def note_deleted(self, name: str) -> None:
        """Forget a remote file: it is gone."""
        with contextlib.suppress(failures.ReframerError):  # the next one asks to delete it again, in vain, which harms nobody
            self._db.execute(
                "UPDATE gemini_questions SET remote_file = NULL WHERE digest = %s AND remote_file = %s", (self._question.digest, name)
            )

    def kept(self) -> AbstractContextManager[None]:
        """Keep the claim alive while the context lasts."""
        return beating(self._beat, CLAIM_S / 3, f"question {self._question.digest[:8]}")

    def end(self, answer: Answer | None = None, failure: failures.ReframerError | None = None) -> None:
        """Write down what came of it and what it used, and give the claim up. The same may be asked again after a lost connection.

        Args:
            answer: Kept unless there is one already.
            failure: Kept if this is still the claimant; the backfill asks again after a pause that doubles each time, up to a day.
        """
        digest, token, spent = self._question.digest, self._token, self.spent

        def act(conn: Any) -> None:
            conn.execute(
                """UPDATE gemini_questions SET requests = requests + %s, input_tokens = input_tokens + %s,
                       output_tokens = output_tokens + %s, cost_usd = cost_usd + %s, counted_for = %s
                   WHERE digest = %s AND counted_for IS DISTINCT FROM %s""",
                (spent.requests, spent.input_tokens, spent.output_tokens, spent.cost_usd, token, digest, token),
            )
            if answer is not None:
                conn.execute(
                    """UPDATE gemini_questions SET answer = %s, model_version = %s, answered_at = clock_timestamp(), failures = 0,
                           failure_code = NULL, failure_message = NULL, failed_at = NULL, next_ask_at = NULL
                       WHERE digest = %s AND answer IS NULL""",
                    (json.dumps(answer.content, allow_nan=False), answer.model_version, digest),
                )
            if failure is not None:
                conn.execute(
                    """UPDATE gemini_questions SET failures = failures + 1, failure_code = %s, failure_message = %s,
                           failed_at = clock_timestamp(),
                           next_ask_at = clock_timestamp() + least(%s * power(2, least(failures, 20)), %s) * interval '1 second'
                       WHERE digest = %s AND claim_token = %s AND answer IS NULL""",
                    (failure.code, clean_text(failure.message), _FIRST_PAUSE_S, _LONGEST_PAUSE_S, digest, token),
                )
            conn.execute(
                "UPDATE gemini_questions SET claim_token = NULL, claimed_until = NULL WHERE digest = %s AND claim_token = %s",
                (digest, token),
            )

        self._db.run(act)

    def _beat(self) -> bool:
        touched = self._db.execute(
            """UPDATE gemini_questions SET claimed_until = clock_timestamp() + %s * interval '1 second'
               WHERE digest = %s AND claim_token = %s""",
            (CLAIM_S, self._question.digest, self._token),
            CLAIM_S / 3,
        )
        return touched > 0


def take(db: Database, question: Question, began: datetime, until: float) -> tuple[Row, Claim | None]:
    """The question's row, and the claim if it is ours now. None is taken where there is an answer, or a failure since `began`.

    Args:
        db: The database.
        question: The question.
        began: Server's time since which a failure answers this asker too.
        until: `time.monotonic()` at which the asker must be done.
    """
    token = str(uuid.uuid4())

    def act(conn: Any) -> tuple[Row, bool]:
        conn.execute(
            """INSERT INTO gemini_questions (digest, video_id, model, prompt_version) VALUES (%s, %s, %s, %s)
               ON CONFLICT (digest) DO NOTHING""",
            (question.digest, question.video_id, question.model, question.prompt_version),
        )
        row = conn.execute(
            """SELECT *, claim_token IS NULL OR claimed_until < clock_timestamp() AS free,
                   claim_token IS NULL AND coalesce(failed_at > %s, false) AS failed_meanwhile
               FROM gemini_questions WHERE digest = %s FOR UPDATE""",
            (began, question.digest),
        ).fetchone()
        if row["answer"] is not None or row["failed_meanwhile"] or not row["free"]:
            return row, False
        conn.execute(
            "UPDATE gemini_questions SET claim_token = %s, claimed_until = clock_timestamp() + %s * interval '1 second' WHERE digest = %s",
            (token, CLAIM_S, question.digest),
        )
        return row, True

    row, ours = db.run(act)
    return row, Claim(db, question, token, row["remote_file"], until) if ours else None

"""Questions to a paid describer: each is asked once, whoever asks, and its answer outlives every recomputation. Scenes that were
described by it keep it in their file, so that a rebuild from the store has it as well.

What belongs here: the cache of answers, and that one asks while the others wait. What does not: the right to ask and what is written down
of it (`claims`), asking itself (`scenes.gemini`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline import failures
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.scenes.gemini import claims
from reframer_pipeline.scenes.gemini.claims import Answer, Claim, ClaimLost, Question, Spent

if TYPE_CHECKING:
    import psycopg

_POLL_S: Final = 0.5


def find(db: Database, digest: str) -> Answer | None:
    """The answer to a question, if it is there."""
    row = db.fetch_one("SELECT * FROM gemini_questions WHERE digest = %s AND answer IS NOT NULL", (digest,))
    return _answer(row) if row else None


def ask_once(
    db: Database, question: Question, ask: Callable[[Claim], Answer], *, deadline_s: float, alive: Callable[[], None]
) -> tuple[Answer, bool]:
    """The answer to a question: the one that is there, or the one that somebody else is waiting for, or a new one.

    Args:
        db: The database.
        question: The question.
        ask: Gets the answer until `Claim.until`, and fills the claim's `spent` and `afterwards`; called by whoever holds the claim.
        deadline_s: How long all of it may take, waiting for another included, seconds.
        alive: Called at least once a second while waiting; may raise to give up.

    Returns:
        The answer, and whether it was already there.

    Raises:
        ReframerError: What `ask` raised, here or, meanwhile, in another process.
        GeminiUnavailable: Another one was still asking at the deadline.
    """
    began, until = _server_time(db), time.monotonic() + deadline_s
    while True:
        alive()
        row, claim = claims.take(db, question, began, until)
        if row["answer"] is not None:
            return _answer(row), True
        if claim is not None:
            with contextlib.suppress(ClaimLost):  # then another one is asking, and is waited for
                return _ask(db, question, claim, ask)
        elif row["failed_meanwhile"]:
            raise failure_of(row)  # the one that was waited for got no answer: neither would this one
        if time.monotonic() > until:
            raise failures.GeminiUnavailable("Another run is still waiting for Gemini's answer about this video.")
        time.sleep(_POLL_S)


def told(question: Question, answer: Answer) -> dict[str, Any]:
    """A question and its answer as JSON values, for the file of the scenes that were described by it: `restore` undoes it."""
    return {**asdict(question), **asdict(answer)}


def restore(conn: psycopg.Connection[Row], said: Mapping[str, Any]) -> None:
    """Put an answer back where it is lost, with what it cost; one that is there stays.

    Args:
        conn: In a transaction; the video is there.
        said: As `told` has it.
    """
    from psycopg.types.json import Jsonb

    conn.execute(
        """INSERT INTO gemini_questions AS q (digest, video_id, model, prompt_version, requests, input_tokens, output_tokens, cost_usd,
               answer, model_version, answered_at)
           VALUES (%(digest)s, %(video_id)s, %(model)s, %(prompt_version)s, %(requests)s, %(input_tokens)s, %(output_tokens)s,
               %(cost_usd)s, %(answer)s, %(model_version)s, clock_timestamp())
           ON CONFLICT (digest) DO UPDATE SET answer = EXCLUDED.answer, model_version = EXCLUDED.model_version,
               answered_at = EXCLUDED.answered_at, requests = q.requests + EXCLUDED.requests,
               input_tokens = q.input_tokens + EXCLUDED.input_tokens, output_tokens = q.output_tokens + EXCLUDED.output_tokens,
               cost_usd = q.cost_usd + EXCLUDED.cost_usd, failures = 0, failure_code = NULL, failure_message = NULL, failed_at = NULL,
               next_ask_at = NULL
           WHERE q.answer IS NULL""",
        {**said, **said["spent"], "answer": Jsonb(said["content"])},
    )


def failure_of(row: Row) -> failures.ReframerError:
    """The typed failure that a row tells of."""
    kinds = {kind.code: kind for kind in failures.GeminiFailure.__subclasses__()}
    return kinds.get(row["failure_code"], failures.GeminiUnavailable)(row["failure_message"])


def _ask(db: Database, question: Question, claim: Claim, ask: Callable[[Claim], Answer]) -> tuple[Answer, bool]:
    try:
        with claim.kept():
            try:
                answer = ask(claim)
            except failures.ReframerError as failure:
                with contextlib.suppress(failures.ReframerError):  # the first failure is what people must see
                    claim.end(failure=failure)
                raise
            except BaseException:  # interrupted, or lost: the next one asks at once
                with contextlib.suppress(failures.ReframerError):
                    claim.end()
                raise
            claim.end(answer)
    finally:
        claim.afterwards()
    return find(db, question.digest) or answer, False


def _server_time(db: Database) -> datetime:
    row = db.fetch_one("SELECT clock_timestamp() AS now")
    assert row is not None
    now: datetime = row["now"]
    return now


def _answer(row: Row) -> Answer:
    spent = Spent(row["requests"], row["input_tokens"], row["output_tokens"], float(row["cost_usd"]))
    return Answer(row["answer"], row["model_version"], spent)

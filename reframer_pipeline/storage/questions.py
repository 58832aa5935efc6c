"""Questions to a paid describer: each is asked once, whoever asks, and its answer outlives every recomputation.

What belongs here: the cache of answers, and the claim by which one asks while the others wait. What does not: asking (`scenes.gemini`), or
what a question is made of (`scenes.question`). A claim is kept alive by a heartbeat; when its holder dies, another takes over after
`CLAIM_S` at the latest. Should both have asked by then, the first answer stands.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from reframer_pipeline import failures
from reframer_pipeline.storage.postgres import Database, Row
from reframer_pipeline.storage.text import clean_text

CLAIM_S: Final = 30.0  # after its last heartbeat a claim is anybody's
OF_VIDEO: Final[LiteralString] = """SELECT model, prompt_version, model_version, input_tokens, output_tokens, cost_usd::float8 AS cost_usd,
        answered_at, failures, failure_code, failure_message, next_ask_at
    FROM gemini_questions WHERE video_id = %s ORDER BY coalesce(answered_at, failed_at, created_at) DESC"""
_POLL_S: Final = 0.5
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
class Answer:
    """An answer, as it was paid for.

    Attributes:
        content: What the model said, valid for the schema.
        model_version: The model that really answered.
        input_tokens: Of prompt and media.
        output_tokens: Of the answer, thoughts included.
        cost_usd: By the prices that were set when it was asked.
    """

    content: dict[str, Any]
    model_version: str
    input_tokens: int
    output_tokens: int
    cost_usd: float


class Claim:
    """The right to ask a question, while it lasts.

    Attributes:
        left_behind: Name of a remote file that an earlier claimant uploaded and did not live to delete, or None.
    """

    def __init__(self, db: Database, question: Question, token: str, left_behind: str | None) -> None:
        self._db, self._question, self._token = db, question, token
        self.left_behind = left_behind

    def note_remote_file(self, name: str | None) -> None:
        """Remember what has been uploaded, so that a successor can delete it. None: it is deleted."""
        self._db.execute(
            "UPDATE gemini_questions SET remote_file = %s WHERE digest = %s AND claim_token = %s",
            (name, self._question.digest, self._token),
        )


def find(db: Database, digest: str) -> Answer | None:
    """The answer to a question, if it is there."""
    row = db.fetch_one("SELECT * FROM gemini_questions WHERE digest = %s AND answer IS NOT NULL", (digest,))
    return _answer(row) if row else None


def of_video(db: Database, video_id: str) -> list[Row]:
    """Everything that was asked about a video, the newest first: model, prompt version, tokens, cost and times, or the last failure."""
    return db.fetch(OF_VIDEO, (video_id,))


def ask_once(
    db: Database, question: Question, ask: Callable[[Claim], Answer], *, deadline_s: float, alive: Callable[[], None]
) -> tuple[Answer, bool]:
    """The answer to a question: the one that is there, or the one that somebody else is waiting for, or a new one.

    Args:
        db: The database.
        question: The question.
        ask: Gets the answer; called at most once, by the one who holds the claim.
        deadline_s: How long another's answer is waited for, seconds.
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
        row, token = _claim(db, question, began)
        if row["answer"] is not None:
            return _answer(row), True
        if token is not None:
            return _ask(db, question, Claim(db, question, token, row["remote_file"]), token, ask)
        if row["failed_meanwhile"]:
            raise failure_of(row)  # the one that was waited for got no answer: neither would this one
        if time.monotonic() > until:
            raise failures.GeminiUnavailable("Another run is still waiting for Gemini's answer about this video.")
        time.sleep(_POLL_S)


def failure_of(row: Row) -> failures.ReframerError:
    """The typed failure that a row tells of."""
    kinds = {kind.code: kind for kind in failures.GEMINI_FAILURES}
    return kinds.get(row["failure_code"], failures.GeminiUnavailable)(row["failure_message"])


def _claim(db: Database, question: Question, began: Any) -> tuple[Row, str | None]:
    """The question's row, and a token if the claim is ours now. None is taken where there is an answer, or a failure since `began`."""
    token = str(uuid.uuid4())

    def act(conn: Any) -> tuple[Row, str | None]:
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
            return row, None
        conn.execute(
            "UPDATE gemini_questions SET claim_token = %s, claimed_until = clock_timestamp() + %s * interval '1 second' WHERE digest = %s",
            (token, CLAIM_S, question.digest),
        )
        return row, token

    return db.run(act)


def _ask(db: Database, question: Question, claim: Claim, token: str, ask: Callable[[Claim], Answer]) -> tuple[Answer, bool]:
    with _heartbeat(db, question, token):
        try:
            answer = ask(claim)
        except failures.ReframerError as failure:
            with contextlib.suppress(failures.ReframerError):  # the first failure is what people must see
                _note_failure(db, question, token, failure)
            raise
        except BaseException:  # interrupted: the next one asks at once
            with contextlib.suppress(failures.ReframerError):
                _release(db, question, token)
            raise
        return _keep(db, question, token, answer)


@contextlib.contextmanager
def _heartbeat(db: Database, question: Question, token: str) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(CLAIM_S / 3):
            with contextlib.suppress(failures.ReframerError):  # tried again soon; a claim that ran out is still ours until another takes it
                db.execute(
                    """UPDATE gemini_questions SET claimed_until = clock_timestamp() + %s * interval '1 second'
                       WHERE digest = %s AND claim_token = %s""",
                    (CLAIM_S, question.digest, token),
                )

    thread = threading.Thread(target=beat, name=f"question-{question.digest[:8]}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _keep(db: Database, question: Question, token: str, answer: Answer) -> tuple[Answer, bool]:
    """Store the answer unless there is one; the one that is there then."""
    kept = db.execute(
        """UPDATE gemini_questions SET answer = %s, model_version = %s, input_tokens = %s, output_tokens = %s, cost_usd = %s,
               answered_at = clock_timestamp(), claim_token = NULL, claimed_until = NULL, failures = 0, failure_code = NULL,
               failure_message = NULL, failed_at = NULL, next_ask_at = NULL
           WHERE digest = %s AND answer IS NULL""",
        (
            json.dumps(answer.content, allow_nan=False), answer.model_version, answer.input_tokens, answer.output_tokens, answer.cost_usd,
            question.digest,
        ),
    )  # fmt: skip
    _release(db, question, token)
    return (answer, False) if kept else (find(db, question.digest) or answer, False)


def _note_failure(db: Database, question: Question, token: str, failure: failures.ReframerError) -> None:
    """Say that it was asked in vain, and when the backfill may ask again: after a pause that doubles each time, up to a day."""
    db.execute(
        """UPDATE gemini_questions SET claim_token = NULL, claimed_until = NULL, failures = failures + 1, failure_code = %s,
               failure_message = %s, failed_at = clock_timestamp(),
               next_ask_at = clock_timestamp() + least(%s * power(2, least(failures, 20)), %s) * interval '1 second'
           WHERE digest = %s AND claim_token = %s AND answer IS NULL""",
        (failure.code, clean_text(failure.message), _FIRST_PAUSE_S, _LONGEST_PAUSE_S, question.digest, token),
    )


def _release(db: Database, question: Question, token: str) -> None:
    db.execute(
        "UPDATE gemini_questions SET claim_token = NULL, claimed_until = NULL WHERE digest = %s AND claim_token = %s",
        (question.digest, token),
    )


def _server_time(db: Database) -> Any:
    row = db.fetch_one("SELECT clock_timestamp() AS now")
    assert row is not None
    return row["now"]


def _answer(row: Row) -> Answer:
    return Answer(row["answer"], row["model_version"], row["input_tokens"], row["output_tokens"], float(row["cost_usd"]))

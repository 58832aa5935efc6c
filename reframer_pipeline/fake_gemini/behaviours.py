"""What the stand-in can be told to do once instead of answering well.

What belongs here: the names of endpoints and behaviours, what each looks like to a caller, the queue, and reading a script. What does
not: how a behaviour is carried out (`handler` for the connection, `answers` for what a model says, `files` for what becomes of a file).
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass


class Endpoint(StrEnum):
    """What a request asks for."""

    UPLOAD_START = "upload_start"
    UPLOAD_CHUNK = "upload_chunk"
    GET_FILE = "get_file"
    LIST_FILES = "list_files"
    DELETE_FILE = "delete_file"
    GENERATE = "generate"


class Kind(StrEnum):
    """The behaviours: those of any endpoint, those of `generate`, and those of the next uploaded file."""

    RATE_LIMITED = "rate_limited"  # 429, with RetryInfo if `retry_seconds` is given
    BAD_REQUEST = "bad_request"  # 400 INVALID_ARGUMENT; at a chunk it ends the upload
    INTERNAL = "internal"  # 500
    UNAVAILABLE = "unavailable"  # 503; at a chunk google-genai repeats the chunk by itself
    HTML = "html"  # 502 with a web page, as a proxy in between sends it
    HANG = "hang"  # silence for `wait_seconds`, then the connection is closed
    DROP = "drop"  # the connection is closed at once
    CUT_OFF = "cut_off"  # 200, and the connection breaks in the middle of the body
    HALF_JSON = "half_json"  # 200, a complete response whose JSON stops in the middle
    EMPTY = "empty"  # 200 without a body
    DRIP = "drip"  # 200, and a blank every 50 ms for ever: no timeout of silence ends it
    BAD_GZIP = "bad_gzip"  # 200, with a body that says it is packed and is not
    ANSWER = "answer"  # a good response; with `wait_seconds` a slow one; of `generate`, with `answer` as the model's text

    MAX_TOKENS = "max_tokens"  # half of the answer's JSON, finishReason MAX_TOKENS
    FENCED = "fenced"  # the answer between ```json and ```
    SAFETY = "safety"  # a candidate without content, finishReason SAFETY
    BLOCKED = "blocked"  # no candidate, promptFeedback.blockReason
    RETIRED = "retired"  # 404, the model has been shut down
    ODD_TEXT = "odd_text"  # NUL and a lone surrogate, escaped, in each description
    PAST_END = "past_end"  # the last scene ends, and one more begins, after the end of the video

    FILE_FAILS = "file_fails"  # PROCESSING, then FAILED
    FILE_STAYS = "file_stays"  # PROCESSING for ever
    FILE_EXPIRES = "file_expires"  # ACTIVE, and gone when it is used: 403


FILE_FATES: Final = frozenset({Kind.FILE_FAILS, Kind.FILE_STAYS, Kind.FILE_EXPIRES})
GENERATE_ONLY: Final = frozenset({Kind.MAX_TOKENS, Kind.FENCED, Kind.SAFETY, Kind.BLOCKED, Kind.RETIRED, Kind.ODD_TEXT, Kind.PAST_END})
FOR_EVER: Final = 3600.0
Seconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Behaviour:
    """One behaviour, for the next request of its endpoint.

    Attributes:
        kind: What happens.
        endpoint: Where. Behaviours of files belong to the next file whose upload starts, whatever is said here.
        wait_seconds: Silence before it happens; a hang without it lasts an hour. Stopping the server ends it.
        retry_seconds: The delay that the RetryInfo of an error names.
        answer: What the model says: text as it is, or a value to be written as JSON.
        times: How many requests in a row.
    """

    kind: Kind
    endpoint: Endpoint = Endpoint.GENERATE
    wait_seconds: Seconds = 0.0
    retry_seconds: Seconds | None = None
    answer: JsonValue = None
    times: Annotated[int, Field(ge=1)] = 1

    def __post_init__(self) -> None:
        if self.kind in GENERATE_ONLY and self.endpoint is not Endpoint.GENERATE:
            raise ValueError(f"{self.kind} is a behaviour of the endpoint generate, not of {self.endpoint}")


def read_script(text: str | bytes) -> list[Behaviour]:
    """Behaviours from a JSON list of objects with the attributes' names. Raises `pydantic.ValidationError`."""
    return TypeAdapter(list[Behaviour]).validate_json(text)


class Script:
    """The behaviours that still wait for their request, a queue for each endpoint and one for files. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: defaultdict[Endpoint | None, deque[Behaviour]] = defaultdict(deque)  # None: of the next files

    def add(self, behaviours: Iterable[Behaviour]) -> None:
        """Append to the queues."""
        with self._lock:
            for one in behaviours:
                self._queues[None if one.kind in FILE_FATES else one.endpoint].extend([one] * one.times)

    def next(self, endpoint: Endpoint | None) -> Behaviour | None:
        """Take the next behaviour for a request; None: answer well. Without an endpoint, that of the next file."""
        with self._lock:
            return self._queues[endpoint].popleft() if self._queues[endpoint] else None

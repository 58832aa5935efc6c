"""What was asked of the stand-in: one value per request, for tests to count and for people to read.

What belongs here: the record. What does not: media, of which only length and digest are kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from reframer_pipeline.fake_gemini.behaviours import Endpoint, Kind


@dataclass(frozen=True)
class RecordedRequest:
    """A request that has been dealt with.

    Attributes:
        method: GET, POST or DELETE.
        path: As asked for, without the query.
        endpoint: None: no endpoint of the API.
        model: Of a request to generate, else empty.
        time: When it arrived, seconds since the epoch.
        seconds: How long it took to deal with.
        status: HTTP status that was answered; None: the connection was closed without an answer.
        behaviour: What the script asked for; None: nothing.
        body: The JSON of a request to generate, inline media replaced by a note of their length and SHA-256.
    """

    method: str
    path: str
    endpoint: Endpoint | None
    model: str
    time: float
    seconds: float
    status: int | None
    behaviour: Kind | None
    body: dict[str, Any] | None

    @property
    def accepted(self) -> bool:
        """Whether the status was 200, whatever the answer was worth: that is what the real API would charge."""
        return self.status == 200

    def __str__(self) -> str:
        said = self.status or "no answer"
        return f"{self.method} {self.path} -> {said}{f' ({self.behaviour})' if self.behaviour else ''}, {self.seconds:.2f} s"


def without_media(value: Any) -> Any:
    """The same JSON with the `data` of inline media replaced by a note."""
    if isinstance(value, list):
        return [without_media(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: _note(one) if key == "data" and isinstance(one, str) else without_media(one) for key, one in value.items()}


def _note(base64_text: str) -> str:
    return f"{len(base64_text)} characters of base64, sha256 {hashlib.sha256(base64_text.encode()).hexdigest()}"

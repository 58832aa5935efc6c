"""One question to Gemini over the network, by google-genai: upload, wait, generate, delete; with deadlines and bounded tries.

What belongs here: the order of the calls, and trying again. What does not: that a question is asked only once (`ask`), how a call is
bounded (`connection`), the File API (`remote_file`), what an answer is good for (`response`). Passing failures are tried again after a
pause with jitter, or after the longer one that the server names; tries that are charged are few, whatever came of them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline import failures
from reframer_pipeline.database.text import clean_json
from reframer_pipeline.scenes.describer import one_line
from reframer_pipeline.scenes.gemini import remote_file
from reframer_pipeline.scenes.gemini.answer import answer_schema
from reframer_pipeline.scenes.gemini.claims import Answer, Spent
from reframer_pipeline.scenes.gemini.connection import Connection
from reframer_pipeline.scenes.gemini.errors import CallFailed
from reframer_pipeline.scenes.gemini.prompt import SYSTEM
from reframer_pipeline.scenes.gemini.rate_limit import nap
from reframer_pipeline.scenes.gemini.remote_file import VideoFile
from reframer_pipeline.scenes.gemini.response import read_response
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from google.genai import types

_FIRST_PAUSE_S: Final = 1.0  # before the second try; doubled with each further one
_LONGEST_PAUSE_S: Final = 60.0
_JITTER: Final = 0.25  # of a pause, so that those who were turned away together do not come back together
_CHARGED_TRIES: Final = 2  # of one question: answers that are no good, and those that were waited for in vain
_TIDYING_S: Final = 8.0  # of the deadline, kept for deleting the file
_TIDYING_SHARE: Final = 0.2  # of a short deadline


@dataclass(frozen=True)
class Keyframe:
    """A picture of the video.

    Attributes:
        seconds: Its time from the video's beginning.
        jpeg: The encoded picture.
    """

    seconds: float
    jpeg: bytes


@dataclass
class Hooks:
    """What the asker brings along.

    Attributes:
        alive: Called at least every second; may raise to give up.
        take_turn: Waits for a turn until the given monotonic time; False if none comes by then; may raise to give up.
        hold_off: Told when the server asks everyone to wait, in seconds.
        uploaded: Told the name of an uploaded file.
        deleted: Told the name of a file that is gone.
    """

    alive: Callable[[], None] = field(default=lambda: None)
    take_turn: Callable[[float], bool] = field(default=lambda until: True)
    hold_off: Callable[[float], None] = field(default=lambda seconds: None)
    uploaded: Callable[[str], None] = field(default=lambda name: None)
    deleted: Callable[[str], None] = field(default=lambda name: None)


class GeminiClient:
    """Asks one question. Call `tidy_up` afterwards, whatever came of it.

    Args:
        settings: Key, model, URL, timeouts, tries, prices.
        hooks: See `Hooks`.
        until: `time.monotonic()` at which all is over, tidying up included; None: `gemini_deadline_s` from now.
    """

    def __init__(self, settings: Settings, hooks: Hooks, until: float | None = None) -> None:
        now = time.monotonic()
        self._settings, self._hooks = settings, hooks
        self._end = now + settings.gemini_deadline_s if until is None else until
        tidying = min(_TIDYING_S, max(0.0, self._end - now) * _TIDYING_SHARE)
        self._connection = Connection(settings, self._end - tidying, hooks.alive)
        self._remote: types.File | None = None
        self._rubbish: list[str] = []
        self._requests = self._input_tokens = self._output_tokens = 0

    @property
    def spent(self) -> Spent:
        """What the tries used up to now; of tries that nothing was heard of, only the number is known."""
        cost = (self._input_tokens * self._settings.gemini_input_price + self._output_tokens * self._settings.gemini_output_price) / 1e6
        return Spent(self._requests, self._input_tokens, self._output_tokens, round(cost, 6))

    def ask(self, text: str, media: VideoFile | Sequence[Keyframe], left_behind: str | None = None) -> Answer:
        """Send the question until there is a valid answer.

        Args:
            text: The task.
            media: The video, or pictures of it.
            left_behind: A remote file of an earlier asker that is to be deleted.

        Raises:
            ReframerError: A `GeminiFailure`, or what a hook raised.
        """
        if left_behind is not None:
            self._discard(left_behind)
        charged = 0
        for attempt in range(1, self._settings.gemini_attempts + 1):
            self._hooks.alive()
            try:
                return self._try(text, media)
            except CallFailed as failed:
                charged += failed.spent
                self._requests += failed.spent
                pause = self._pause_after(attempt, failed)
                used_up = charged >= _CHARGED_TRIES or attempt == self._settings.gemini_attempts or pause >= self._connection.left()
                if used_up or not failed.failure.retryable:
                    raise failed.failure from failed
                if isinstance(failed.failure, failures.GeminiFileNotReady) and self._remote is not None:
                    self._discard(self._remote.name or "")
                    self._remote = None
                nap(pause, self._hooks.alive)
        raise AssertionError("unreachable: the last try raises")

    def tidy_up(self) -> None:
        """Delete what was uploaded, as far as the time that was kept for it allows, and close the connection."""
        self._connection.close()
        names = [*self._rubbish, *([self._remote.name or ""] if self._remote is not None else [])]
        self._rubbish, self._remote = [], None
        if names:
            # Not alive: an interrupt must not keep the file there; and never longer than was kept for this.
            until = min(time.monotonic() + _TIDYING_S, max(self._end, time.monotonic() + _TIDYING_SHARE))
            connection = Connection(self._settings, until, lambda: None)
            for name in names:
                if remote_file.delete(connection, name):
                    self._hooks.deleted(name)
            connection.close()

    def _try(self, text: str, media: VideoFile | Sequence[Keyframe]) -> Answer:
        if isinstance(media, VideoFile) and media.path.stat().st_size > self._settings.gemini_inline_mb * 1_000_000:
            if self._remote is None:
                self._remote = remote_file.upload(self._connection, media)
                self._hooks.uploaded(self._remote.name or "")
            self._remote = remote_file.await_active(self._connection, self._remote, self._settings.gemini_attempts, self._hooks.alive)
        return self._generate(text, media)

    def _generate(self, text: str, media: VideoFile | Sequence[Keyframe]) -> Answer:
        from google.genai import types

        if not self._hooks.take_turn(self._connection.until):
            raise failures.GeminiRateLimited("No turn came before the deadline: too many questions wait.")
        model, parts = self._settings.gemini_model, [*self._media_parts(media), types.Part.from_text(text=text)]
        contents = [types.Content(role="user", parts=parts)]
        response = self._connection.call(
            "generate",
            lambda client, options: client.models.generate_content(model=model, contents=contents, config=_config(options)),
            self._settings.gemini_timeout_s,
        )
        usage = response.usage_metadata
        if usage is not None:
            self._input_tokens += usage.prompt_token_count or 0
            self._output_tokens += (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        try:
            answer = read_response(response)
        except (failures.GeminiBlocked, failures.GeminiAnswerInvalid) as failure:
            raise CallFailed(failure, spent=True) from failure
        self._requests += 1
        content: Any = clean_json(answer.model_dump(mode="json"))
        return Answer(content, one_line(response.model_version or model, 80), self.spent)

    def _media_parts(self, media: VideoFile | Sequence[Keyframe]) -> list[types.Part]:
        from google.genai import types

        if not isinstance(media, VideoFile):
            parts: list[types.Part] = []
            for frame in media:
                parts.append(types.Part.from_text(text=f"{frame.seconds:.2f} s:"))
                parts.append(types.Part.from_bytes(data=frame.jpeg, mime_type="image/jpeg"))
            return parts
        if self._remote is not None:
            return [types.Part.from_uri(file_uri=self._remote.uri or "", mime_type=media.mime_type)]
        return [types.Part.from_bytes(data=media.path.read_bytes(), mime_type=media.mime_type)]

    def _pause_after(self, attempt: int, failed: CallFailed) -> float:
        """Seconds before the next try; what the server asks for only makes it longer. Everyone is told to wait if it says so."""
        pause = min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S)
        if failed.pause_s is not None:
            pause = max(pause, failed.pause_s)
            if isinstance(failed.failure, failures.GeminiRateLimited):
                self._hooks.hold_off(pause)
        return pause * random.uniform(1.0, 1.0 + _JITTER)

    def _discard(self, name: str) -> None:
        """Delete a file in passing; if that fails, again in the end."""
        connection = Connection(self._settings, min(time.monotonic() + _TIDYING_S, self._connection.until), self._hooks.alive)
        if remote_file.delete(connection, name):
            self._hooks.deleted(name)
        else:
            self._rubbish.append(name)
        connection.close()


def _config(options: types.HttpOptions) -> types.GenerateContentConfig:
    from google.genai import types

    return types.GenerateContentConfig(
        system_instruction=SYSTEM,
        response_mime_type="application/json",
        response_json_schema=answer_schema(),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        http_options=options,
    )

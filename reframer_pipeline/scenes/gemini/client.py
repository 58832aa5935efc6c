"""One question to Gemini over the network, by google-genai: upload, wait, generate, delete; with deadlines and bounded tries.

What belongs here: the protocol. What does not: that a question is asked only once (`ask`), what the answer is good for. Every call has a
timeout, everything together a deadline. Passing failures are tried again after a pause with jitter, or after the one that the server names.
"""

from __future__ import annotations

import io
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from reframer_pipeline import failures
from reframer_pipeline.scenes.describer import clean_text
from reframer_pipeline.scenes.gemini.errors import RetryLater, calling
from reframer_pipeline.scenes.gemini.prompt import SYSTEM, VideoAnswer, answer_schema
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from google.genai import Client, types

_FIRST_PAUSE_S: Final = 1.0  # before the second try; doubled with each further one
_LONGEST_PAUSE_S: Final = 60.0
_POLL_S: Final = (0.2, 5.0)  # first and longest pause between looks at an uploaded file
_INVALID_ANSWERS: Final = 2  # each is paid for
_FILE_TIMEOUT_S: Final = 60.0  # of one chunk of 8 MiB, or one look


@dataclass(frozen=True)
class VideoFile:
    """The video itself.

    Attributes:
        path: A local file.
        mime_type: Such as video/mp4.
    """

    path: Path
    mime_type: str


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
class Reply:
    """A valid answer, and what all tries together used."""

    answer: VideoAnswer
    model_version: str
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass
class Hooks:
    """What the asker brings along.

    Attributes:
        alive: Called at least every few seconds; may raise to give up.
        take_turn: Waits for a turn until the given monotonic time; False if none comes by then.
        hold_off: Told when the server asks everyone to wait, in seconds.
        remote_file: Told the name of an uploaded file, and None once it is deleted.
    """

    alive: Callable[[], None] = field(default=lambda: None)
    take_turn: Callable[[float], bool] = field(default=lambda until: True)
    hold_off: Callable[[float], None] = field(default=lambda seconds: None)
    remote_file: Callable[[str | None], None] = field(default=lambda name: None)


class GeminiClient:
    """Asks one question at a time.

    Args:
        settings: Key, model, URL, timeouts, tries.
        hooks: See `Hooks`.
    """

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self._settings = settings
        self._hooks = hooks
        self._until = time.monotonic() + settings.gemini_deadline_s
        self._used = [0, 0]

    def ask(self, text: str, media: VideoFile | Sequence[Keyframe], left_behind: str | None = None) -> Reply:
        """Send the question until there is a valid answer.

        Args:
            text: The task.
            media: The video, or pictures of it.
            left_behind: A remote file of an earlier asker that is to be deleted.

        Raises:
            ReframerError: One of `failures.GEMINI_FAILURES`.
        """
        with self._connect() as client:
            if left_behind is not None:
                self._delete(client, left_behind)
            remote: types.File | None = None
            invalid = 0
            try:
                for attempt in range(1, self._settings.gemini_attempts + 1):
                    self._hooks.alive()
                    try:
                        if isinstance(media, VideoFile) and remote is None and not self._goes_inline(media.path):
                            remote = self._upload(client, media)
                        return self._generate(client, text, media, remote)
                    except RetryLater as later:
                        self._pause(attempt, later.failure, later.pause_s)
                    except failures.RetryableFailure as failure:
                        if not isinstance(failure, failures.GEMINI_FAILURES):
                            raise  # such as the database's: not Gemini's to try again
                        invalid += isinstance(failure, failures.GeminiAnswerInvalid)
                        if invalid >= _INVALID_ANSWERS:
                            raise
                        if isinstance(failure, failures.GeminiFileNotReady) and remote is not None:
                            self._delete(client, remote.name or "")
                            remote = None
                        self._pause(attempt, failure, None)
            finally:
                if remote is not None:
                    self._delete(client, remote.name or "")
        raise AssertionError("unreachable: the last pause raises")

    def _connect(self) -> Client:
        from google import genai
        from google.genai import types

        key = self._settings.gemini_api_key
        assert key is not None  # Settings refuses describer=gemini without one
        options = types.HttpOptions(base_url=self._settings.gemini_url, timeout=int(self._settings.gemini_timeout_s * 1000))
        return genai.Client(api_key=key.get_secret_value(), vertexai=False, http_options=options)

    def _goes_inline(self, path: Path) -> bool:
        return path.stat().st_size <= self._settings.gemini_inline_mb * 1_000_000

    def _upload(self, client: Client, media: VideoFile) -> types.File:
        from google.genai import types

        options = types.HttpOptions(timeout=int(min(self._settings.gemini_timeout_s, _FILE_TIMEOUT_S) * 1000))
        config = types.UploadFileConfig(mime_type=media.mime_type, http_options=options)
        with media.path.open("rb") as raw:
            source = _Watched(raw, self._alive_in_time)
            remote = calling("file", self._settings.gemini_model, lambda: client.files.upload(file=source, config=config))
        if not remote.name:
            raise failures.GeminiUnavailable("Gemini took the file but did not name it.")
        self._hooks.remote_file(remote.name)
        try:
            return self._await_active(client, remote)
        except BaseException:
            self._delete(client, remote.name)
            raise

    def _await_active(self, client: Client, remote: types.File) -> types.File:
        pause, longest = _POLL_S
        name = remote.name or ""
        while True:
            state = remote.state.name if remote.state is not None else "STATE_UNSPECIFIED"
            if state == "ACTIVE":
                return remote
            if state == "FAILED":
                reason = clean_text(str(remote.error.message or ""), 200) if remote.error else ""
                raise failures.GeminiFileRefused(f"Gemini could not process the video{': ' + reason if reason else ''}.")
            self._hooks.alive()
            if time.monotonic() + pause > self._until:
                self._until = time.monotonic()  # what is left is too short for another upload
                raise failures.GeminiFileNotReady("Gemini was still processing the video at the deadline.")
            time.sleep(pause)
            pause = min(pause * 1.5, longest)
            remote = calling("file", self._settings.gemini_model, lambda: client.files.get(name=name))

    def _generate(self, client: Client, text: str, media: VideoFile | Sequence[Keyframe], remote: types.File | None) -> Reply:
        from google.genai import types

        if not self._hooks.take_turn(self._until):
            raise failures.GeminiRateLimited("No turn came before the deadline: too many questions wait.")
        left = self._until - time.monotonic()
        if left <= 0:
            raise failures.GeminiUnavailable(f"No answer within {self._settings.gemini_deadline_s:g} s.")
        options = types.HttpOptions(timeout=int(min(self._settings.gemini_timeout_s, left) * 1000) or 1)
        config = types.GenerateContentConfig(
            system_instruction=SYSTEM,
            response_mime_type="application/json",
            response_json_schema=answer_schema(),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            http_options=options,
        )
        parts = [*_media_parts(media, remote), types.Part.from_text(text=text)]
        contents = [types.Content(role="user", parts=parts)]
        response = calling(
            "generate",
            self._settings.gemini_model,
            lambda: client.models.generate_content(model=self._settings.gemini_model, contents=contents, config=config),
        )
        usage = response.usage_metadata
        if usage is not None:
            self._used[0] += usage.prompt_token_count or 0
            self._used[1] += (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        answer = _read(response)
        return Reply(answer, clean_text(response.model_version or self._settings.gemini_model, 80), *self._used)

    def _pause(self, attempt: int, failure: failures.ReframerError, asked_s: float | None) -> None:
        """Wait before the next try; raise the failure if there is none."""
        pause = asked_s if asked_s is not None else min(_FIRST_PAUSE_S * 2 ** (attempt - 1), _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
        if asked_s is not None and isinstance(failure, failures.GeminiRateLimited):
            self._hooks.hold_off(asked_s)
        if attempt >= self._settings.gemini_attempts or time.monotonic() + pause >= self._until:
            raise failure
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0:
            self._hooks.alive()
            time.sleep(min(left, 1.0))

    def _alive_in_time(self) -> None:
        self._hooks.alive()
        if time.monotonic() > self._until:
            raise failures.GeminiUnavailable(f"The upload took longer than {self._settings.gemini_deadline_s:g} s.")

    def _delete(self, client: Client, name: str) -> None:
        """Delete a remote file; what cannot be deleted Google forgets after 48 hours."""
        from google.genai import types

        options = types.HttpOptions(timeout=int(min(self._settings.gemini_timeout_s, _FILE_TIMEOUT_S) * 1000))
        with suppress(failures.ReframerError, RetryLater):
            calling(
                "file",
                self._settings.gemini_model,
                lambda: client.files.delete(name=name, config=types.DeleteFileConfig(http_options=options)),
            )
            self._hooks.remote_file(None)


class _Watched(io.RawIOBase):
    """A file that says whenever it is read from, so that a long upload shows signs of life."""

    def __init__(self, raw: Any, alive: Callable[[], None]) -> None:
        self._raw, self._alive = raw, alive

    def read(self, size: int = -1) -> bytes:
        self._alive()
        return bytes(self._raw.read(size))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._raw.seek(offset, whence))

    def tell(self) -> int:
        return int(self._raw.tell())


def _media_parts(media: VideoFile | Sequence[Keyframe], remote: types.File | None) -> list[types.Part]:
    from google.genai import types

    if not isinstance(media, VideoFile):
        shown = ((f"{frame.seconds:.2f} s:", frame.jpeg) for frame in media)
        return [
            part for at, jpeg in shown for part in (types.Part.from_text(text=at), types.Part.from_bytes(data=jpeg, mime_type="image/jpeg"))
        ]
    if remote is not None:
        return [types.Part.from_uri(file_uri=remote.uri or "", mime_type=media.mime_type)]
    return [types.Part.from_bytes(data=media.path.read_bytes(), mime_type=media.mime_type)]


def _read(response: types.GenerateContentResponse) -> VideoAnswer:
    """The answer, validated by us: the library's own `parsed` is silently None for all that is checked here."""
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise failures.GeminiBlocked(f"Gemini refused the video: {feedback.block_reason.name}.")
    if not response.candidates:
        raise failures.GeminiAnswerInvalid("Gemini's answer was empty.")
    candidate = response.candidates[0]
    finish = candidate.finish_reason.name if candidate.finish_reason is not None else "STOP"
    if finish in ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "IMAGE_SAFETY"):
        raise failures.GeminiBlocked(f"Gemini withheld its answer: {finish}.")
    parts = (candidate.content.parts if candidate.content is not None else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    if finish == "MAX_TOKENS":
        raise failures.GeminiAnswerInvalid("Gemini's answer was cut off at its longest length.")
    if not text.strip():
        raise failures.GeminiAnswerInvalid(f"Gemini's answer had no text (finish reason {finish}).")
    fenced = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", text, re.DOTALL)
    try:
        return VideoAnswer.model_validate(json.loads(fenced[1] if fenced else text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise failures.GeminiAnswerInvalid("Gemini's answer was no JSON.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise failures.GeminiAnswerInvalid(f"Gemini's answer does not keep to the schema at {where}: {first['msg']}.") from error

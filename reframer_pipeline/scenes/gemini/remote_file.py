"""The video as a file at Google: uploaded, awaited, deleted.

What belongs here: the File API. What does not: asking about the file (`client`), bounding the calls (`connection`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reframer_pipeline import failures
from reframer_pipeline.scenes.describer import one_line
from reframer_pipeline.scenes.gemini.connection import Connection
from reframer_pipeline.scenes.gemini.errors import CallFailed
from reframer_pipeline.scenes.gemini.rate_limit import nap

if TYPE_CHECKING:
    from google.genai import Client, types

_POLL_S: Final = (0.2, 5.0)  # first and longest pause between looks at an uploaded file
_SILENCE_S: Final = 60.0  # of one chunk of 8 MiB, or one look
_DELETE_S: Final = 3.0  # of one try to delete
_DELETE_PAUSE_S: Final = 0.5


@dataclass(frozen=True)
class VideoFile:
    """The video itself.

    Attributes:
        path: A local file.
        mime_type: Such as video/mp4.
    """

    path: Path
    mime_type: str


def upload(connection: Connection, media: VideoFile) -> types.File:
    """Upload a file; Gemini still has to process it.

    Raises:
        CallFailed: It failed.
    """
    from google.genai import types

    def work(client: Client, options: types.HttpOptions) -> types.File:
        config = types.UploadFileConfig(mime_type=media.mime_type, http_options=options)
        return client.files.upload(file=media.path, config=config)

    remote = connection.call("file", work, _SILENCE_S, connection.left())
    if not remote.name:
        raise CallFailed(failures.GeminiUnavailable("Gemini took the file but did not name it."))
    return remote


def await_active(connection: Connection, remote: types.File, tries: int, alive: Callable[[], None]) -> types.File:
    """Wait until Gemini has processed a file. A look that fails is taken again: the file is there.

    Args:
        connection: How Gemini is reached, and until when.
        remote: The uploaded file.
        tries: Looks in a row that may fail.
        alive: Called at least once a second while waiting; may raise to give up.

    Raises:
        GeminiFileRefused: It could not be processed.
        GeminiFileNotReady: It was still being processed when the time was over.
        CallFailed: Looking at it failed too often, or it is gone.
    """
    from google.genai import types

    name = remote.name or ""

    def look(client: Client, options: types.HttpOptions) -> types.File:
        return client.files.get(name=name, config=types.GetFileConfig(http_options=options))

    (pause, longest), failed = _POLL_S, 0
    while True:
        state = remote.state.name if remote.state is not None else "STATE_UNSPECIFIED"
        if state == "ACTIVE":
            return remote
        if state == "FAILED":
            reason = one_line(str(remote.error.message or ""), 200) if remote.error else ""
            raise failures.GeminiFileRefused(f"Gemini could not process the video{': ' + reason if reason else ''}.")
        if connection.left() <= pause:
            raise failures.GeminiFileNotReady("Gemini was still processing the video at the deadline.")
        nap(pause, alive)
        pause = min(pause * 1.5, longest)
        try:
            remote = connection.call("file", look, _SILENCE_S)
            failed = 0
        except CallFailed as error:
            failed += 1
            gone = isinstance(error.failure, failures.GeminiFileNotReady)
            if gone or not error.failure.retryable or failed >= tries:
                raise
            pause = max(pause, error.pause_s or 0.0)


def delete(connection: Connection, name: str) -> bool:
    """Delete a file, trying again until the connection's time is over; whether it is gone. What stays Google forgets after 48 hours."""
    from google.genai import types

    def work(client: Client, options: types.HttpOptions) -> None:
        client.files.delete(name=name, config=types.DeleteFileConfig(http_options=options))

    while connection.left() > 0:
        try:
            connection.call("file", work, _DELETE_S)
            return True
        except CallFailed as error:
            if isinstance(error.failure, failures.GeminiFileNotReady):
                return True  # it is gone already
            if not error.failure.retryable:
                return False
        except failures.GeminiKeyRefused:
            return False
        time.sleep(max(0.0, min(_DELETE_PAUSE_S, connection.left())))
    return False

"""Calls to Gemini that end in time, whatever the other side does.

What belongs here: making the client of google-genai, and bounding each call by the wall clock. What does not: which calls there are
(`client`, `remote_file`), what their failures mean (`errors`). The library's timeout is one of silence: an answer that drips in, a byte
now and then, never runs into it. So each call runs in a thread of its own, which is given up when its time is over.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reframer_pipeline import failures
from reframer_pipeline.scenes.gemini.errors import CallFailed, Step, calling
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    from google.genai import Client, types

T = TypeVar("T")
_BEAT_S: Final = 0.5  # between signs of life during a call


class Connection:
    """A client whose calls can be given up. Not for several threads.

    Args:
        settings: Key, URL and model.
        until: `time.monotonic()` at which every call is over.
        alive: Called at least once a second during a call; what it raises ends the call.
    """

    def __init__(self, settings: Settings, until: float, alive: Callable[[], None]) -> None:
        self._settings, self.until, self._alive = settings, until, alive
        self._client: Client | None = None
        self._accepted = threading.Event()

    def left(self) -> float:
        """Seconds until every call is over; negative afterwards."""
        return self.until - time.monotonic()

    def call(self, step: Step, work: Callable[[Client, types.HttpOptions], T], silence_s: float, whole_s: float | None = None) -> T:
        """Make one call.

        Args:
            step: What is done: something with a file, or generating.
            work: The call, with a client and the options that it must pass on.
            silence_s: Longest silence of the server, seconds.
            whole_s: Longest the call may take, seconds; None: `silence_s`. Never longer than what is left.

        Raises:
            CallFailed: It failed, or its time was over.
            GeminiKeyRefused: There is no key, or none that could be sent.
        """
        limit = min(silence_s if whole_s is None else whole_s, self.left())
        if limit <= 0:
            raise CallFailed(failures.GeminiUnavailable(f"No answer within {self._settings.gemini_deadline_s:g} s."))
        self._accepted.clear()
        try:
            return calling(step, self._settings.gemini_model, lambda: self._bounded(step, work, min(silence_s, limit), limit))
        except CallFailed as failed:
            failed.spent = failed.spent or (step == "generate" and self._accepted.is_set())
            raise

    def close(self) -> None:
        """Close the client; a call that was given up ends with its next byte, or its timeout."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # a call may be under way on it
                client.close()

    def _bounded(self, step: Step, work: Callable[[Client, types.HttpOptions], T], silence_s: float, limit_s: float) -> T:
        from google.genai import types

        client = self._client = self._client or self._made()
        options = types.HttpOptions(timeout=max(1, int(silence_s * 1000)))
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work(client, options))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name=f"gemini-{step}", daemon=True).start()
        until = time.monotonic() + limit_s
        try:
            while not wait([future], max(0.0, min(_BEAT_S, until - time.monotonic()))).done:
                self._alive()
                if time.monotonic() >= until:
                    raise CallFailed(failures.GeminiUnavailable("Gemini did not answer in time."), spent=step == "generate")
        except BaseException:
            self.close()
            raise
        return future.result()

    def _made(self) -> Client:
        from google import genai
        from google.genai import types

        key = self._settings.gemini_api_key
        if key is None:  # settings that came from elsewhere, such as those that a run was started with
            raise failures.GeminiKeyRefused("No key is set, and the settings ask for Gemini.")
        if re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value()) is None:
            raise failures.GeminiKeyRefused("The key has characters that no key has.")
        options = types.HttpOptions(base_url=self._settings.gemini_url, client_args={"event_hooks": {"response": [self._note_status]}})
        return genai.Client(api_key=key.get_secret_value(), vertexai=False, http_options=options)

    def _note_status(self, response: Any) -> None:
        """An answer that begins with 200 is charged, also if the rest of it never arrives."""
        if response.status_code == 200:
            self._accepted.set()

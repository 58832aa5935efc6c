"""The server's life: start, stop, and what tests and people ask it afterwards.

What belongs here: the object that tests and the command hold. What does not: reading requests and writing answers (`handler`), what
both work with (`desk`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any, Final, Self

from reframer_pipeline.fake_gemini.behaviours import Behaviour, Endpoint
from reframer_pipeline.fake_gemini.desk import Desk
from reframer_pipeline.fake_gemini.files import FileStore
from reframer_pipeline.fake_gemini.handler import Handler, close
from reframer_pipeline.fake_gemini.record import Request

RETIRED: Final = ("gemini-1.", "gemini-2.0")
MAX_BODY_BYTES: Final = 20 * 2**20
SILENCE_S: Final = 30.0


class FakeGemini(ThreadingHTTPServer):
    """A stand-in for the Gemini API on 127.0.0.1, running from `start` (or `with`) to `stop`. A thread per connection.

    Args:
        port: 0 takes a free one. An `OSError` says that it is in use.
        polls_until_active: How many polls see a file PROCESSING after its upload; 0: the upload itself answers ACTIVE.
        retired: Models whose names begin so have been shut down (404). Other names that begin with `gemini-` are known.
        max_body_bytes: Largest JSON request, inline media included; more is a 400.
        silence_s: Seconds after which a connection on which nothing comes or goes is closed.
        log: Told each request once it has been dealt with, by the thread that did.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        port: int = 0,
        *,
        polls_until_active: int = 1,
        retired: tuple[str, ...] = RETIRED,
        max_body_bytes: int = MAX_BODY_BYTES,
        silence_s: float = SILENCE_S,
        log: Callable[[Request], None] = lambda request: None,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.desk = Desk(FileStore(self.url, polls_until_active), retired, max_body_bytes, silence_s, log)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """What the client takes as `base_url`."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """All requests that have been dealt with, in the order in which that was done."""
        return list(self.desk.requests)

    @property
    def accepted_generations(self) -> int:
        """How many requests to generate were answered with 200."""
        return sum(one.accepted for one in self.requests_of(Endpoint.GENERATE))

    @property
    def file_names(self) -> list[str]:
        """`files/…` of the files that exist now, newest first."""
        return [file["name"] for file in self.desk.files.listed()]

    def requests_of(self, endpoint: Endpoint) -> list[Request]:
        """The requests of one endpoint."""
        return [one for one in self.requests if one.endpoint is endpoint]

    def script(self, *behaviours: Behaviour) -> None:
        """Queue behaviours, each for the next request of its endpoint. When a queue is empty, all goes well again."""
        self.desk.pending.add(behaviours)

    def start(self) -> Self:
        """Answer from now on, in a thread."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="fake-gemini", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End hangs, close all connections and give the port back."""
        self.desk.stopping.set()
        if self._thread:
            self.shutdown()
            self._thread.join()
        self.server_close()
        for connection in list(self.desk.connections):
            close(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is nobody's error; anything else is shown on standard error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

"""Where a request ends: what two readers may read in two ways is refused.

What belongs here: the forms of HTTP/1.1 that h11 takes and that a proxy before this server may read otherwise. It could then take a part of
one request for another (request smuggling). What does not: times and sizes (`listening`).

RFC 9112 lets a server refuse each of them: lines that do not end by CR LF (section 2.2), headers that go on in a second line (5.2), and a
body that has a length and is sent in chunks (6.1).
"""

from __future__ import annotations

import re
from typing import Any, Final

import h11

_END: Final = re.compile(rb"\n\r?\n")  # of the headers, as h11 finds it
_AMBIGUOUS: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|\n[ \t]")


class Framed(h11.Connection):
    """A server's side of a connection, which takes only requests whose end is beyond doubt."""

    def next_event(self) -> Any:
        """As h11's.

        Raises:
            RemoteProtocolError: As h11's; and a request could be read in two ways.
        """
        if self.their_state is h11.IDLE:
            came = self.trailing_data[0]
            end = _END.search(came)
            if _AMBIGUOUS.search(came, 0, end.end() if end else len(came)):
                raise h11.RemoteProtocolError("a line of the request does not end by CR LF, or goes on in the next one")
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if {b"content-length", b"transfer-encoding"} <= names:
                raise h11.RemoteProtocolError("the request has both Content-Length and Transfer-Encoding")
        return event

"""Tells schemathesis how the body of a resumable upload's piece is written: as it is."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def octets(ctx: Any, value: Any) -> bytes:
    """The bytes of whatever was made up."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")

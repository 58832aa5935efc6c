"""The name of an upload from the bucket: a function of the file's key and tag, so that taking it in twice makes one row.

What belongs here: this one function. What does not: the identity of videos (`versions`), which is that of their bytes.
"""

from __future__ import annotations

import json
import uuid
from typing import Final

_UPLOAD_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "reframer/upload")


def upload_id(key: str, etag: str) -> str:
    """`uploads.id` of the file under this key in the version with this tag. Keys may hold bytes that are no text."""
    return str(uuid.uuid5(_UPLOAD_NAMESPACE, json.dumps([key, etag])))

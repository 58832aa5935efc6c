"""Keys that were written are read again, and nothing else is taken for one of ours."""

from __future__ import annotations

import uuid

from reframer_pipeline.store import objects

SHA, VIDEO, RESULT = "ab" * 32, str(uuid.uuid4()), str(uuid.uuid4())


def test_what_is_written_is_read() -> None:
    found = objects.VIDEO_PATTERN.fullmatch(objects.video_key(SHA))
    assert found and (found["sha256"], found["part"]) == (SHA, None)
    key = objects.result_key(VIDEO, "masks", f"{RESULT}.0123456789ab.parquet")
    found = objects.RESULT_PATTERN.fullmatch(key)
    assert found and (found["video"], found["part"]) == (VIDEO, None)
    left = objects.RESULT_PATTERN.fullmatch(f"{key}.0123abcd.part")
    assert left and left["part"] == ".0123abcd.part"


def test_what_is_not_ours() -> None:
    for name in ("notes.txt", f"{RESULT}.parquet", f"{RESULT}.0123.parquet.bak"):
        assert objects.RESULT_PATTERN.fullmatch(objects.result_key(VIDEO, "masks", name)) is None
    assert objects.RESULT_PATTERN.fullmatch(objects.result_key(VIDEO, "My Stage", f"{RESULT}.0123.parquet")) is None
    assert objects.VIDEO_PATTERN.fullmatch(objects.video_key(SHA[:-1])) is None

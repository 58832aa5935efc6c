"""Bodies of requests that would become much: what says that it is packed is never unpacked, and heads without end are hung up on.

How many bytes a body may have, and how slowly they may come, is tested in `api/test_jobs`, `api/test_limits` and `api/test_watching`.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import psutil
import pytest

from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving, serving
from reframer_pipeline_tests.factories import Maker, add_video, commit_all, video_bytes

__all__ = ["serving"]

GROWN = 100_000_000  # bytes that the server may take for one such request
FORM = "multipart/form-data; boundary=x"
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + video_bytes()

pytestmark = [pytest.mark.deployment, pytest.mark.slow]


def bomb(begin: bytes) -> bytes:
    """Gzip of this and 400 MB of zeros."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1_000_000)
    return b"".join((packing.compress(begin), *(packing.compress(zeros) for _ in range(400)), packing.flush()))


def peak(serving: Serving) -> int:
    """Most memory that the server ever had, bytes."""
    assert serving._process is not None
    pids = [serving._process.pid, *(child.pid for child in psutil.Process(serving._process.pid).children(recursive=True))]
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return sum(int(line.split()[1]) for line in lines) * 1024


def test_a_packed_body_is_not_unpacked(serving: Serving) -> None:
    video_id, sha256 = add_video(serving.storage)
    commit_all(serving.storage, video_id, Maker(sha256, serving.storage.settings))
    claim(serving.db, "one@example.org", video_id, "clip.mp4")
    form, xml = bomb(FILE), bomb(b"<annotations>")
    assert len(form) < 500_000
    with serving.client(serving.key("one@example.org")) as client:
        assert client.get("/me").is_success
        before = peak(serving)
        for encoding in ("gzip", "deflate", "br", "gzip, gzip"):
            packed = {"Content-Encoding": encoding}
            answers = [
                client.post("/jobs", content=form, headers={"Content-Type": FORM, **packed}),
                client.post("/jobs", content=xml, headers={"Content-Type": "application/json", **packed}),
                client.post(f"/videos/{video_id}/cvat", content=xml, headers={"Content-Type": "application/xml", **packed}),
            ]
            assert {(one.status_code, one.json()["code"]) for one in answers} <= {(422, "request_invalid"), (422, "annotations_refused")}
        assert peak(serving) - before < GROWN


def test_a_form_whose_heads_do_not_end_is_refused(serving: Serving) -> None:
    with serving.client(serving.key()) as client:
        before = peak(serving)
        endless = b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + b"a" * 60_000_000
        many = b"--x\r\n" + b"X-A: b\r\n" * 5_000_000
        for body in (endless, many):
            answer = client.post("/jobs", content=body, headers={"Content-Type": FORM})
            assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
        assert peak(serving) - before < GROWN

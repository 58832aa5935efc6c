"""Bodies that would become much: what says that it is packed is never unpacked, and a form whose heads do not end is given up."""

from __future__ import annotations

import functools
import gzip
import json
import zlib

import psutil
import pytest

from reframer_pipeline_tests.api.walked import Owned, Route, each, owned, routes
from reframer_pipeline_tests.factories import video_bytes

__all__ = ["owned"]
LEAST = 300_000_000  # what a bomb would take, and nothing else here does
PACKED = {"gzip": gzip.compress, "deflate": zlib.compress}
WITH_BODIES = [one for one in routes() if one.method in ("POST", "PATCH")]


@functools.cache
def bomb() -> bytes:
    """400 MB of zeros, packed."""
    packing, zeros = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1_000_000)
    return b"".join((*(packing.compress(zeros) for _ in range(400)), packing.flush()))


def memory(owned: Owned) -> int:
    """The most that the server has held, in bytes."""
    listening = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.laddr[1] == owned.serving.port]
    (server,) = {one.pid for one in listening}
    with open(f"/proc/{server}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


@each(*WITH_BODIES)
def test_a_bomb_is_as_large_as_what_was_sent(owned: Owned, route: Route) -> None:
    before = memory(owned)
    headers = {**route.said.get("headers", {"Content-Type": "application/json"}), "Content-Encoding": "gzip"}
    answer = owned.owner.request(route.method, route.at(owned.ids), headers=headers, content=bomb())
    assert answer.status_code < 500 and memory(owned) - before < LEAST, answer.text


@pytest.mark.parametrize("coding", PACKED)
def test_what_is_packed_is_not_taken_for_what_is_in_it(owned: Owned, coding: str) -> None:
    pack, said = PACKED[coding], {"Content-Encoding": coding}
    change = json.dumps({"kind": "rename", "track_id": "obj_001", "label": coding}).encode()
    address = f"/videos/{owned.ids['video_id']}/corrections"
    plain = {"Content-Type": "application/json"}
    assert owned.owner.post(address, content=pack(change), headers=plain | said).status_code == 422
    assert owned.owner.post(address, content=change, headers=plain).status_code == 201  # so it was for being packed
    files = {"file": ("clip.mp4", pack(video_bytes(30)))}
    refused = owned.owner.post("/jobs", files=files, headers=said)
    assert (refused.status_code, refused.json()["code"]) == (415, "not_a_video")


def test_a_form_whose_heads_do_not_end_is_refused(owned: Owned) -> None:
    before, form = memory(owned), {"Content-Type": "multipart/form-data; boundary=x"}
    endless = b'--x\r\nContent-Disposition: form-data; name="file"; filename="' + b"a" * 60_000_000
    many = b"--x\r\n" + b"X-A: b\r\n" * 5_000_000
    for body in (endless, many):
        answer = owned.owner.post("/jobs", content=body, headers=form)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert memory(owned) - before < 100_000_000  # not both held, in whatever form

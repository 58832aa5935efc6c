"""No id and no name leads to a file: not in an address, not in a parameter, not in a header, not as the name of an upload.

Two files would be told: `/etc/passwd`, and one beside the data folder.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from reframer_pipeline.api.application import create_app
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.api.walked import TUS, Owned, Route, each, owned, routes
from reframer_pipeline_tests.factories import video_bytes

__all__ = ["owned"]
CANARY = "canary-beside-the-data-folder"
SECRET = (CANARY.encode(), b"root:x:0:0", b"class Settings(")  # of the canary, of /etc/passwd, of a file of the program
# what stands in an address in place of an id, as it is sent
IN_PATH = (
    "{up}etc/passwd", "{up_slash}etc%2fpasswd", "{up_dots}etc%2fpasswd", "%2fetc%2fpasswd", "/etc/passwd", "{up_back}etc%5cpasswd",
    "{up_twice}etc%252fpasswd", "%c0%ae%c0%ae%c0%af{up_slash}etc%2fpasswd", "....//....//....//etc/passwd", "file:%2f%2f%2fetc%2fpasswd",
    "{up_slash}etc%2fpasswd%00", "%2e%2e%2f%2e%2e%2fsettings.py", "..%2f..%2fsettings.py", "..%2fcanary.txt", "..%2f..%2fcanary.txt",
    "..%2f..%2f..%2fcanary.txt", "{canary}", "%2e", "%2e%2e", "..",
)  # fmt: skip
IN_TEXT = (
    "../../../../../../../../etc/passwd", "/etc/passwd", "..\\..\\..\\..\\etc\\passwd", "../canary.txt", "../../canary.txt",
    "file:///etc/passwd", "../../../etc/passwd\0.mp4", "~root/.bashrc", "|cat /etc/passwd", "$(cat /etc/passwd)", "%2e%2e%2fcanary.txt",
)  # fmt: skip
WITH_NAMES = [one for one in routes() if one.names]


def parameters() -> Iterator[tuple[Route, str, str]]:
    """Each parameter of a query or a header that takes a text: its route, place and name."""
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        for method, operation in operations.items():
            for one in operation.get("parameters", []):
                kinds = [one["schema"], *one["schema"].get("anyOf", [])]
                if one["in"] in ("query", "header") and any(kind.get("type") in ("string", "array") for kind in kinds):
                    yield Route(method.upper(), path), one["in"], one["name"]


@pytest.fixture(scope="module")
def canary(owned: Owned) -> Path:
    path = owned.serving.home.parent / "canary.txt"
    path.write_text(CANARY)
    return path


def asked(owned: Owned, method: str, address: str, **headers: str) -> tuple[int, bytes]:
    """Status and body; the address is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", owned.serving.port, timeout=120)
    try:
        connection.putrequest(method, f"/v1{address}")
        for name, value in {"X-API-Key": owned.key, "Content-Length": "0", **TUS, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def outside(owned: Owned) -> dict[str, int]:
    """The files around the data folder."""
    home = owned.serving.home
    return {str(one): one.stat().st_size for one in home.parent.rglob("*") if one.is_file() and not one.is_relative_to(home)}


def test_all_routes_and_names_are_tried() -> None:
    assert {name for one in WITH_NAMES for name in one.names} == {
        "job_id", "upload_id", "video_id", "deliverable_id", "track_id", "detection_id", "number", "name",
    }  # fmt: skip
    assert len(list(parameters())) > 60


@each(*WITH_NAMES)
def test_an_id_leads_to_no_file(owned: Owned, canary: Path, route: Route) -> None:
    before = outside(owned)
    ups = {"up": "../" * 12, "up_slash": "..%2f" * 12, "up_dots": "%2e%2e%2f" * 12, "up_back": "..%5c" * 12, "up_twice": "..%252f" * 12}
    for name in route.names:
        for way in IN_PATH:
            said = way.format(**ups, canary=quote(str(canary), safe=""))
            status, body = asked(owned, route.method, route.at(owned.ids | {name: said}))
            assert 400 <= status < 500, (said, status, body[:300])
            assert not any(one in body for one in SECRET), said
    assert outside(owned) == before


def test_it_would_be_seen(owned: Owned) -> None:
    """With the ids as they are, the same walk is answered."""
    status, body = asked(owned, "GET", Route("GET", "/app/{name:path}").at(owned.ids))
    assert status == 200 and b"import" in body


@pytest.mark.parametrize(
    ("route", "place", "name"), [pytest.param(*one, id=" ".join((one[0].method, one[0].path, one[2]))) for one in parameters()]
)
def test_a_parameter_leads_to_no_file(owned: Owned, canary: Path, route: Route, place: str, name: str) -> None:
    before = outside(owned)
    for said in (*IN_TEXT, str(canary)):
        query, headers = (f"?{name}={quote(said, safe='')}", {}) if place == "query" else ("", {name: quote(said)})
        if route.said.get("params") and place == "query" and name != "format":
            query += "&format=csv"
        status, body = asked(owned, route.method, route.at(owned.ids) + query, **headers)
        assert status < 500 and not any(one in body for one in SECRET), (said, status, body[:300])
    assert outside(owned) == before


@pytest.mark.parametrize(
    "name", [*IN_TEXT, "..", ".", "/", "a/../../b.mp4", "C:\\Windows\\b.mp4", "\\\\host\\share\\b.mp4", "con.mp4", "x" * 3000]
)
def test_the_name_of_an_upload_is_a_name_alone(owned: Owned, canary: Path, name: str) -> None:
    before, files = outside(owned), {"file": (name.replace("\0", "\\0"), video_bytes(20))}
    form = owned.owner.post("/jobs", files=files)
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    begun = owned.owner.post("/uploads", headers={**TUS, "Upload-Length": "9", "Upload-Metadata": metadata})
    assert (form.status_code, begun.status_code) == (202, 201), form.text + begun.text
    named: list[dict[str, Any]] = owned.serving.db.fetch("SELECT filename FROM uploads WHERE id = %s", (form.json()["job_id"],))
    named += owned.serving.db.fetch("SELECT filename FROM resumable_uploads WHERE id = %s", (begun.headers["location"].rpartition("/")[2],))
    for row in named:
        assert (
            row["filename"]
            and len(row["filename"]) <= 200
            and not set("/\\\0") & set(row["filename"])
            and row["filename"] not in (".", "..")
        )
    assert outside(owned) == before

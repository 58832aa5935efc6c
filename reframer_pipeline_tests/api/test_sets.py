"""Everything that is made from results can be asked of one set of them, also when newer results have been published since."""

from __future__ import annotations

from typing import Any

import httpx2

from reframer_pipeline.reading.tables import TABLES, published_set
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.api.library import WithPictures, claim
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import add_video, commit_all

ONE = "one@example.org"
NO_SET = {"original", "proxy.mp4", "made", "corrections", "deliverables"}  # of a video, and not of its results; or of how they stand now


def compute(storage: Storage, video_id: str, sha256: str, stride: int) -> WithPictures:
    """The video is computed under other settings than before."""
    maker = WithPictures(sha256, storage.settings.model_copy(update={"vid_stride": stride}))
    commit_all(storage, video_id, maker)
    return maker


def of(result_id: str, route: str) -> str:
    """The address that names a set."""
    return f"{route}{'&' if '?' in route else '?'}result_id={result_id}"


def told(answer: httpx2.Response) -> tuple[Any, ...]:
    """What an answer is, and which frame it says it shows."""
    return answer.status_code, answer.headers.get("Content-Location"), answer.content


def test_an_older_set_is_answered_from_as_it_was(serving: Serving) -> None:
    video_id, sha256 = add_video(serving.storage, 71)
    job_id = claim(serving.db, ONE, video_id, "clip.mp4")
    seen = compute(serving.storage, video_id, sha256, 5).rows("detections")[1]["detection_id"]
    older = published_set(serving.db, video_id)
    names = [
        *TABLES, "result", "times", "frames/13.jpg", "frames/13.jpg?overlay=boxes", f"masks/{seen}.png", f"masks/{seen}.json",
        "tracks/obj_001.jpg", "poster.jpg", "sheet.jpg", "export?format=coco",  # no annotated.mp4: these videos have no file
    ]  # fmt: skip
    routes = [f"/jobs/{job_id}/result", *(f"/videos/{video_id}/{name}" for name in names)]
    with serving.client(serving.key(ONE)) as client:
        before = {route: told(client.get(route)) for route in routes}
        picture = client.get("/search", params={"in": "tracks"}).json()["hits"][0]["picture"]
        shown = told(client.get(picture))
        compute(serving.storage, video_id, sha256, 4)
        for route in routes:
            same = client.get(of(older, route))
            assert told(same) == before[route] != told(client.get(route)), route
            kept = {"If-None-Match": same.headers["ETag"]}
            assert client.get(of(older, route), headers=kept).status_code == 304, route
            assert client.get(route, headers=kept).status_code != 304, route
        assert told(client.get(picture)) == shown and shown[0] == 200


def test_a_set_that_is_not_kept_or_anothers_is_gone(serving: Serving) -> None:
    video_id, sha256 = add_video(serving.storage, 72)
    other_id, other_sha256 = add_video(serving.storage, 73)
    claim(serving.db, ONE, video_id, "clip.mp4")
    for one, digest in ((video_id, sha256), (other_id, other_sha256)):
        compute(serving.storage, one, digest, 5)
    with serving.client(serving.key(ONE)) as client:
        for result_id in (published_set(serving.db, other_id), "00000000-0000-5000-8000-000000000000"):
            for name in ("poster.jpg", "result", "tracks", "export?format=vtt"):
                gone = client.get(of(result_id, f"/videos/{video_id}/{name}"))
                assert (gone.status_code, gone.json()["code"]) == (410, "results_gone"), name
        assert client.get(f"/videos/{video_id}/tracks", params={"result_id": "x"}).json()["code"] == "request_invalid"


def test_no_route_forgets_to_take_a_set(serving: Serving) -> None:
    with serving.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    about = {path: methods["get"].get("parameters", []) for path, methods in paths.items() if "get" in methods}
    without = {path for path, asked in about.items() if not any(one["name"] == "result_id" for one in asked)}
    below = "/videos/{video_id}/"
    assert {path.removeprefix(below) for path in without if path.startswith(below)} == NO_SET

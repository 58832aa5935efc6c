"""Exports as downloads: the same files as the command writes, of one's own videos."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from reframer_pipeline.cli import app
from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import ReframeWish
from reframer_pipeline.exports.formats import FORMATS
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.editing.kept import made
from reframer_pipeline_tests.factories import add_video

ONE, OTHER = "one@example.org", "other@example.org"


@pytest.mark.parametrize("name", FORMATS)
def test_a_download_is_what_the_command_writes(serving_clip: Serving, done: VideoOutcome, name: str, tmp_path: Path) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client:
        answer = client.get(f"/videos/{done.video_id}/export", params={"format": name})
        again = client.get(f"/videos/{done.video_id}/export", params={"format": name}, headers={"If-None-Match": answer.headers["ETag"]})
    form = FORMATS[name]
    single = form.ending is not None
    assert answer.status_code == 200 and again.status_code == 304
    assert answer.headers["Content-Type"].partition(";")[0] == (form.media_type if single else "application/zip")
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''clip{form.ending if single else f'-{name}.zip'}"
    target = tmp_path / f"out{form.ending or '.zip'}"
    environment = {"REFRAMER_HOME": str(serving_clip.home), "REFRAMER_MODELS": "demo"}
    CliRunner().invoke(app, ["export", str(done.video_id), "--format", name, "-o", str(target)], env=environment, catch_exceptions=False)
    # the file has the first uploader's name there, and this person's here
    drawn, clip = target.read_bytes(), answer.content
    if single:
        assert clip.replace(b"clip", b"drawn") == drawn.replace(b"clip", b"drawn") and len(clip) > 20
    else:
        with zipfile.ZipFile(io.BytesIO(clip)) as ours, zipfile.ZipFile(io.BytesIO(drawn)) as theirs:
            assert [one.replace("clip", "drawn") for one in ours.namelist()] == theirs.namelist()
            assert [info.file_size for info in ours.infolist() if "/masks" in info.filename or info.filename.endswith(".png")] == [
                info.file_size for info in theirs.infolist() if "/masks" in info.filename or info.filename.endswith(".png")
            ]


def test_a_timeline_is_another_one_when_something_is_kept(serving_clip: Serving, done: VideoOutcome) -> None:
    storage, address = serving_clip.storage, f"/videos/{done.video_id}/export"

    def ask(client: httpx2.Client, form: str, known: str = "") -> httpx2.Response:
        return client.get(address, params={"format": form}, headers={"If-None-Match": known})

    with serving_clip.client(serving_clip.key(ONE)) as client:
        before = {form: ask(client, form) for form in ("otio", "coco")}
        one = keeping.ask(storage, str(done.video_id), ReframeWish(ratio="9:16", form="json"), filename="clip.mp4")
        made(storage, one)
        assert [ask(client, form, before[form].headers["ETag"]).status_code for form in ("otio", "coco")] == [200, 304]
        after = ask(client, "otio")
        assert one.id not in before["otio"].text and one.id in after.text
        assert ask(client, "otio", after.headers["ETag"]).status_code == 304
        assert client.delete(f"/deliverables/{one.id}").status_code == 204
        assert ask(client, "otio").headers["ETag"] == before["otio"].headers["ETag"]


def test_some_tracks_alone(serving_clip: Serving, done: VideoOutcome) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client:
        address, chosen = f"/videos/{done.video_id}/export", ["obj_002", "obj_003"]
        answer = client.get(address, params={"format": "coco", "track_id": chosen})
        assert {one["attributes"]["track"] for one in json.loads(answer.content)["annotations"]} == set(chosen)
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''clip-obj_002-obj_003.json"
        assert client.get(address, params={"format": "coco", "track_id": "obj_999"}).json()["code"] == "nothing_there"


def test_several_videos_are_one_download(serving_clip: Serving, done: VideoOutcome) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client:
        answer = client.get("/export", params=[("format", "coco"), ("video_id", done.video_id), ("video_id", done.video_id)])
        assert [video["name"] for video in json.loads(answer.content)["videos"]] == ["clip"]
        unknown = client.get(f"/videos/{done.video_id}/export", params={"format": "docx"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_format")


def test_only_ones_own_are_given_out(serving_clip: Serving, done: VideoOutcome) -> None:
    waiting, _ = add_video(serving_clip.storage, seed=41)
    claim(serving_clip.db, ONE, waiting, "waiting.mp4")
    with serving_clip.client(serving_clip.key(OTHER)) as other, serving_clip.client(serving_clip.key(ONE)) as one:
        params = {"format": "vtt", "video_id": done.video_id}
        assert [other.get(path, params=params).status_code for path in (f"/videos/{done.video_id}/export", "/export")] == [404, 404]
        early = one.get(f"/videos/{waiting}/export", params={"format": "vtt"})
    assert (early.status_code, early.json()["code"]) == (409, "not_published")


def test_a_search_names_the_videos(serving_clip: Serving, done: VideoOutcome) -> None:
    asked = {"format": "coco", "in": "tracks", "min_seconds": 0.1}
    with serving_clip.client(serving_clip.key(ONE)) as one, serving_clip.client(serving_clip.key(OTHER)) as other:
        found = one.get("/export", params=asked)
        assert [video["video_id"] for video in json.loads(found.content)["videos"]] == [done.video_id]
        nothing = [client.get("/export", params=asked | more) for client, more in ((one, {"min_seconds": 1e6}), (other, {}))]
    assert {(answer.status_code, answer.json()["code"]) for answer in nothing} == {(404, "nothing_there")}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"label": "cup"},
        {"in": "tracks", "video_id": "0"},
        {"label": "cup", "video_id": "0"},
        {"in": "tracks", "lable": "cup"},
        {"in": "tracks", "words": "cup"},
        {"video_id": ["0"] * 501},
    ],
)
def test_ids_or_one_search_are_asked_for(serving_clip: Serving, asked: dict[str, Any]) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client:
        answer = client.get("/export", params={"format": "coco", **asked})
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")

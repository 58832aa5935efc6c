"""Corrections over HTTP: whoever has the video may correct it, and everybody who asks sees the corrected whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reframer_pipeline.exports import cvat
from reframer_pipeline.exports.videos import published_videos
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.corrections.walkers import Less, computed, recompute

MUG = {"kind": "rename", "track_id": "obj_003", "label": "red mug"}
seeds = iter(range(100, 1_000))


@pytest.fixture
def video_id(serving: Serving) -> str:
    made = computed(serving.storage, next(seeds))
    claim(serving.db, "one@example.org", made, "clip.mp4")
    return made


def labels(answer: Any) -> dict[str, tuple[str, list[str]]]:
    return {row["track_id"]: (row["label"], row["by_hand"]) for row in answer.json()["tracks"]}


def test_a_correction_is_in_all_that_is_asked_afterwards(serving: Serving, video_id: str) -> None:
    where = f"/v1/videos/{video_id}"
    with serving.client(serving.key()) as client:
        before = client.get(f"{where}/tracks")
        first = client.get(f"{where}/tracks", params={"limit": 1}).json()
        made = client.post(f"{where}/corrections", json=MUG)
        assert made.status_code == 201 and made.json()["change"] == MUG
        assert {**made.json(), "created_at": "", "change": {}} == {
            "number": 1, "change": {}, "says": "obj_003 is red mug", "by_you": True, "source": "hand", "created_at": "", "undone_at": None,
            "applied": True, "trouble": None, "no_longer_match": [],
        }  # fmt: skip
        after = client.get(f"{where}/tracks", headers={"If-None-Match": before.headers["ETag"]})
        assert after.status_code == 200 and labels(after)["obj_003"] == ("red mug", ["label"])
        rest = client.get(f"{where}/tracks", params={"limit": 1, "cursor": first["next"]})  # a page of the set that was begun
        assert rest.json()["result_id"] == before.json()["result_id"] != after.json()["result_id"]
        assert client.get("/v1/search", params={"in": "tracks", "label": "RED mug"}).json()["hits"][0]["video_id"] == video_id
        whole = client.get(f"{where}/result").json()
        assert [track["label"] for track in whole["tracks"]] == [track["label"] for track in after.json()["tracks"]]
        assert "red mug" in {one["label"] for frame in whole["detections"] for one in frame["detections"]}
        assert client.delete(f"{where}/corrections/1").status_code == 204
        assert client.get(f"{where}/tracks").json() == before.json()
        (row,) = client.get(f"{where}/corrections").json()["corrections"]
        assert row["undone_at"] and row["applied"] is None
        again = client.delete(f"{where}/corrections/1")
        assert (again.status_code, again.json()["code"]) == (404, "unknown_correction")


def test_a_request_that_is_repeated_corrects_once(serving: Serving, video_id: str) -> None:
    where, once = f"/videos/{video_id}/corrections", {"Idempotency-Key": video_id}
    with serving.client(serving.key()) as client:
        answers = [client.post(where, json=MUG, headers=once) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        other = client.post(where, json={**MUG, "label": "cup"}, headers=once)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert len(client.get(where).json()["corrections"]) == 1


def test_only_who_has_the_video_and_may_write_corrects_it(serving: Serving, video_id: str) -> None:
    where = f"/videos/{video_id}/corrections"
    claim(serving.db, "two@example.org", video_id, "other.mp4")
    with (
        serving.client(serving.key("stranger@example.org")) as stranger, serving.client(serving.key(scopes=("read",))) as reader,
        serving.client(serving.key()) as owner, serving.client(serving.key("two@example.org")) as other,
    ):  # fmt: skip
        for answer in (
            stranger.get(where),
            stranger.post(where, json=MUG),
            stranger.delete(f"{where}/1"),
            stranger.post(f"/videos/{video_id}/cvat"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "nothing_there")
        assert reader.post(where, json=MUG).status_code == reader.delete(f"{where}/1").status_code == 403
        assert reader.get(where).json() == {"corrections": [], "next": None}
        assert owner.post(where, json=MUG).status_code == 201
        (row,) = other.get(where).json()["corrections"]  # they have the same bytes, and see the same results
        assert not row["by_you"] and "example.org" not in json.dumps(row)
        pages = [other.post(where, json={**MUG, "label": label}).json()["number"] for label in "abc"]
        assert pages == [2, 3, 4]
        begun = owner.get(where, params={"limit": 3}).json()
        (last,) = owner.get(where, params={"limit": 3, "cursor": begun["next"]}).json()["corrections"]
        assert [row["number"] for row in begun["corrections"]] == [1, 2, 3] and last["number"] == 4 and not last["by_you"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"kind": "rename", "track_id": "obj_077", "label": "x"}, 404, "unknown_track"),
        ({"kind": "rename", "track_id": "obj_003", "label": "cup"}, 422, "correction_refused"),
        ({"kind": "merge", "track_id": "obj_001", "other_id": "obj_002"}, 409, "tracks_overlap"),
        ({"kind": "split", "track_id": "obj_001", "frame": 9000}, 422, "correction_refused"),
        ({"kind": "difficulty", "scene_number": 8, "element_number": 1, "difficulty": "easy"}, 404, "unknown_element"),
        ({"kind": "rename", "track_id": "obj_003", "label": "\u0000"}, 422, "request_invalid"),
        ({"kind": "rename", "track_id": "../obj_003", "label": "x"}, 422, "request_invalid"),
        ({"kind": "class", "track_id": "obj_003", "class": "cat"}, 422, "request_invalid"),
        ({"kind": "paint", "track_id": "obj_003"}, 422, "request_invalid"),
        ({**MUG, "more": 1}, 422, "request_invalid"),
        ([], 422, "request_invalid"),
    ],
)
def test_what_does_not_fit_is_a_typed_problem(serving: Serving, video_id: str, change: Any, status: int, code: str) -> None:
    with serving.client(serving.key()) as client:
        answer = client.post(f"/videos/{video_id}/corrections", json=change)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert client.get(f"/videos/{video_id}/corrections").json()["corrections"] == []


def test_a_corrected_cvat_file_is_taken_over_whole_or_not_at_all(serving: Serving, video_id: str) -> None:
    where = f"/videos/{video_id}/corrections"
    ((_, chunks),) = cvat.files(published_videos(serving.storage, [video_id]))
    file = b"".join(chunks)
    with serving.client(serving.key()) as client:
        xml = {"Content-Type": "application/xml"}
        made = client.post(
            f"/videos/{video_id}/cvat", content=file.replace(b">cup<", b">red mug<").replace(b">vase<", b">pot<"), headers=xml
        )
        assert made.status_code == 201 and [(one["says"], one["source"]) for one in made.json()["corrections"]] == [
            ("obj_003 is red mug", "cvat"), ("obj_004 is pot", "cvat"),
        ]  # fmt: skip
        for bad in (b"", b"<!DOCTYPE x []>" + file, file[:-100]):
            answer = client.post(f"/videos/{video_id}/cvat", content=bad, headers=xml)
            assert (answer.status_code, answer.json()["code"]) == (422, "annotations_refused")
        assert client.post(f"/videos/{video_id}/cvat", content=b" " * 51_000_000, headers=xml).status_code == 413
        assert len(client.get(where).json()["corrections"]) == 2


def test_what_no_longer_matches_is_said(serving: Serving, video_id: str) -> None:
    with serving.client(serving.key()) as client:
        client.post(f"/videos/{video_id}/corrections", json=MUG)
        recompute(serving.storage, video_id, kind=Less, conf=0.45)
        (row,) = client.get(f"/videos/{video_id}/corrections").json()["corrections"]
        assert row["applied"] is False and "not in these results" in row["trouble"]


def test_doubts_are_told_of_the_set_that_is_asked_for(serving: Serving, video_id: str) -> None:
    with serving.client(serving.key()) as client, serving.client(serving.key("stranger@example.org")) as stranger:
        first = client.get(f"/videos/{video_id}/doubts")
        assert first.json()["doubts"] == [] and first.json()["result_id"]
        assert client.get(f"/videos/{video_id}/doubts", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
        client.post(f"/videos/{video_id}/corrections", json={"kind": "split", "track_id": "obj_001", "frame": 1})
        client.post(f"/videos/{video_id}/corrections", json={"kind": "split", "track_id": "obj_005", "frame": 95})
        assert client.get(f"/videos/{video_id}/doubts").json()["result_id"] != first.json()["result_id"]
        assert client.get(f"/videos/{video_id}/doubts", params={"result_id": first.json()["result_id"]}).json() == first.json()
        assert stranger.get(f"/videos/{video_id}/doubts").status_code == 404


def test_a_request_is_about_the_set_that_it_names(serving: Serving, video_id: str) -> None:
    where = f"/v1/videos/{video_id}"
    with serving.client(serving.key()) as client:
        named = {"result_id": client.get(f"{where}/tracks").json()["result_id"]}
        assert client.post(f"{where}/corrections", json=MUG, params=named).status_code == 201
        recompute(serving.storage, video_id, kind=Less, conf=0.45)
        answer = client.post(f"{where}/corrections", json={**MUG, "label": "jug"}, params=named)
        assert (answer.status_code, answer.json()["code"]) == (409, "results_changed")

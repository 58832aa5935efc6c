"""What a person reads of their videos: the list, the tables, the document; and what everybody else reads of them: nothing."""

from __future__ import annotations

import json
import uuid
from typing import Any, LiteralString

import httpx2
import pytest

from reframer_pipeline.api.results import Video
from reframer_pipeline.api.shapes import ROWS
from reframer_pipeline.reading.sheets import published
from reframer_pipeline.reading.tables import TABLES, page, published_set
from reframer_pipeline.retention import archive, superseded
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.vision.rle import decode_plain
from reframer_pipeline.work import lease
from reframer_pipeline_tests.api.library import claim, forged, made_video
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import Maker, add_video, commit_all

ONE, OTHER = "one@example.org", "other@example.org"


def pages(client: httpx2.Client, path: str, name: str, **asked: Any) -> list[dict[str, Any]]:
    """A whole list, page by page."""
    found, cursor = [], None
    while True:
        asked |= {"cursor": cursor} if cursor else {}
        answer = client.get(httpx2.URL(path).copy_merge_params(asked)).raise_for_status().json()
        found += answer[name]
        cursor = answer["next"]
        if cursor is None:
            return found


def told(answer: httpx2.Response) -> dict[str, Any]:
    """What a problem says, without the request's id."""
    return {name: value for name, value in answer.json().items() if name != "request_id"} | {"status": answer.status_code}


def test_each_sees_their_own_videos_under_their_own_names(serving: Serving) -> None:
    same, _ = made_video(serving.storage, 1)
    theirs, _ = made_video(serving.storage, 2)
    job = claim(serving.db, ONE, same, "mine.mp4")
    claim(serving.db, OTHER, same, "ours.mov")
    claim(serving.db, OTHER, theirs, "secret.mp4")
    with serving.client(serving.key(ONE)) as client:
        (seen,) = client.get("/videos").json()["videos"]
        assert (seen["video_id"], seen["filename"], seen["counts"]["scenes"]) == (same, "mine.mp4", 2)
        assert Video.model_validate_json(json.dumps(seen)).result_id == published_set(serving.db, same)
        assert client.get(f"/videos/{same}").json() == seen
        assert seen["uploaded_at"] == client.get(f"/jobs/{job}").json()["created_at"]  # times are written alike
    with serving.client(serving.key(OTHER)) as client:
        assert [one["filename"] for one in client.get("/videos").json()["videos"]] == ["secret.mp4", "ours.mov"]
        assert client.get(f"/videos/{same}/result").json()["filename"] == "ours.mov"


ROUTES = (
    "", "/result", *(f"/{name}" for name in TABLES), "/frames/0.jpg", "/frames/0.jpg?overlay=boxes", "/tracks/obj_001.jpg", "/poster.jpg",
    "/sheet.jpg", "/annotated.mp4", f"/masks/{uuid.UUID(int=1)}.png", f"/masks/{uuid.UUID(int=1)}.json",
)  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_what_is_anothers_is_not_there(serving: Serving, route: str) -> None:
    theirs, _ = made_video(serving.storage, 3)
    claim(serving.db, OTHER, theirs, "secret.mp4")
    with serving.client(serving.key("third@example.org")) as client:
        answers = [told(client.get(f"/videos/{video_id}{route}")) for video_id in (theirs, str(uuid.uuid4()), "nonsense")]
    assert answers[0] == answers[1] == answers[2] and answers[0]["code"] == "nothing_there" and answers[0]["status"] == 404
    with serving.client(serving.key(OTHER, ("write",))) as client:
        assert client.get(f"/videos/{theirs}{route}").json()["code"] == "not_allowed"


def test_the_list_comes_in_pages_and_can_be_narrowed(serving: Serving) -> None:
    email = "many@example.org"
    names = {add_video(serving.storage, seed)[0]: f"Clip {seed}.mp4" for seed in range(10, 17)}
    for video_id, name in names.items():
        claim(serving.db, email, video_id, name)
    first = next(iter(names))
    claim(serving.db, email, first, "Renamed 100%.mp4")  # brought again: once in the list, first, under its new name
    serving.db.execute("UPDATE videos SET status = 'failed', failure_code = 'truncated' WHERE id = %s", (first,))
    with serving.client(serving.key(email)) as client:
        found = pages(client, "/videos", "videos", limit=2)
        assert [one["filename"] for one in found] == ["Renamed 100%.mp4", *list(names.values())[:0:-1]]
        assert [one["video_id"] for one in client.get("/videos", params={"status": "failed"}).json()["videos"]] == [first]
        assert [one["video_id"] for one in client.get("/videos", params={"name": "renamed 1"}).json()["videos"]] == [first]
        assert client.get("/videos", params={"name": "_"}).json()["videos"] == []
        assert found[0]["result_id"] is None and found[0]["counts"] == {}
        waiting = told(client.get(f"/videos/{list(names)[1]}/tracks"))
    assert (waiting["status"], waiting["code"]) == (409, "not_published") and waiting["detail"].startswith("Clip 11.mp4 ")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_rows_that_are_stored(serving_clip: Serving, done: VideoOutcome, name: str) -> None:
    stored = page(serving_clip.db, TABLES[name], published_set(serving_clip.db, done.video_id))
    with serving_clip.client(serving_clip.key(ONE)) as client:
        assert pages(client, f"/videos/{done.video_id}/{name}", name, limit=3) == stored and len(stored) > 1
        whole = client.get(f"/v1/videos/{done.video_id}/{name}").json()
    assert whole == {"result_id": stored[0]["result_id"], name: stored[:100], "next": whole["next"]}
    for row in whole[name]:
        ROWS[name].model_validate_json(json.dumps(row), strict=True)


FILTERS: list[tuple[str, dict[str, Any], Any]] = [
    ("sightings", {"class": "product"}, lambda row: row["class"] == "product"),
    ("sightings", {"label": "person"}, lambda row: row["label"] == "person"),
    ("sightings", {"min_confidence": 0.7}, lambda row: row["confidence"] >= 0.7),
    ("sightings", {"from_seconds": 0.2, "to_seconds": 0.8}, lambda row: 0.2 <= row["timestamp"] < 0.8),
    ("sightings", {"from_frame": 10, "to_frame": 20}, lambda row: 10 <= row["frame_number"] < 20),
    ("sightings", {"track_id": "obj_002"}, lambda row: row["track_id"] == "obj_002"),
    ("sightings", {"scene_number": 2}, lambda row: row["frame_number"] >= 25),
    ("tracks", {"class": "person", "min_confidence": 0.5}, lambda row: row["class"] == "person"),
    ("tracks", {"from_seconds": 0, "to_seconds": 0.01}, lambda row: row["start_seconds"] < 0.01),
    ("scenes", {"from_frame": 30}, lambda row: row["end_frame"] > 30),
    ("scenes", {"to_seconds": 0.5}, lambda row: row["start_seconds"] < 0.5),
    ("elements", {"difficulty": "easy", "track_id": "obj_001", "scene_number": 1}, lambda row: row["scene_number"] == 1),
    ("elements", {"difficulty": "hard"}, lambda row: False),
]


@pytest.mark.parametrize(("name", "asked", "fits"), FILTERS, ids=lambda value: str(value) if isinstance(value, dict) else None)
def test_filters_leave_what_they_say(serving: Serving, name: str, asked: dict[str, Any], fits: Any) -> None:
    video_id, _ = made_video(serving.storage, 4)
    claim(serving.db, ONE, video_id, "clip.mp4")
    with serving.client(serving.key(ONE)) as client:
        whole = pages(client, f"/videos/{video_id}/{name}", name)
        assert pages(client, f"/videos/{video_id}/{name}", name, limit=1, **asked) == [row for row in whole if fits(row)]
    assert name == "elements" or any(fits(row) for row in whole)


def test_masks_are_found_by_what_they_belong_to(serving: Serving) -> None:
    video_id, _ = made_video(serving.storage, 4)
    claim(serving.db, ONE, video_id, "clip.mp4")
    with serving.client(serving.key(ONE)) as client:
        for asked in ({"class": "product", "min_confidence": 0.5}, {"track_id": "obj_001", "scene_number": 1}, {"label": "\x00"}):
            wanted = [row["detection_id"] for row in pages(client, f"/videos/{video_id}/sightings", "sightings", **asked)]
            found = pages(client, f"/videos/{video_id}/masks", "masks", limit=2, **asked)
            assert sorted(row["detection_id"] for row in found) == sorted(wanted) and ("label" in asked or wanted)


def test_a_page_ends_by_bytes_too(serving: Serving) -> None:
    video_id, _ = made_video(serving.storage, 11)
    claim(serving.db, ONE, video_id, "clip.mp4")
    path = f"/videos/{video_id}/masks"
    with serving.client(serving.key(ONE)) as client:
        count = len(pages(client, path, "masks"))
        serving.db.execute("UPDATE segmentation_masks SET mask_rle = repeat('1', 1500000) WHERE video_id = %s", (video_id,))
        first = client.get(path).json()
        assert len(first["masks"]) == 2 < count and first["next"]
        assert len(pages(client, path, "masks")) == count
        serving.db.execute("UPDATE segmentation_masks SET mask_rle = repeat('1', 5000000) WHERE video_id = %s", (video_id,))
        assert len(pages(client, path, "masks")) == count  # one that is larger than a page has its own


FAILED = """UPDATE videos SET status = 'failed', failure_code = 'truncated', failure_message = repeat('x', 3000000)
    WHERE id = ANY(%s::uuid[])"""
DESCRIBED = """UPDATE scene_analysis SET analysis_data = jsonb_set(analysis_data, '{description}', to_jsonb(repeat('word ', 600000)))
    WHERE video_id = ANY(%s::uuid[])"""
# What makes the items of a list so long that no two of them fit on a page.
LONG: dict[tuple[str, str], LiteralString] = {
    ("/videos", "videos"): FAILED,
    ("/jobs", "jobs"): FAILED,
    ("/search?in=scenes&min_importance=5", "hits"): DESCRIBED,
}


@pytest.mark.parametrize(("path", "name"), LONG)
def test_a_page_of_every_list_ends_by_bytes_too(serving: Serving, path: str, name: str) -> None:
    email = f"{name}-are-long@example.org"
    videos = [made_video(serving.storage, 1_000 + 10 * len(path) + number)[0] for number in range(3)]
    for video_id in videos:
        claim(serving.db, email, video_id, "clip.mp4")
    with serving.client(serving.key(email)) as client:
        count = len(client.get(path).json()[name])
        serving.db.execute(LONG[path, name], (videos,))
        first = client.get(path).json()
        assert len(first[name]) == 1 and first["next"]
        assert len(pages(client, path, name)) == count


def test_the_list_is_sorted_both_ways_across_pages(serving: Serving) -> None:
    email = "sorts@example.org"
    lengths = {"Ähre.mp4": 2.0, "birne 🍐.mp4": None, "Apfel.mp4": 9.5, "apfel.mp4": 2.0, "x" * 120 + ".mp4": 0.5}
    for seed, (name, seconds) in enumerate(lengths.items(), start=300):
        video_id, _ = add_video(serving.storage, seed)
        serving.db.execute("UPDATE videos SET duration = %s WHERE id = %s", (seconds, video_id))
        claim(serving.db, email, video_id, name)
    with serving.client(serving.key(email)) as client:

        def listed(**asked: Any) -> list[str]:
            return [one["filename"] for one in pages(client, "/videos", "videos", limit=2, **asked)]

        assert listed() == listed(sort="-uploaded") == list(lengths)[::-1] == listed(sort="uploaded")[::-1]
        by_length = [lengths[name] or -1 for name in listed(sort="duration")]
        assert by_length == sorted(by_length) and listed(sort="-duration") == listed(sort="duration")[::-1]
        by_name = listed(sort="name")
        assert sorted(by_name) == sorted(lengths) and listed(sort="-name") == by_name[::-1]
        assert abs(by_name.index("Apfel.mp4") - by_name.index("apfel.mp4")) == 1
        assert client.get("/videos", params={"sort": "size"}).status_code == 422
        made_up = client.get("/videos", params={"cursor": forged("/videos", b'[1,"x"]')})
        assert made_up.json()["code"] == "request_invalid"


def test_pages_belong_to_one_set_until_it_is_swept(serving: Serving) -> None:
    video_id, maker = made_video(serving.storage, 5)
    claim(serving.db, ONE, video_id, "clip.mp4")
    path = f"/videos/{video_id}/sightings"
    with serving.client(serving.key(ONE)) as client:
        whole = pages(client, path, "sightings")
        first = client.get(path, params={"limit": 3})
        tag = first.headers["ETag"]
        assert client.get(path, params={"limit": 3}, headers={"If-None-Match": f'"other", {tag}'}).status_code == 304
        changed = serving.storage.settings.model_copy(update={"vid_stride": 4})
        commit_all(serving.storage, video_id, Maker(maker.sha256, changed))
        rest = {"limit": 100, "cursor": first.json()["next"]}
        second = client.get(path, params=rest)
        assert first.json()["sightings"] + second.json()["sightings"] == whole
        again = client.get(path, params={"limit": 3}, headers={"If-None-Match": tag})
        assert again.status_code == 200 and again.json()["result_id"] != first.json()["result_id"]

        serving.db.execute("UPDATE results SET created_at = now() - interval '9 days', recomputed_at = NULL")
        serving.db.execute("UPDATE published SET published_at = now() - interval '8 days' WHERE video_id = %s", (video_id,))
        with lease.hold(serving.db, video_id, "test") as token:
            assert superseded.delete(serving.db, serving.storage.store, video_id, token, days=7)
        gone = client.get(path, params=rest, headers={"If-None-Match": second.headers["ETag"]})
    assert (gone.status_code, gone.json()["code"]) == (410, "results_gone")


def test_a_cursor_goes_on_in_its_own_list_only(serving: Serving) -> None:
    video_id, _ = made_video(serving.storage, 6)
    other_id, _ = made_video(serving.storage, 7)
    for one in (video_id, other_id):
        claim(serving.db, ONE, one, "clip.mp4")
    with serving.client(serving.key(ONE)) as client:
        cursor = client.get(f"/videos/{video_id}/sightings", params={"limit": 1}).json()["next"]
        assert client.get(f"/v1/videos/{video_id}/sightings", params={"limit": 9, "cursor": cursor}).is_success
        for path, asked in (
            (f"/videos/{other_id}/sightings", {"cursor": cursor}),
            (f"/videos/{video_id}/tracks", {"cursor": cursor}),
            (f"/videos/{video_id}/sightings", {"cursor": cursor, "class": "person"}),
            (f"/videos/{video_id}/sightings", {"cursor": cursor[:-2]}),
            (f"/videos/{video_id}/sightings", {"cursor": "ä"}),
            (f"/videos/{video_id}/sightings", {"cursor": ""}),
            (f"/videos/{video_id}/sightings", {"klass": "person"}),
            (f"/videos/{video_id}/sightings", {"min_confidence": "nan"}),
            (f"/videos/{video_id}/masks", {"difficulty": "easy"}),
            ("/videos", {"cursor": cursor}),
            *(("/videos", {"cursor": forged("/videos", said)}) for said in (b"5", b"{}", b"[" * 700, b"[[1], {}]", b"\xff")),
        ):
            answer = client.get(path, params=asked)
            assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid"), (path, asked)


def test_the_document_has_everything_in_the_references_shapes(serving_clip: Serving, done: VideoOutcome) -> None:
    video_id, db = done.video_id, serving_clip.db
    stored = {name: page(db, table, published_set(db, video_id)) for name, table in TABLES.items()}
    facts = next(published(serving_clip.storage, video_id)["metadata"].batches()).to_pylist()[0]
    with serving_clip.client(serving_clip.key(ONE)) as client:
        answer = client.get(f"/videos/{video_id}/result")
        assert answer.headers["Content-Encoding"] == "gzip" and "private" in answer.headers["Cache-Control"]
        assert client.get(f"/videos/{video_id}/result", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
        some = client.get(f"/videos/{video_id}/result", params={"parts": ["tracks", "scenes"]}).json()
        job_id = claim(db, ONE, video_id, "again.mp4")
        of_job = client.get(f"/v1/jobs/{job_id}/result").json()
        assert client.get(f"/jobs/{uuid.uuid4()}/result").json()["detail"] == "There is no such job."
    whole = answer.json()
    assert of_job == whole | {"filename": "again.mp4"}
    assert some == {name: value for name, value in whole.items() if name not in ("detections", "masks")}
    assert whole["metadata"] == {
        "duration_seconds": facts["duration_seconds"], "width": facts["width"], "height": facts["height"],
        "fps": facts["fps_num"] / facts["fps_den"], "codec": facts["codec"], "total_frames": facts["frame_count"],
    }  # fmt: skip
    assert [len(whole[name]) for name in ("scenes", "tracks", "masks")] == [len(stored[name]) for name in ("scenes", "tracks", "masks")]
    seen = [(frame["frame_number"], one["detection_id"]) for frame in whole["detections"] for one in frame["detections"]]
    assert seen == [(row["frame_number"], row["detection_id"]) for row in stored["sightings"]]
    assert set(whole["detections"][0]["detections"][0]["bbox"]) == {"x", "y", "width", "height"}
    for track, row in zip(whole["tracks"], stored["tracks"], strict=True):
        assert (track["track_id"], track["class"], len(track["frames"])) == (row["track_id"], row["class"], row["sightings"])
        assert track["duration_frames"] == track["end_frame"] - track["start_frame"]
    assert sum(len(scene["replaceable_elements"]) for scene in whole["scenes"]) == len(stored["elements"])
    its = {row["detection_id"]: row for row in stored["sightings"]}
    for mask in whole["masks"]:
        row = its[mask["detection_id"]]
        assert (mask["track_id"], mask["class"], mask["frame"]) == (row["track_id"], row["class"], row["frame_number"])
        assert decode_plain(mask["mask_rle"], mask["height"], mask["width"]).sum() == mask["mask_area_pixels"]


def test_a_job_without_results_says_why(serving: Serving) -> None:
    user = serving.key(OTHER), serving.key(ONE)
    row = serving.db.fetch_one(
        """INSERT INTO uploads (user_id, filename, status, failure_code, requested)
           SELECT id, 'bad.mp4', 'failed', 'truncated', true FROM users
           WHERE email = %s RETURNING id::text""",
        (OTHER,),
    )
    assert row is not None
    with serving.client(user[0]) as client:
        refused = told(client.get(f"/jobs/{row['id']}/result"))
    assert (refused["status"], refused["code"]) == (409, "not_published") and "truncated" in refused["detail"]
    with serving.client(user[1]) as client:
        assert told(client.get(f"/jobs/{row['id']}/result")) == told(client.get("/jobs/nonsense/result"))


def test_what_is_archived_says_so(serving: Serving) -> None:
    video_id, _ = made_video(serving.storage, 8)
    claim(serving.db, ONE, video_id, "mine.mp4")
    with lease.hold(serving.db, video_id, "test") as token:
        archive.archive(serving.db, serving.storage.store, video_id, token)
    with serving.client(serving.key(ONE)) as client:
        assert client.get(f"/videos/{video_id}").json()["archived"]
        for route in ("tracks", "result", "frames/0.jpg?overlay=ids"):
            away = told(client.get(f"/videos/{video_id}/{route}"))
            assert (away["status"], away["code"]) == (410, "rows_archived") and away["detail"].startswith("mine.mp4 ")

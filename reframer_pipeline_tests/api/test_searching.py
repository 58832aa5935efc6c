"""Searching over all of one's videos."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest

from reframer_pipeline.api.exporting import MOST
from reframer_pipeline.api.searching import Hits
from reframer_pipeline.reading.search import SEARCHED, videos_with
from reframer_pipeline.reading.tables import TABLES, page, published_set
from reframer_pipeline.users import people
from reframer_pipeline_tests.api.library import claim, made_video
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.api.test_results import pages
from reframer_pipeline_tests.factories import Maker, add_video, commit_all

ONE, OTHER, MANY = "one@example.org", "other@example.org", "many@example.org"


@pytest.fixture(scope="module")
def videos(serving: Serving) -> dict[str, str]:
    """Three videos of one person, by name; another one has the first of them, and one of their own."""
    found = {}
    for seed, text in enumerate(("A dog runs over the lawn.", "Two cups on a table.", "Dogs and cups."), start=1):
        video_id, sha = add_video(serving.storage, seed)
        commit_all(serving.storage, video_id, Maker(sha, serving.storage.settings, frame_count=20 * seed, text=text))
        claim(serving.db, ONE, video_id, f"{seed}.mp4")
        found[f"{seed}.mp4"] = video_id
    claim(serving.db, OTHER, found["1.mp4"], "theirs.mp4")
    hidden, _ = made_video(serving.storage, 9)
    claim(serving.db, OTHER, hidden, "hidden.mp4")
    return found


def test_all_orders_are_tried() -> None:
    assert ORDERS.keys() == {(kind, order) for kind, one in SEARCHED.items() for order in one.orders}


def rows(serving: Serving, videos: dict[str, str], kind: str) -> list[dict[str, Any]]:
    """All rows of the three, with the names of their videos."""
    return [
        {**row, "filename": name}
        for name, video_id in videos.items()
        for row in page(serving.db, TABLES[kind], published_set(serving.db, video_id))
    ]


ORDERS: dict[tuple[str, str], Any] = {
    ("tracks", "seconds"): lambda row: (-row["seconds"], -row["confidence"]),
    ("scenes", "importance"): lambda row: -row["importance"],
    ("scenes", "seconds"): lambda row: -row["seconds"],
    ("elements", "difficulty"): lambda row: 101 if row["difficulty_score"] is None else row["difficulty_score"],
    ("elements", "seconds"): lambda row: -(row["seconds"] or 0),
}


@pytest.mark.parametrize(("kind", "order"), ORDERS)
def test_everything_of_ones_own_is_found_once_in_order(serving: Serving, videos: dict[str, str], kind: str, order: str) -> None:
    by = ORDERS[kind, order]
    wanted = rows(serving, videos, kind)
    with serving.client(serving.key(ONE)) as client:
        found = pages(client, "/v1/search", "hits", limit=3, sort=order, **{"in": kind})
        Hits.model_validate_json(client.get("/search", params={"in": kind}).content)
    for hit in found:
        assert hit.pop("in") == kind and hit.pop("picture").startswith(f"/v1/videos/{hit['video_id']}/")
    assert [by(hit) for hit in found] == sorted(map(by, wanted))

    def name(row: dict[str, Any]) -> str:
        return repr(sorted((key, value) for key, value in row.items()))

    assert sorted(map(name, found)) == sorted(map(name, wanted))


SEARCHES: list[tuple[dict[str, Any], Any]] = [
    ({"in": "tracks", "class": "person", "min_seconds": 0.5}, lambda row: row["class"] == "person" and row["seconds"] >= 0.5),
    ({"in": "tracks", "label": 'a "cup"\\x'}, lambda row: row["label"] == 'a "cup"\\x'),
    ({"in": "tracks", "label": "PERSON"}, lambda row: row["label"] == "person"),
    ({"in": "elements", "label": "Person"}, lambda row: row["label"] == "person"),
    ({"in": "tracks", "label": "persons"}, lambda row: False),
    ({"in": "scenes", "words": "dog"}, lambda row: "dog" in row["description"].lower()),
    ({"in": "scenes", "words": "dogs -cup"}, lambda row: row["filename"] == "1.mp4"),
    ({"in": "scenes", "min_importance": 6}, lambda row: False),
    ({"in": "scenes", "min_seconds": 0.6}, lambda row: row["seconds"] >= 0.6),
    ({"in": "elements", "words": "walking", "difficulty": "easy", "class": "person"}, lambda row: True),
    ({"in": "elements", "difficulty": "hard"}, lambda row: False),
    ({"in": "elements", "min_share": 0.5}, lambda row: False),
]


@pytest.mark.parametrize(("asked", "fits"), SEARCHES, ids=lambda value: str(value) if isinstance(value, dict) else None)
def test_a_search_finds_what_it_says(serving: Serving, videos: dict[str, str], asked: dict[str, Any], fits: Any) -> None:
    key = {"tracks": "track_id", "scenes": "scene_number", "elements": "element_number"}[asked["in"]]
    with serving.client(serving.key(ONE)) as client:
        found = pages(client, "/search", "hits", limit=2, **asked)
    wanted = [row for row in rows(serving, videos, asked["in"]) if fits(row)]
    assert sorted((hit["filename"], hit["start_seconds"], hit[key]) for hit in found) == sorted(
        (row["filename"], row["start_seconds"], row[key]) for row in wanted
    )


@pytest.mark.parametrize("kind", ["tracks", "elements"])
def test_the_labels_of_ones_own_videos_are_listed(serving: Serving, videos: dict[str, str], kind: str) -> None:
    places: dict[str, list[str]] = {}
    for row in rows(serving, videos, kind):
        places.setdefault(row["label"], []).append(row["filename"])
    wanted = [{"label": label, "hits": len(names), "videos": len(set(names))} for label, names in places.items()]
    wanted.sort(key=lambda one: (-int(one["videos"]), -int(one["hits"]), one["label"]))
    with serving.client(serving.key(ONE)) as client:
        assert client.get("/labels", params={"in": kind}).json() == {"labels": wanted}
        assert client.get("/labels", params={"in": kind, "limit": 1}).json() == {"labels": wanted[:1]}
    with serving.client(serving.key("nobody@example.org")) as client:
        assert client.get("/labels", params={"in": kind}).json() == {"labels": []}


def test_a_label_that_is_spelt_in_several_ways_is_found_in_all(serving: Serving) -> None:
    video_id, maker = made_video(serving.storage, 12)
    claim(serving.db, "spelt@example.org", video_id, "spelt.mp4")
    result = maker.keys["scenes"].result_id
    serving.db.execute("UPDATE scene_elements SET label = 'Blue cup' WHERE result_id = %s AND element_number = 1", (result,))
    serving.db.execute(
        """INSERT INTO scene_elements (video_id, result_id, scene_number, element_number, class, label, description, difficulty, reasons,
               start_seconds, end_seconds, track_ids)
           SELECT video_id, result_id, scene_number, 99, class, 'blue CUP', description, difficulty, reasons, start_seconds, end_seconds,
               track_ids FROM scene_elements WHERE result_id = %s AND element_number = 1""",
        (result,),
    )
    with serving.client(serving.key("spelt@example.org")) as client:
        found = pages(client, "/search", "hits", limit=1, label="BLUE cup", **{"in": "elements"})
    assert {hit["label"] for hit in found} == {"Blue cup", "blue CUP"}


def test_nothing_of_anothers_is_found(serving: Serving, videos: dict[str, str]) -> None:
    with serving.client(serving.key(OTHER)) as client:
        assert {hit["filename"] for hit in pages(client, "/search", "hits", **{"in": "scenes"})} == {"theirs.mp4", "hidden.mp4"}
    with serving.client(serving.key("nobody@example.org")) as client:
        assert client.get("/search", params={"in": "elements"}).json() == {"hits": [], "next": None}


@pytest.mark.parametrize(
    "asked", [{}, {"in": "masks"}, {"in": "tracks", "words": "dog"}, {"in": "tracks", "sort": "difficulty"}, {"in": "scenes", "class": "x"}]
)
def test_what_cannot_be_searched_is_refused(serving: Serving, videos: dict[str, str], asked: dict[str, str]) -> None:
    with serving.client(serving.key(ONE)) as client:
        answer = client.get("/search", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


def test_an_export_of_what_is_found_has_a_limit(serving: Serving, videos: dict[str, str]) -> None:
    """Copies of one scene, in more videos than that, which one person has."""
    values = {"videos": MOST + 1, "user": people.add(serving.db, MANY), "result": published_set(serving.db, videos["1.mp4"])}
    for query in _COPIES:
        serving.db.execute(query, values)
    with serving.client(serving.key(MANY)) as client:
        answer = client.get("/export", params={"in": "scenes", "format": "vtt"})
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid") and "Narrow" in answer.json()["remedy"]
    first, *others = videos_with(serving.db, "scenes", {}, values["user"])
    assert len(others) == MOST and videos_with(serving.db, "scenes", {}, values["user"], limit=1) == [first]


_COPIES: tuple[LiteralString, ...] = (
    """INSERT INTO videos (id, user_id, sha256, filename, size_bytes)
       SELECT md5('v' || n)::uuid, %(user)s, md5('a' || n) || md5('b' || n), n || '.mp4', 1 FROM generate_series(1, %(videos)s) n""",
    """INSERT INTO uploads (user_id, video_id, filename, status)
       SELECT user_id, id, filename, 'completed' FROM videos WHERE user_id = %(user)s""",
    """INSERT INTO results (result_id, video_id, stage, stage_key, recipe, components, object_key, object_bytes, row_count, content_digest,
           seconds, created_at)
       SELECT v.id, v.id, stage, v.id, recipe, components, object_key, object_bytes, row_count, content_digest, seconds, v.created_at
       FROM results, videos v WHERE result_id = %(result)s AND user_id = %(user)s""",
    "INSERT INTO published (video_id, stage, result_id) SELECT id, 'scenes', id FROM videos WHERE user_id = %(user)s",
    """INSERT INTO scene_analysis (id, video_id, result_id, scene_number, start_frame, end_frame, start_seconds, end_seconds, describer,
           analysis_data)
       SELECT v.id, v.id, v.id, 1, start_frame, end_frame, start_seconds, end_seconds, describer, analysis_data
       FROM scene_analysis, videos v WHERE result_id = %(result)s AND scene_number = 1 AND user_id = %(user)s""",
)


def test_pictures_of_hits_are_where_they_say(serving_clip: Serving) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client:
        for kind in SEARCHED:
            hit = client.get("/search", params={"in": kind}).json()["hits"][0]
            assert client.get(hit["picture"]).headers["content-type"] == "image/jpeg"
            assert hit["filename"] == "clip.mp4" and 0 <= hit["start_seconds"] < hit["end_seconds"]

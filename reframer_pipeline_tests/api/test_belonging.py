"""What is another's is not there, on every route that names anything by an id."""

from __future__ import annotations

from typing import Any

import httpx2

from reframer_pipeline_tests.api.test_access import routes as described
from reframer_pipeline_tests.api.walked import NOBODYS, Owned, Route, each, owned, routes

__all__ = ["owned"]
OF_SOMEBODY = ("job_id", "video_id", "deliverable_id", "upload_id")  # what stands for all that is below it
WALKED = [one for one in routes() if set(one.names) & set(OF_SOMEBODY)]


def told(answer: httpx2.Response) -> tuple[Any, ...]:
    """What an answer says: status, code and words; of a success the status alone."""
    if answer.headers.get("content-type") != "application/problem+json" or not answer.content:
        return (answer.status_code,)
    said = answer.json()
    return answer.status_code, said["code"], said["detail"], said["remedy"], said.get("errors")


def unknown(owned: Owned) -> dict[str, str]:
    """The same ids, but those of something that is not there."""
    return owned.ids | dict.fromkeys(OF_SOMEBODY, NOBODYS)


def test_something_is_walked() -> None:
    assert len(WALKED) > 35 and {name for one in WALKED for name in one.names} >= {*OF_SOMEBODY, "track_id", "detection_id", "number"}


@each(*WALKED)
def test_a_stranger_with_all_scopes_sees_and_changes_nothing(owned: Owned, route: Route) -> None:
    """It is as if there were nothing: the same status and the same words as for an id that nobody has."""
    before = owned.kept()
    theirs = owned.stranger.request(route.method, route.at(owned.ids), **route.said)
    nobodys = owned.stranger.request(route.method, route.at(unknown(owned)), **route.said)
    assert theirs.status_code == 404 and told(theirs) == told(nobodys)
    assert not any(name.lower() in ("etag", "location", "content-disposition", "upload-offset") for name in theirs.headers)
    assert owned.kept() == before


@each(*(Route(method, path) for method, path, said in described() if any(one["name"] == "result_id" for one in said.get("parameters", []))))
def test_naming_a_set_of_anothers_opens_nothing(owned: Owned, route: Route) -> None:
    before = owned.kept()
    (row,) = owned.serving.db.fetch("SELECT result_id::text AS id FROM published WHERE stage = 'scenes'")
    said = {**route.said, "params": {**route.said.get("params", {}), "result_id": row["id"]}}
    assert owned.stranger.request(route.method, route.at(owned.ids), **said).status_code == 404
    assert owned.kept() == before


@each(*WALKED)
def test_its_owner_is_answered_otherwise(owned: Owned, route: Route) -> None:
    """So that what is refused above is refused for whose it is. The greatest losses come last."""
    answer = owned.owner.request(route.method, route.at(owned.ids), **route.said)
    assert answer.status_code not in (401, 403, 405) and answer.status_code < 500, answer.text
    assert told(answer) != told(owned.owner.request(route.method, route.at(unknown(owned)), **route.said))

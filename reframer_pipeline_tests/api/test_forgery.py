"""What a page of another site can make a browser do that is signed in: change nothing, and read nothing. Every route is tried."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from reframer_pipeline_tests.api.walked import NOBODYS, OWNER, Owned, Route, each, owned, routes

__all__ = ["owned"]
CHANGING = [one for one in routes() if one.changes]
FOREIGN = {
    "another site, by Origin": {"Origin": "https://evil.example"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "a name that begins like ours": {"Origin": "http://OURS.evil.example"},
    "a page in a sandbox": {"Origin": "null"},
    "no word of it": {},
    "another site, by Sec-Fetch-Site": {"Sec-Fetch-Site": "cross-site"},
    "another site that claims our Origin": {"Sec-Fetch-Site": "cross-site", "Origin": "http://OURS"},
    "a site beside": {"Sec-Fetch-Site": "same-site"},
    "the address bar": {"Sec-Fetch-Site": "none"},
    "an unknown word": {"Sec-Fetch-Site": "Same-Origin"},
    "a form": {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    "a Referer of ours": {"Referer": "http://OURS/"},
}


@pytest.fixture(scope="module")
def browser(owned: Owned) -> Iterator[httpx2.Client]:
    """Signed in by a cookie, with all scopes."""
    with owned.serving.client() as client:
        client.post("/session", headers={"X-API-Key": owned.serving.key(OWNER)}).raise_for_status()
        yield client


def test_every_changing_route_is_tried() -> None:
    assert len(CHANGING) > 14 and {one.method for one in CHANGING} == {"POST", "PATCH", "DELETE"}


@each(*CHANGING)
def test_a_page_of_another_site_changes_nothing(owned: Owned, browser: httpx2.Client, route: Route) -> None:
    before, ours = owned.kept(), owned.serving.url.removeprefix("http://")
    for name, said in FOREIGN.items():
        headers = {**route.said.get("headers", {}), **{key: value.replace("OURS", ours) for key, value in said.items()}}
        answer = browser.request(route.method, route.at(owned.ids), **{**route.said, "headers": headers})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), name
        assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers
    assert owned.kept() == before


@each(*(one for one in CHANGING if one.path != "/session"))
def test_a_page_of_ours_is_let_through(owned: Owned, browser: httpx2.Client, route: Route) -> None:
    """So that what is refused above is refused for where it came from; nothing has these ids."""
    ids = dict.fromkeys(owned.ids, NOBODYS) | {"number": "1"}
    headers = {**route.said.get("headers", {}), "Origin": owned.serving.url}
    answer = browser.request(route.method, route.at(ids), **{**route.said, "headers": headers})
    assert answer.status_code not in (401, 403), answer.text


@each(*(one for one in routes() if not one.changes and one.method == "GET" and set(one.names) <= {"name"}))
def test_what_another_site_may_ask_for_it_cannot_read(owned: Owned, browser: httpx2.Client, route: Route) -> None:
    answer = browser.get(route.at(owned.ids), headers={"Origin": "https://evil.example"}, follow_redirects=False)
    assert "access-control-allow-origin" not in answer.headers and answer.headers["x-content-type-options"] == "nosniff"

"""How a browser comes in, and what pages of other sites cannot do with that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reframer_pipeline.users import keys, local
from reframer_pipeline.users.people import LOCAL_USER
from reframer_pipeline_tests.api.serving import Serving


@pytest.fixture
def token(serving: Serving) -> str:
    serving.db.execute("DELETE FROM api_keys")
    made = local.token(serving.db)
    assert made is not None
    return made


def test_a_token_is_exchanged_for_a_session_once(serving: Serving, token: str) -> None:
    with serving.client() as browser, serving.client() as other:
        came = browser.get("/login", params={"token": token})
        assert came.status_code == 303 and came.headers["location"] == "/" and came.headers["referrer-policy"] == "no-referrer"
        attributes = came.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(attributes) and token not in came.headers["set-cookie"]
        assert browser.get("/v1/me").json() == {"email": LOCAL_USER, "scopes": ["admin", "read", "write"]}
        again = other.get("/login", params={"token": token})
        assert again.status_code == 401 and "set-cookie" not in again.headers
        assert other.get("/v1/me").status_code == 401
        (listed,) = keys.list_(serving.db)
        assert (listed["kind"], listed["name"], listed["email"]) == ("session", "browser", LOCAL_USER)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),  # another port of this machine
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "OURS"}, True),
        ({"Origin": "OURS", "Sec-Fetch-Site": "cross-site"}, False),
        ({}, False),
    ],
)
def test_only_a_page_of_ours_changes_something(serving: Serving, token: str, headers: dict[str, str], allowed: bool) -> None:
    with serving.client() as browser:
        browser.get("/login", params={"token": token})
        said = {name: value.replace("OURS", serving.url) for name, value in headers.items()}
        answer = browser.delete("/session", headers=said)
        assert answer.status_code == (204 if allowed else 403)
        if not allowed:
            assert answer.json()["code"] == "cross_site"
            assert browser.get("/me", headers=said).is_success  # looking is harmless: no other site can read the answer


def test_a_session_that_is_ended_is_over_at_once(serving: Serving, token: str) -> None:
    with serving.client(**{"Sec-Fetch-Site": "same-origin"}) as browser:
        browser.get("/login", params={"token": token})
        cookies = dict(browser.cookies)
        assert browser.get("/me").is_success
        ended = browser.delete("/session")
        assert (ended.status_code, ended.headers["clear-site-data"]) == (204, '"cache"')
        assert not browser.cookies
        browser.cookies.update(cookies)
        assert browser.get("/me").status_code == 401


def test_signing_in_again_ends_the_session_before_unless_the_new_one_hangs_on_it(serving: Serving, token: str) -> None:
    with serving.client(**{"Sec-Fetch-Site": "same-origin"}) as browser:

        def cookie() -> dict[str, str]:
            ((name, value),) = browser.cookies.items()
            return {"Cookie": f"{name}={value}"}

        browser.get("/login", params={"token": token})
        by_token = cookie()
        browser.post("/session").raise_for_status()  # its child
        child = cookie()
        answers = [browser.get("/me", headers=one).status_code for one in (by_token, child)]
        browser.post("/session", headers={"X-API-Key": serving.key("one@example.org")}).raise_for_status()
        serving.until(lambda: browser.get("/me", headers=by_token).status_code == 401, 60)
        answers += [browser.get("/me", headers=one).status_code for one in (child, cookie())]
    assert answers == [200, 200, 401, 200]


def test_sessions_that_are_over_take_nobody_s_place(serving: Serving) -> None:
    key = serving.key("one@example.org")
    with serving.client() as steady, serving.client() as restless:
        steady.post("/session", headers={"X-API-Key": key}).raise_for_status()
        for _ in range(keys.MOST["session"] + 1):
            restless.post("/session", headers={"X-API-Key": key}).raise_for_status()
        assert [browser.get("/me").status_code for browser in (steady, restless)] == [200, 200]


def test_a_session_that_a_key_begins_has_its_scopes_and_ends_with_it(serving: Serving) -> None:
    key = serving.key("one@example.org", ("read",))
    with serving.client() as browser:
        assert browser.post("/session", headers={"X-API-Key": key}).status_code == 204
        assert browser.get("/me").json() == {"email": "one@example.org", "scopes": ["read"]}
        keys.revoke(serving.db, keys.named(serving.db, key[:11])["key_id"])
        serving.until(lambda: browser.get("/me").status_code == 401, 60)


def test_a_key_has_so_many_sessions_and_the_newest_stay(serving: Serving) -> None:
    key, other = serving.key("one@example.org"), serving.key("one@example.org")
    with serving.client() as browser:

        def begun(key: str) -> str:
            browser.post("/session", headers={"X-API-Key": key}).raise_for_status()
            (cookie,) = browser.cookies.items()
            browser.cookies.clear()
            return "=".join(cookie)

        cookies = [begun(other), *(begun(key) for _ in range(keys.MOST["session"] + 1))]
        answers = [browser.get("/me", headers={"Cookie": one}).status_code for one in cookies]
    assert answers == [200, 401, *[200] * keys.MOST["session"]]


def test_servers_on_two_ports_of_a_host_have_a_cookie_each(serving: Serving) -> None:
    first, second = ({"Host": f"127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"} for port in (7001, 7002))
    with serving.client() as browser:  # all ports of a host have the same jar
        for headers in (first, second):
            browser.post("/session", headers={"X-API-Key": serving.key(), **headers}).raise_for_status()
        assert browser.delete("/session", headers=second).status_code == 204
        assert [browser.get("/me", headers=headers).status_code for headers in (first, second)] == [200, 401]


def test_what_is_over_since_a_day_goes(serving: Serving, token: str) -> None:
    user = serving.db.fetch_one("SELECT user_id::text AS id FROM api_keys")
    assert user is not None
    for days, kind in ((-2, "session"), (-0.5, "session"), (-2, "login"), (-2, "key"), (2, "session")):
        keys.add(serving.db, user["id"], f"{days} {kind}", keys.SCOPES, timedelta(days=days), kind)  # type: ignore[arg-type]
    parent = serving.db.fetch_one("SELECT id::text FROM api_keys WHERE kind = 'key'")
    assert parent is not None
    keys.add(serving.db, user["id"], "of an ended key", keys.SCOPES, timedelta(days=9), "session", parent["id"])
    assert keys.sweep(serving.db) == 3
    left = serving.db.fetch("SELECT name FROM api_keys WHERE kind <> 'login' ORDER BY name")
    assert [row["name"] for row in left] == ["-0.5 session", "-2 key", "2 session"]
    assert serving.client().get("/login", params={"token": token}, follow_redirects=False).status_code == 303

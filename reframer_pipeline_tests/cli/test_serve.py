"""`reframer serve`, `reframer users` and `reframer keys` as people use them."""

from __future__ import annotations

import json
import re
import signal
import socket

import httpx2
import pytest

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import keys, people
from reframer_pipeline_tests.api.serving import SERVE, Serving
from reframer_pipeline_tests.command import Ended, called
from reframer_pipeline_tests.servers import free_port


def run(storage: Storage, *args: str) -> Ended:
    url = storage.settings.database_url
    assert url is not None
    return called(storage.settings.home_dir, *args, REFRAMER_DATABASE_URL=url.get_secret_value())


def test_a_key_alone_goes_to_standard_output(storage: Storage) -> None:
    ran = run(storage, "keys", "add", "--name", "camera", "--scope", "write", "--days", "90")
    assert ran.returncode == 0 and re.fullmatch(r"vr_[\w-]{43}\n", ran.stdout) and "not shown again" in ran.stderr
    found = keys.holder(storage.db, ran.stdout.strip(), "key")
    assert found is not None and (found.email, found.scopes) == ("local@localhost", {"write"})


def test_users_and_keys_come_and_go(storage: Storage) -> None:
    unknown = run(storage, "keys", "add", "one@example.org")
    assert unknown.returncode == 1 and "[unknown_user]" in unknown.stderr and "reframer users add" in unknown.stderr
    assert "reframer keys add one@example.org" in run(storage, "users", "add", "one@example.org").stdout
    first = run(storage, "keys", "add", "one@example.org").stdout.strip()
    listed = run(storage, "keys", "list")
    assert first[:11] + "…" in listed.stdout and first not in listed.stdout and "one@example.org" in listed.stdout
    assert "read, write" in listed.stdout and "never" in listed.stdout

    second = run(storage, "keys", "rotate", first[:11], "--hours", "0").stdout.strip()
    assert keys.holder(storage.db, first, "key") is None and keys.holder(storage.db, second, "key")
    assert first[:11] not in run(storage, "keys", "list").stdout and first[:11] in run(storage, "keys", "list", "--ended").stdout
    assert "is revoked" in run(storage, "keys", "revoke", second[:11]).stdout and keys.holder(storage.db, second, "key") is None
    assert run(storage, "keys", "revoke", "vr_nothing").returncode == 1

    third = run(storage, "keys", "add", "one@example.org").stdout.strip()
    (user,) = (json.loads(line) for line in run(storage, "users", "list", "--json").stdout.splitlines())
    assert (user["email"], user["keys"]) == ("one@example.org", 1)
    assert run(storage, "users", "remove", "one@example.org").returncode == 0
    assert keys.holder(storage.db, third, "key") is None
    assert "removed" in run(storage, "users", "list").stdout and run(storage, "users", "remove", "one@example.org").returncode == 1
    assert run(storage, "users", "add", "nobody").returncode == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_lets_the_local_person_in_and_ends(storage: Storage, how: signal.Signals) -> None:
    with Serving(storage, on_terminal=True, TERM="dumb") as serving:
        serving.until(lambda: "token=" in serving.log.read_text(), 120)
        (address,) = re.findall(r"http\S+/login\?token=\S+", serving.log.read_text())
        assert f"API: {serving.url}/v1" in serving.log.read_text()
        with httpx2.Client(base_url=serving.url, follow_redirects=True) as browser:
            assert "text/html" in browser.get(address).headers["content-type"]
            assert browser.get("/me").json()["email"] == "local@localhost"
        assert serving.stop(how) == 0
        assert "Traceback" not in serving.log.read_text() and "Interrupted" not in serving.log.read_text()
        cookies = dict(browser.cookies)
        serving.start()  # a session outlives the server
        assert httpx2.get(f"{serving.url}/me", cookies=cookies).json()["email"] == "local@localhost"


@pytest.mark.parametrize("kept", ["in a file", "on a terminal, once somebody else has a key"])
def test_serve_says_no_token(storage: Storage, kept: str) -> None:
    on_terminal = kept != "in a file"
    if on_terminal:
        keys.add(storage.db, people.add(storage.db, "one@example.org"), "key", ["read"])
    with Serving(storage, on_terminal=on_terminal, TERM="dumb") as serving:
        serving.until(lambda: "To come in, make a key: reframer keys add\n" in serving.log.read_text(), 120)
        assert "token" not in serving.log.read_text()
        assert serving.db.fetch("SELECT 1 FROM api_keys WHERE kind = 'login'") == []


def test_serve_opens_to_other_machines_for_somebody_only(storage: Storage) -> None:
    refused = run(storage, "serve", "--api-host", "0.0.0.0", "--api-port", str(free_port()))
    assert refused.returncode == 1 and "[nobody_to_serve]" in refused.stderr and "reframer users add" in refused.stderr
    keys.add(storage.db, people.add(storage.db, "one@example.org"), "key", ["read"])
    with Serving(storage, (*SERVE, "--api-host", "0.0.0.0", "--quiet")) as serving, serving.client(Host="any.example") as client:
        assert client.get("/healthz").is_success
        api, key, dagster = serving.log.read_text().splitlines()
        assert (api, key) == (f"API: http://0.0.0.0:{serving.port}/v1", "To come in, make a key: reframer keys add")
        assert dagster.startswith("REFRAMER_DAGSTER_URL is unset")


def test_serve_says_that_a_port_is_taken(storage: Storage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run(storage, "serve", "--api-port", str(taken.getsockname()[1]))
    assert ran.returncode == 2 and "--api-port" in ran.stderr and "cannot be used" in ran.stderr
    elsewhere = run(storage, "serve", "--api-host", "192.0.2.1")
    assert elsewhere.returncode == 2 and "192.0.2.1" in elsewhere.stderr

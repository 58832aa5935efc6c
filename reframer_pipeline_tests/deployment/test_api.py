"""The API beside Dagster: it is there, comes back, lets the local person in, and ends with the rest."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from reframer_pipeline_tests.deployment.deployment import Deployment, is_running

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path / "home", on_terminal=True, TERM="dumb") as deployment:
        yield deployment


def test_dev_says_both_addresses_keeps_the_api_up_and_ends_both(own: Deployment) -> None:
    own.wait("the API", lambda: f"API: {own.api_url}/v1" in own.said() and "token=" in own.said())
    address = re.findall(r"http\S+/login\?token=\S+", own.said())[-1]
    with httpx2.Client(base_url=own.api_url, follow_redirects=True) as browser:
        assert browser.get(address).status_code == 200
        assert browser.get("/v1/me").json()["email"] == "local@localhost"
    (api,) = own.processes("reframer_pipeline serve")

    os.kill(api, signal.SIGKILL)
    own.wait("the API", lambda: own.said().count(f"API: {own.api_url}/v1") == 2, 240)
    assert own.said().count("The API has ended (SIGKILL). It is started again in 1 s.") == 1
    assert httpx2.get(f"{own.api_url}/healthz").is_success
    (api,) = own.processes("reframer_pipeline serve")

    left = [*own.kill_the_first(), api]
    assert is_running(api)
    own.start()  # on the same ports
    own.wait("the API", lambda: own.said().count(f"API: {own.api_url}/v1") == 3)
    assert not any(map(is_running, left))
    assert own.processes("reframer_pipeline serve")

    own.stop(signal.SIGINT)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{own.api_url}/healthz")

"""Failures over HTTP: each has a status, and who asks is told what is theirs to know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reframer_pipeline import failures as f
from reframer_pipeline.api.problems import problem, status_of


def told(failure: f.ReframerError) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(bytes(problem(failure).body))
    return content


@pytest.mark.parametrize("kind", f.all_failures(), ids=lambda kind: kind.code)
def test_every_failure_is_an_answer(kind: type[f.ReframerError]) -> None:
    failure, canary = kind("The file canary.mp4 it is."), "canary"
    status, content = status_of(failure), told(failure)
    assert 400 <= status < 600 and (content["status"], content["code"]) == (status, kind.code)
    assert (canary in content["detail"]) == (status < 500 or issubclass(kind, f.Limited))  # of its own trouble, the log has the words
    assert content["title"] and content["remedy"] and content["type"] == f"urn:reframer:problem:{kind.code}"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (f.KeyMissing, 401), (f.NotAllowed, 403), (f.UnknownVideo, 404), (f.FileTooLarge, 413), (f.NotAVideo, 415), (f.EncryptedVideo, 422),
        (f.TooManyRequests, 429), (f.InternalError, 500), (f.DatabaseUnavailable, 503), (f.StoreUnavailable, 503), (f.DiskFull, 507),
    ],
)  # fmt: skip
def test_statuses_that_clients_rely_on(kind: type[f.ReframerError], status: int) -> None:
    assert status_of(kind("It is so.")) == status


def test_no_remedy_names_what_the_answer_has_not() -> None:
    failure = f.RequestInvalid("The body does not fit.")
    assert "errors" not in told(failure)["remedy"] and "errors" not in told(failure)


def test_who_comes_too_often_is_told_when_to_come_again() -> None:
    assert problem(f.QuotaUsedUp("Used up.").after(12.3)).headers["retry-after"] == "13"
    assert problem(f.DatabaseUnavailable("Away.")).headers["retry-after"] == "10"

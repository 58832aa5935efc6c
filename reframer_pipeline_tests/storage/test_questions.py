"""A question is asked once, whoever asks; an asker that dies blocks nobody for long; turns at Gemini are shared by all processes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline import failures
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.scenes.gemini.ask import Asker
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import Storage, questions, rate_limit
from reframer_pipeline.storage.questions import Answer, Claim, Question
from reframer_pipeline_tests.factories import add_video

REPOSITORY = Path(__file__).resolve().parents[2]
ANSWER = Answer({"scenes": []}, "model-1", 100, 20, 0.5)


def question(video_id: str, digest: str = "d") -> Question:
    return Question(digest, video_id, "model", 1)


def ask(storage: Storage, asked: Question, get: Callable[[Claim], Answer], deadline_s: float = 20.0) -> tuple[Answer, bool]:
    return questions.ask_once(storage.db, asked, get, deadline_s=deadline_s, alive=lambda: None)


def refuse(claim: Claim) -> Answer:
    raise failures.GeminiRateLimited("No quota.")


def never(claim: Claim) -> Answer:
    raise AssertionError("it must not be asked")


def test_an_answer_is_kept_and_found(anywhere: Storage) -> None:
    video_id, _ = add_video(anywhere)
    assert ask(anywhere, question(video_id), lambda claim: ANSWER) == (ANSWER, False)
    assert ask(anywhere, question(video_id), never) == (ANSWER, True)
    assert questions.find(anywhere.db, "d") == ANSWER and questions.find(anywhere.db, "other") is None


def test_many_askers_ask_once(anywhere: Storage) -> None:
    video_id, _ = add_video(anywhere)
    asked: list[int] = []

    def slowly(claim: Claim) -> Answer:
        asked.append(1)
        time.sleep(1.0)
        return ANSWER

    answers: list[tuple[Answer, bool]] = []
    _at_once([lambda: answers.append(ask(anywhere, question(video_id), slowly))] * 6)
    assert len(asked) == 1 and [answer for answer, _ in answers] == [ANSWER] * 6
    assert sum(was_there for _, was_there in answers) == 5


def test_those_who_wait_share_the_failure_and_those_who_come_later_ask_again(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    asked: list[int] = []

    def in_vain(claim: Claim) -> Answer:
        asked.append(1)
        time.sleep(1.0)
        return refuse(claim)

    seen: list[str] = []

    def one() -> None:
        try:
            ask(storage, question(video_id), in_vain)
        except failures.GeminiRateLimited as failure:
            seen.append(failure.message)

    _at_once([one] * 4)
    assert seen == ["No quota."] * 4 and len(asked) == 1
    assert ask(storage, question(video_id), lambda claim: ANSWER) == (ANSWER, False)
    row = storage.db.fetch_one("SELECT failures, failure_code, next_ask_at FROM gemini_questions")
    assert row == {"failures": 0, "failure_code": None, "next_ask_at": None}


def test_pauses_grow_with_each_failure_up_to_a_day(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    pauses = []
    for _ in range(12):
        with contextlib.suppress(failures.GeminiRateLimited):
            ask(storage, question(video_id), refuse)
        row = storage.db.fetch_one(
            "SELECT extract(epoch FROM next_ask_at - failed_at)::float8 AS pause, failure_code FROM gemini_questions"
        )
        assert row is not None and row["failure_code"] == "gemini_rate_limited"
        pauses.append(row["pause"])
    assert pauses[:3] == [300, 600, 1200] and pauses[-1] == 86_400 and pauses == sorted(pauses)


def test_an_interrupted_asker_leaves_the_question_free(storage: Storage) -> None:
    video_id, _ = add_video(storage)

    def interrupted(claim: Claim) -> Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(storage, question(video_id), interrupted)
    assert ask(storage, question(video_id), lambda claim: ANSWER) == (ANSWER, False)


def test_waiting_for_another_has_a_deadline(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    done = threading.Event()

    def held(claim: Claim) -> Answer:
        done.wait(20)
        return ANSWER

    holder = threading.Thread(target=lambda: ask(storage, question(video_id), held))
    holder.start()
    _until(lambda: storage.db.fetch("SELECT 1 FROM gemini_questions WHERE claim_token IS NOT NULL"))
    with pytest.raises(failures.GeminiUnavailable, match="Another run"):
        ask(storage, question(video_id), never, deadline_s=1.0)
    done.set()
    holder.join()


KILLED = """
import sys, time
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import open_storage, questions
home, url, video_id, claim_s = sys.argv[1:]
questions.CLAIM_S = float(claim_s)
def hang(claim):
    claim.note_remote_file("files/left")
    time.sleep(600)
with open_storage(Settings(home=home, database_url=url)) as storage:
    questions.ask_once(storage.db, questions.Question("d", video_id, "model", 1), hang, deadline_s=60, alive=lambda: None)
"""


def test_a_killed_asker_blocks_others_no_longer_than_its_claim(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    child = _child(KILLED, storage, video_id, "3")
    _until(lambda: storage.db.fetch("SELECT 1 FROM gemini_questions WHERE remote_file IS NOT NULL"))
    time.sleep(4)  # longer than the claim: the heartbeat keeps it
    with pytest.raises(failures.GeminiUnavailable):
        ask(storage, question(video_id), never, deadline_s=0.5)
    child.send_signal(signal.SIGKILL)
    child.wait()
    began = time.monotonic()
    left: list[str | None] = []
    assert ask(storage, question(video_id), lambda claim: left.append(claim.left_behind) or ANSWER) == (ANSWER, False)
    assert time.monotonic() - began < 3 + 2
    assert left == ["files/left"]


ASKING = """
import json, sys, threading
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import open_storage
from reframer_pipeline_tests.storage.test_questions import ask_about
home, url, gemini_url, videos = sys.argv[1:]
with open_storage(Settings(home=home, database_url=url)) as storage:
    threads = [threading.Thread(target=ask_about, args=(storage, gemini_url, *video)) for video in json.loads(videos) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def ask_about(storage: Storage, url: str, video_id: str, sha256: str, **more: Any) -> tuple[Answer, bool]:
    """Ask the stand-in at `url` about a video of a few bytes."""
    facts = {"sha256": sha256, "duration_seconds": 8.0, "width": 640, "height": 360, "container": "mov,mp4"}

    @contextlib.contextmanager
    def upload() -> Iterator[Path]:
        path = storage.settings.home_dir / "tiny.mp4"
        path.write_bytes(b"tiny")
        yield path

    settings = Settings(gemini_api_key="key", gemini_url=url, gemini_requests_per_minute=6000, **more)
    return Asker(storage.db, settings, video_id, facts, upload, lambda: None).answer(None, list)


def test_ten_askers_in_two_processes_make_one_request_a_video(storage: Storage) -> None:
    videos = [add_video(storage, seed) for seed in range(3)]
    with FakeGemini() as gemini:
        gemini.script(Behaviour(Kind.ANSWER, wait_seconds=0.7, times=100), Behaviour(Kind.UNAVAILABLE))
        child = _child(ASKING, storage, gemini.url, json.dumps(videos))
        _at_once([lambda video=video: ask_about(storage, gemini.url, *video) for video in [*videos, videos[0]]])
        assert child.wait(60) == 0
        assert gemini.accepted_generations == 3
        assert len(gemini.requests_of(Endpoint.GENERATE)) == 3
        for video in videos:  # later, and after a restart: still nothing is asked
            assert ask_about(storage, gemini.url, *video)[1]
        assert gemini.accepted_generations == 3
        ask_about(storage, gemini.url, *videos[0], gemini_model="gemini-3.7-flash")
        assert gemini.accepted_generations == 4


def test_cost_is_by_the_prices_that_were_set(storage: Storage) -> None:
    video = add_video(storage)
    with FakeGemini() as gemini:
        answer, _ = ask_about(storage, gemini.url, *video, gemini_input_price=2.0, gemini_output_price=10.0)
    assert answer.cost_usd == round((answer.input_tokens * 2 + answer.output_tokens * 10) / 1e6, 6) > 0
    row = storage.db.fetch_one("SELECT cost_usd::float8 AS cost, model, model_version FROM gemini_questions")
    assert row == {"cost": answer.cost_usd, "model": "gemini-3.8-flash", "model_version": "gemini-3.8-flash"}


def turn(storage: Storage, per_minute: float, patience_s: float = 30.0) -> bool:
    return rate_limit.take_turn(storage.db, "x", per_minute, until=time.monotonic() + patience_s, alive=lambda: None)


def test_turns_are_spaced_for_all_together(anywhere: Storage) -> None:
    times: list[float] = []
    began = time.monotonic()
    _at_once([lambda: turn(anywhere, 240) and times.append(time.monotonic() - began)] * 6)
    assert len(times) == 6
    times.sort()
    assert times[-1] >= 5 * 0.25 - 0.05
    assert all(later - earlier > 0.05 for earlier, later in zip(times, times[1:], strict=False))


def test_a_turn_that_would_come_too_late_is_not_taken(storage: Storage) -> None:
    assert turn(storage, 6)
    began = time.monotonic()
    assert not turn(storage, 6, patience_s=1.0)
    assert time.monotonic() - began < 1
    assert rate_limit.held_off(storage.db, "x") == 0


def test_holding_off_stops_everyone_also_those_who_wait(storage: Storage) -> None:
    rate_limit.hold_off(storage.db, "x", 1.5)
    began = time.monotonic()
    assert turn(storage, 6000)
    assert time.monotonic() - began >= 1.4
    assert turn(storage, 60)
    waiting = threading.Thread(target=lambda: turn(storage, 60))
    waiting.start()
    time.sleep(0.3)
    rate_limit.hold_off(storage.db, "x", 2.0)
    began = time.monotonic()
    waiting.join()
    assert time.monotonic() - began >= 1.9
    rate_limit.hold_off(storage.db, "x", 600)
    assert not turn(storage, 6000, patience_s=1.0)


def _child(code: str, storage: Storage, *arguments: str) -> subprocess.Popen[bytes]:
    url = storage.settings.database_url
    assert url is not None
    return subprocess.Popen(
        [sys.executable, "-c", code, str(storage.settings.home_dir), url.get_secret_value(), *arguments], cwd=REPOSITORY
    )


def _at_once(acts: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def _until(done: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)

"""A question is asked once, whoever asks; an asker that dies blocks nobody for long; turns at Gemini are shared by all processes."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline import failures
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.scenes.gemini import claims, questions, rate_limit
from reframer_pipeline.scenes.gemini.ask import Asker, limiter_name
from reframer_pipeline.scenes.gemini.claims import Answer, Claim, ClaimLost, Question, Spent
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.factories import add_video
from reframer_pipeline_tests.support import REPOSITORY

pytestmark = pytest.mark.slow

SPENT = Spent(1, 100, 20, 0.5)
ANSWER = Answer({"scenes": []}, "model-1", SPENT)


def question(video_id: str, digest: str = "d") -> Question:
    return Question(digest, video_id, "model", 1)


def reply(claim: Claim) -> Answer:
    claim.spent = SPENT
    return ANSWER


def ask(storage: Storage, asked: Question, get: Callable[[Claim], Answer], deadline_s: float = 20.0) -> tuple[Answer, bool]:
    return questions.ask_once(storage.db, asked, get, deadline_s=deadline_s, alive=lambda: None)


def refuse(claim: Claim) -> Answer:
    raise failures.GeminiRateLimited("No quota.")


def never(claim: Claim) -> Answer:
    raise AssertionError("it must not be asked")


def test_an_answer_is_kept_and_found(anywhere: Storage) -> None:
    video_id, _ = add_video(anywhere)
    assert ask(anywhere, question(video_id), reply) == (ANSWER, False)
    assert ask(anywhere, question(video_id), never) == (ANSWER, True)
    assert questions.find(anywhere.db, "d") == ANSWER and questions.find(anywhere.db, "other") is None


def test_an_answer_that_is_told_is_restored_where_it_is_lost_and_nothing_else_is_changed(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    kept = json.loads(json.dumps(questions.told(question(video_id), ANSWER)))
    for times in (1, 2):
        storage.db.run(lambda conn: questions.restore(conn, kept))
        assert questions.find(storage.db, "d") == ANSWER, times  # what it cost is not counted twice
    assert ask(storage, question(video_id), never) == (ANSWER, True)
    other = question(video_id, "other")
    with pytest.raises(failures.GeminiRateLimited):
        ask(storage, other, refuse)
    storage.db.run(lambda conn: questions.restore(conn, questions.told(other, ANSWER)))
    assert ask(storage, other, never) == (ANSWER, True)
    assert storage.db.fetch("SELECT digest FROM gemini_questions WHERE failure_code IS NOT NULL OR next_ask_at IS NOT NULL") == []


def test_many_askers_ask_once(anywhere: Storage) -> None:
    video_id, _ = add_video(anywhere)
    asked: list[int] = []

    def slowly(claim: Claim) -> Answer:
        asked.append(1)
        time.sleep(1.0)
        return reply(claim)

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
    assert ask(storage, question(video_id), reply) == (ANSWER, False)
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
    rounded = [round(pause) for pause in pauses]  # the server looks at its clock twice
    assert rounded[:3] == [300, 600, 1200] and rounded[-1] == 86_400 and rounded == sorted(rounded)


def test_an_interrupted_asker_leaves_the_question_free(storage: Storage) -> None:
    video_id, _ = add_video(storage)

    def interrupted(claim: Claim) -> Answer:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(storage, question(video_id), interrupted)
    assert ask(storage, question(video_id), reply) == (ANSWER, False)


def test_waiting_for_another_has_a_deadline(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    done = threading.Event()

    def held(claim: Claim) -> Answer:
        done.wait(120)
        return reply(claim)

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
from reframer_pipeline.scenes.gemini import claims, questions
from reframer_pipeline.results.storage import open_storage
home, url, video_id, claim_s = sys.argv[1:]
claims.CLAIM_S = float(claim_s)
def hang(claim):
    claim.note_uploaded("files/left")
    time.sleep(600)
with open_storage(Settings(home=home, database_url=url)) as storage:
    questions.ask_once(storage.db, claims.Question("d", video_id, "model", 1), hang, deadline_s=60, alive=lambda: None)
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
    assert ask(storage, question(video_id), lambda claim: left.append(claim.left_behind) or reply(claim)) == (ANSWER, False)
    assert time.monotonic() - began < 3 + 20
    assert left == ["files/left"]


ASKING = """
import json, pathlib, sys, threading, time
from reframer_pipeline.settings import Settings
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline_tests.scenes.gemini.test_questions import ask_about
home, url, gemini_url, videos, folder = sys.argv[1:]
with open_storage(Settings(home=home, database_url=url)) as storage:
    storage.db.fetch("SELECT 1")
    pathlib.Path(folder, "ready").touch()
    while not pathlib.Path(folder, "go").exists():
        time.sleep(0.005)
    were_there = []
    def ask(video):
        were_there.append(ask_about(storage, gemini_url, *video)[1])
    threads = [threading.Thread(target=ask, args=(video,)) for video in json.loads(videos) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(json.dumps(were_there))
"""


def ask_about(storage: Storage, url: str, video_id: str, sha256: str, **more: Any) -> tuple[Answer, bool]:
    """Ask the stand-in at `url` about a video of a few bytes."""
    facts = {"sha256": sha256, "duration_seconds": 8.0, "width": 640, "height": 360, "container": "mov,mp4"}

    @contextlib.contextmanager
    def upload() -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:  # of its own: askers beside each other must not see half a file
            path = Path(folder, "tiny.mp4")
            path.write_bytes(b"tiny")
            yield path

    settings = Settings(gemini_api_key="key", gemini_url=url, gemini_requests_per_minute=6000, **more)
    return Asker(storage.db, settings, video_id, facts, upload, lambda: None).answer(None, list)


def test_ten_askers_in_two_processes_make_one_request_a_video(storage: Storage, tmp_path: Path) -> None:
    videos = [add_video(storage, seed) for seed in range(3)]
    with FakeGemini() as gemini:
        gemini.script(Behaviour(Kind.ANSWER, wait_seconds=4.0, times=3))
        child = _child(ASKING, storage, gemini.url, json.dumps(videos), str(tmp_path), stdout=subprocess.PIPE)
        _until(lambda: (tmp_path / "ready").exists())
        were_there: list[bool] = []
        asks = [lambda video=video: were_there.append(ask_about(storage, gemini.url, *video)[1]) for video in [*videos, videos[0]]]
        (tmp_path / "go").touch()
        _at_once(asks)
        output, _ = child.communicate(timeout=240)
        assert child.returncode == 0
        were_there += json.loads(output)
        assert len(were_there) == 10 and were_there.count(False) == 3
        asked = gemini.requests_of(Endpoint.GENERATE)
        assert len(asked) == gemini.accepted_generations == 3
        assert max(one.time for one in asked) - min(one.time for one in asked) < 4.0  # no video waited for another's answer
        for video in videos:  # later, and after a restart: still nothing is asked
            assert ask_about(storage, gemini.url, *video)[1]
        assert gemini.accepted_generations == 3
        ask_about(storage, gemini.url, *videos[0], gemini_model="gemini-3.7-flash")
        assert gemini.accepted_generations == 4


def test_the_answer_is_stored_before_anything_is_tidied_up(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    found: list[Answer | None] = []

    def get(claim: Claim) -> Answer:
        claim.afterwards = lambda: found.append(questions.find(storage.db, "d"))
        return reply(claim)

    ask(storage, question(video_id), get)
    assert found == [ANSWER]


def test_a_file_that_was_deleted_after_the_answer_is_forgotten(storage: Storage) -> None:
    video = add_video(storage)
    with FakeGemini() as gemini:
        ask_about(storage, gemini.url, *video, gemini_inline_mb=0)
        assert storage.db.fetch_one("SELECT remote_file FROM gemini_questions") == {"remote_file": None}
        gemini.script(Behaviour(Kind.BAD_REQUEST, Endpoint.DELETE_FILE))
        ask_about(storage, gemini.url, *video, gemini_inline_mb=0, gemini_model="gemini-3.7-flash")
        row = storage.db.fetch_one("SELECT remote_file FROM gemini_questions WHERE model = 'gemini-3.7-flash'")
        assert row == {"remote_file": gemini.file_names[0]}


def test_what_is_spent_in_vain_adds_up(storage: Storage) -> None:
    video = add_video(storage)
    with FakeGemini() as gemini:
        gemini.script(Behaviour(Kind.MAX_TOKENS, times=3))
        with pytest.raises(failures.GeminiAnswerInvalid):
            ask_about(storage, gemini.url, *video)
        row = storage.db.fetch_one("SELECT requests, input_tokens, output_tokens, cost_usd::float8 AS cost_usd FROM gemini_questions")
        assert row is not None and row["requests"] == 2 and row["input_tokens"] > 0 and row["cost_usd"] > 0
        answer, _ = ask_about(storage, gemini.url, *video)  # the third is cut off too, the fourth is good
        assert gemini.accepted_generations == answer.spent.requests == 4
        assert answer.spent.input_tokens == 2 * row["input_tokens"] and answer.spent.output_tokens > 1.5 * row["output_tokens"]
        assert answer.spent.cost_usd > 1.9 * row["cost_usd"]
        assert ask_about(storage, gemini.url, *video) == (answer, True)


def test_one_who_lost_the_claim_does_not_pay_and_waits_for_the_other(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    lost, done = threading.Event(), threading.Event()
    other = Spent(2, 7, 7, 0.1)

    def loses(claim: Claim) -> Answer:
        storage.db.execute("UPDATE gemini_questions SET claimed_until = clock_timestamp() - interval '1 second'")
        lost.set()
        done.wait(120)
        claim.spent = other
        claim.renew()
        return never(claim)

    def takes_over(claim: Claim) -> Answer:
        done.set()
        time.sleep(1.0)
        return reply(claim)

    answers: list[tuple[Answer, bool]] = []
    first = threading.Thread(target=lambda: answers.append(ask(storage, question(video_id), loses)))
    first.start()
    assert lost.wait(120)
    assert ask(storage, question(video_id), takes_over)[1] is False
    first.join()
    assert answers[0][1] is True  # what the loser used is counted too
    row = storage.db.fetch_one("SELECT requests, input_tokens FROM gemini_questions")
    assert row == {"requests": 3, "input_tokens": 107}


def test_the_first_of_two_answers_stands_and_both_are_counted(storage: Storage) -> None:
    video_id, _ = add_video(storage)

    def slow(claim: Claim) -> Answer:
        storage.db.execute("UPDATE gemini_questions SET claimed_until = clock_timestamp() - interval '1 second'")
        ask(storage, question(video_id), reply)
        claim.spent = SPENT
        return Answer({"scenes": ["other"]}, "model-2", SPENT)

    answer, _ = ask(storage, question(video_id), slow)
    assert answer == replace(ANSWER, spent=Spent(2, 200, 40, 1.0))
    _, claim = claims.take(storage.db, question(video_id, "e"), questions._server_time(storage.db), 0)
    assert claim is not None
    claim.spent = SPENT
    for _ in range(2):  # as after a COMMIT whose answer was lost
        claim.end(ANSWER)
    found = questions.find(storage.db, "e")
    assert found is not None and found.spent == SPENT
    with pytest.raises(ClaimLost):
        claim.renew()


def test_one_who_takes_over_has_only_the_time_that_is_left(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    _, claim = claims.take(storage.db, question(video_id), questions._server_time(storage.db), 0)
    assert claim is not None
    storage.db.execute("UPDATE gemini_questions SET claimed_until = clock_timestamp() + interval '1.5 seconds'")
    left: list[float] = []
    ask(storage, question(video_id), lambda mine: left.append(mine.until - time.monotonic()) or reply(mine), deadline_s=5.0)
    assert 2.0 < left[0] < 4.0


def test_what_nobody_foresaw_is_a_failure_with_a_pause(storage: Storage) -> None:
    video_id, sha256 = add_video(storage)
    facts = {"sha256": sha256, "duration_seconds": 8.0, "width": 640, "height": 360, "container": "mov,mp4"}

    def upload() -> Any:
        raise ZeroDivisionError

    with FakeGemini() as gemini:
        settings = Settings(gemini_api_key="key", gemini_url=gemini.url)
        with pytest.raises(failures.GeminiUnavailable, match="ZeroDivisionError"):
            Asker(storage.db, settings, video_id, facts, upload, lambda: None).answer(None, list)
    row = storage.db.fetch_one("SELECT failure_code, next_ask_at > now() AS later FROM gemini_questions")
    assert row == {"failure_code": "gemini_unavailable", "later": True}


def test_cost_is_by_the_prices_that_were_set(storage: Storage) -> None:
    video = add_video(storage)
    with FakeGemini() as gemini:
        answer, _ = ask_about(storage, gemini.url, *video, gemini_input_price=2.0, gemini_output_price=10.0)
    spent = answer.spent
    assert spent.cost_usd == round((spent.input_tokens * 2 + spent.output_tokens * 10) / 1e6, 6) > 0
    row = storage.db.fetch_one("SELECT cost_usd::float8 AS cost, model, model_version FROM gemini_questions")
    assert row == {"cost": spent.cost_usd, "model": "gemini-3.8-flash", "model_version": "gemini-3.8-flash"}


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
    assert not turn(storage, 6, patience_s=5.0)
    assert time.monotonic() - began < 5
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


def test_those_who_were_held_off_do_not_all_come_at_once(storage: Storage) -> None:
    times: list[float] = []

    def one() -> None:
        assert turn(storage, 240)
        times.append(time.monotonic())

    threads = [threading.Thread(target=one) for _ in range(5)]
    rate_limit.take_turn(storage.db, "x", 60, until=time.monotonic() + 5, alive=lambda: None)  # the next one comes in a second
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    rate_limit.hold_off(storage.db, "x", 3.0)  # longer than all of them would have waited
    for thread in threads:
        thread.join()
    times.sort()
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(times))


def test_no_hold_is_longer_than_an_hour(storage: Storage) -> None:
    rate_limit.hold_off(storage.db, "x", 99999999999999.0)
    assert 3590 < rate_limit.held_off(storage.db, "x") <= 3600


def test_quotas_are_told_apart_by_model_and_key_and_tell_nobody_the_key() -> None:
    names = {limiter_name(Settings(gemini_api_key=key, gemini_model=model)) for key in ("secret-a", "secret-b") for model in ("m", "n")}
    assert len(names) == 4 and not any("secret" in name for name in names)


def _child(code: str, storage: Storage, *arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    url = storage.settings.database_url
    assert url is not None
    command = [sys.executable, "-c", code, str(storage.settings.home_dir), url.get_secret_value(), *arguments]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=stdout)


def _at_once(acts: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
        assert not thread.is_alive()


def _until(done: Callable[[], object]) -> None:
    until = time.monotonic() + 400
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)

"""The video screen while something changes: a run that is asked for again, results that are computed anew, a copy that is being made.

And what a person may do meanwhile: keys, an address that is copied, the bar below the film.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any, LiteralString

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from reframer_pipeline.failures import TruncatedVideo
from reframer_pipeline.results import proxies
from reframer_pipeline.stages import NAMES
from reframer_pipeline.work import jobs, lease, status
from reframer_pipeline_tests.api.library import claim
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.browser import hard_to_read
from reframer_pipeline_tests.factories import add_video, commit_all, start_job
from reframer_pipeline_tests.page.desk import Desk
from reframer_pipeline_tests.page.films import Film, brought
from reframer_pipeline_tests.servers import Server

pytestmark = pytest.mark.timeout(900)
WHO = "one@example.org"


@pytest.fixture(scope="module")
def serving(browser: Browser, tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server for each browser: what the tests change in one, the next must not find."""
    yield from started(tmp_path_factory.mktemp("serving"), embedded_server)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def made(serving: Serving, folder: Any) -> tuple[str, Film]:
    """A clip with its results."""
    video_id, film = brought(serving.storage, "constant", folder)
    claim(serving.db, WHO, video_id, "clip.mp4")
    return video_id, film


@pytest.fixture(scope="module")
def desk(page: Page, serving: Serving) -> Desk:
    return Desk(page, serving.url)


def publish(serving: Serving, video_id: str, film: Film, **changed: object) -> Film:
    """New results of the same clip, under other settings."""
    anew = dataclasses.replace(film, settings=film.settings.model_copy(update=changed))
    commit_all(serving.storage, video_id, anew)
    return anew


def look(desk: Desk) -> None:
    """What the page does of itself every few seconds."""
    desk.page.evaluate("import('./app/jobs.js').then(({ look }) => look())")


def run_again(page: Page, serving: Serving, video_id: str, run_id: str) -> None:
    """Ask for another run, which is in the queue from then on: if it were before, the page might see it and take the button away."""
    asking = f"**/videos/{video_id}/run"

    def queued(route: Route) -> None:
        jobs.queue(serving.db, {run_id: video_id})
        route.continue_()

    again = page.get_by_role("button", name="Run again")
    page.route(asking, queued)
    again.click()
    expect(again).to_have_count(0)
    page.unroute(asking)


def sets(desk: Desk) -> list[str]:
    """The sets that the rows on the screen are of."""
    rows = "const { video, scenes, tracks, elements } = reframer.room.results; const rows = [video, ...scenes, ...tracks, ...elements];"
    return list(desk.page.evaluate(f"(() => {{ {rows} return [...new Set(rows.map((one) => one.result_id))]; }})()"))


def test_results_that_are_published_while_they_are_loaded_are_of_one_set(desk: Desk, serving: Serving, made: tuple[str, Film]) -> None:
    video_id, film = made
    anew: list[Film] = []

    def between(route: Route) -> None:
        if not anew:
            anew.append(publish(serving, video_id, film, conf=0.31))
        route.continue_()

    desk.page.route("**/tracks?*", between)
    desk.open(video_id)
    desk.page.unroute("**/tracks?*")
    assert sets(desk) == [anew[0].keys["scenes"].result_id]


def test_a_video_that_is_computed_anew_shows_the_new_results_and_says_so(desk: Desk, serving: Serving, made: tuple[str, Film]) -> None:
    video_id, film = made
    desk.open(video_id, f"?t={film.seconds[30]:.3f}")
    desk.at(30)
    (before,) = sets(desk)
    head = desk.page.locator(".v-head")
    job = start_job(serving.db, video_id, "anew")
    serving.db.run(lambda conn: status.transition(conn, video_id, status.Event.BEGUN))
    jobs.progress(serving.db, job, "detections", 4, 10)
    look(desk)
    expect(head).to_contain_text("Being computed anew")
    expect(head.get_by_role("progressbar")).to_be_visible()
    assert sets(desk) == [before]  # what is there stays
    anew = publish(serving, video_id, film, conf=0.32)
    with lease.hold(serving.db, video_id, "anew") as token:
        jobs.finish(serving.db, video_id, "anew", NAMES, token)
    desk.page.get_by_role("tab", name="Tracks").click()
    look(desk)
    expect(head).to_contain_text("These are the new results")
    desk.until("window.reframer?.drawn >= 0")
    desk.at(30)
    expect(desk.page.get_by_role("tab", name="Tracks", selected=True)).to_be_visible()
    assert sets(desk) == [anew.keys["scenes"].result_id] != [before]
    assert desk.told("boxes")[0]["result_id"] == sets(desk)[0]


def test_rows_of_other_results_are_not_taken(desk: Desk, made: tuple[str, Film]) -> None:
    desk.open(made[0])
    script = """async () => {
        const { rowsOf, Newer } = await import("./app/video/rows.js");
        const { video_id } = reframer.room.results.video;
        return rowsOf({ video_id, result_id: "other" }, "tracks", {}).catch((error) => error instanceof Newer);
    }"""
    assert desk.page.evaluate(script) is True


def test_k_stops_and_with_j_and_l_it_goes_slowly(desk: Desk, made: tuple[str, Film]) -> None:
    desk.open(made[0], "?t=0")
    keyboard = desk.page.keyboard
    keyboard.press("k")
    assert desk.page.evaluate("reframer.room.player.head.value.playing") is False  # it stops, and never begins
    keyboard.down("k")
    for frame in (1, 2, 3):
        keyboard.down("l")  # from the second on as a key that is held repeats
        desk.at(frame)
    keyboard.up("l")
    for frame in (2, 1):
        keyboard.down("j")
        desk.at(frame)
    keyboard.up("j")
    keyboard.up("k")
    assert desk.page.evaluate("reframer.room.film.video.paused")


def test_j_again_goes_back_faster(desk: Desk, made: tuple[str, Film]) -> None:
    desk.open(made[0], f"?t={made[1].seconds[-1]:.3f}")
    desk.page.keyboard.press("j")
    desk.page.keyboard.press("j")
    assert desk.page.evaluate("reframer.room.player.head.value.rate") == 2
    desk.until("reframer.frame < 24")


def test_every_speed_can_be_seen(desk: Desk, made: tuple[str, Film]) -> None:
    desk.open(made[0], "?t=0")
    speed = desk.page.get_by_label("Speed")
    desk.page.keyboard.press("r")  # it plays on and on
    desk.page.keyboard.press("]")
    desk.page.keyboard.press("Space")
    desk.until("reframer.room.player.head.value.playing")
    for key, rate in (("l", 4), ("[", 2), ("l", 4), ("]", 4)):  # of 1.5, and on
        desk.page.keyboard.press(key)
        expect(speed).to_have_value(str(rate))
    desk.page.keyboard.press("k")


def test_what_did_not_come_is_asked_for_again(desk: Desk, made: tuple[str, Film]) -> None:
    lost = re.compile("/(sightings|masks)[?]")
    desk.page.route(lost, lambda route: route.abort())
    desk.page.goto("about:blank")
    with desk.page.expect_event("requestfailed", lambda request: "/sightings" in request.url):
        desk.page.goto(f"{desk.url}/#/videos/{made[0]}?t=0")
    desk.until("window.reframer?.firstPicture > 0")
    desk.page.unroute(lost)
    desk.until("reframer.drawn === 0 && reframer.masks.length === 1")


def test_an_address_that_could_not_be_copied_is_not_said_to_be(desk: Desk, made: tuple[str, Film]) -> None:
    desk.open(made[0])
    desk.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as over plain HTTP
    said = desk.page.locator(".v-said")
    places = "[...document.querySelectorAll('.v-transport button, .v-lanes')].map((one) => JSON.stringify(one.getBoundingClientRect()))"
    before = desk.page.evaluate(places)
    desk.page.keyboard.press("c")
    expect(said).to_have_text("The address of this moment was copied.")
    assert desk.page.evaluate(places) == before  # nothing moves under the hand
    desk.page.evaluate("document.execCommand = () => false")
    expect(said).to_have_text("")
    desk.page.keyboard.press("c")
    expect(said).to_have_text("Copy it from the address bar.")


@pytest.fixture
def failed(serving: Serving) -> str:
    """A video whose only run failed."""
    video_id, _ = add_video(serving.storage, seed=8)
    job_id = claim(serving.db, WHO, video_id, "broken.mp4")
    serving.db.execute("UPDATE uploads SET requested = false WHERE id = %s", (job_id,))  # as of `reframer ingest`
    start_job(serving.db, video_id, "first")
    jobs.fail(serving.db, video_id, "first", TruncatedVideo("It ends too early."), "frames")
    status.fail(serving.db, video_id, TruncatedVideo("It ends too early."))
    return video_id


def test_who_may_write_runs_a_failed_video_again(desk: Desk, serving: Serving, failed: str) -> None:
    page = desk.page
    page.goto("about:blank")
    page.goto(f"{desk.url}/#/videos/{failed}")
    expect(page.get_by_role("heading", name="This video could not be computed")).to_be_visible()
    again = page.get_by_role("button", name="Run again")
    again.click()
    expect(page.get_by_text("Nothing is being computed")).to_be_visible()  # this server knows no Dagster
    run_again(page, serving, failed, "second")
    start_job(serving.db, failed, "second")
    serving.db.run(lambda conn: status.transition(conn, failed, status.Event.BEGUN))
    look(desk)
    expect(page.get_by_role("heading", name="Being computed")).to_be_visible()
    jobs.fail(serving.db, failed, "second", TruncatedVideo("It still ends too early."), "frames")
    status.fail(serving.db, failed, TruncatedVideo("It still ends too early."))
    look(desk)
    expect(page.get_by_text("It still ends too early.").first).to_be_visible()
    expect(again).to_be_visible()


def test_a_failed_video_says_why_once_and_what_can_be_done(desk: Desk, serving: Serving) -> None:
    video_id, _ = add_video(serving.storage, seed=11)
    claim(serving.db, WHO, video_id, "damaged.mp4")
    start_job(serving.db, video_id, "first")
    jobs.fail(serving.db, video_id, "first", TruncatedVideo("It is cut off."), "frames")
    status.fail(serving.db, video_id, TruncatedVideo("It is cut off."))
    page = desk.page
    page.goto("about:blank")
    page.goto(f"{desk.url}/#/videos/{video_id}")
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    expect(page.get_by_text("It is cut off.")).to_have_count(1)
    with page.expect_file_chooser():
        page.get_by_role("button", name="Upload another file").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    assert not serving.db.fetch("SELECT 1 FROM uploads WHERE filename = 'damaged.mp4'")


SILENCE: tuple[LiteralString, ...] = (
    "UPDATE uploads SET created_at = created_at - interval '1 hour'",
    "UPDATE videos SET updated_at = updated_at - interval '1 hour'",
    "UPDATE processing_jobs SET updated_at = updated_at - interval '1 hour', finished_at = finished_at - interval '1 hour'",
    "UPDATE results SET created_at = created_at - interval '1 hour'",
    "DELETE FROM leases",
)


def test_that_nobody_computes_is_said_wherever_something_waits(desk: Desk, serving: Serving, made: tuple[str, Film]) -> None:
    """`made`: so that it is known how long stages take."""
    video_id, _ = add_video(serving.storage, seed=10)
    claim(serving.db, WHO, video_id, "waits.mp4")
    for query in SILENCE:
        serving.db.execute(query)
    page = desk.page
    said = page.get_by_role("status").filter(has_text=re.compile("Nothing is being computed.*starts reframer dev"))
    for address, place in (("", ".video"), ("uploads", ".jobs li"), (f"videos/{video_id}", ".v-progress")):
        page.goto("about:blank")
        page.goto(f"{desk.url}/#/{address}")
        expect(said).to_be_visible()
        expect(page.locator(place, has_text="Waiting, number 1 in line")).not_to_contain_text("left")
    page.get_by_role("button", name="Run", exact=True).click()  # it never ran
    expect(page.get_by_role("alert")).to_contain_text(re.compile("Nothing is being computed.*starts reframer dev"))
    with lease.hold(serving.db, made[0], "elsewhere"):  # somebody computes another one
        look(desk)
        expect(said).to_have_count(0)


def test_a_run_that_fails_between_two_looks_can_be_asked_for_again(desk: Desk, serving: Serving) -> None:
    """The video is failed all the time: until a run begins, nothing else is said of it."""
    video_id, _ = add_video(serving.storage, seed=9)
    claim(serving.db, WHO, video_id, "soon.mp4")
    failure = TruncatedVideo("It ends too early.")
    start_job(serving.db, video_id, "first")
    jobs.fail(serving.db, video_id, "first", failure, "frames")
    status.fail(serving.db, video_id, failure)
    page = desk.page
    page.goto("about:blank")
    page.goto(f"{desk.url}/#/videos/{video_id}")
    again = page.get_by_role("button", name="Run again")
    expect(again).to_be_visible()
    run_again(page, serving, video_id, "second")
    expect(page.get_by_text("It begins when it is its turn")).to_be_visible()
    start_job(serving.db, video_id, "second")
    jobs.fail(serving.db, video_id, "second", failure, "frames")
    status.fail(serving.db, video_id, failure)
    expect(again).to_be_visible()


def test_a_copy_that_is_being_made_says_how_far_it_is(desk: Desk, serving: Serving, folder: Any) -> None:
    video_id, _ = brought(serving.storage, "mpeg4", folder)  # what no browser plays
    claim(serving.db, WHO, video_id, "mpeg4.avi")
    token = proxies.claim(serving.db, video_id)
    assert token is not None and proxies.alive(serving.db, video_id, token, 0.4)
    page = desk.page
    page.goto("about:blank")
    page.goto(f"{desk.url}/#/videos/{video_id}")
    expect(page.locator(".v-veil")).to_contain_text("Making one that it can: 40%")
    proxies.alive(serving.db, video_id, token, 0.8)
    expect(page.locator(".v-veil")).to_contain_text("80%")
    proxies.fail(serving.db, video_id, token, TruncatedVideo("It ends too early."))
    expect(page.locator(".v-veil").get_by_role("alert")).to_contain_text("It ends too early.")
    assert not hard_to_read(page)
    assert desk.told("boxes") == []  # there is no picture that they could belong to
    page.keyboard.press("]")
    page.locator(".v-veil").get_by_role("button", name="Try again").click()
    desk.until("window.reframer?.drawn >= 0", 60)
    assert desk.told("source") == "proxy" and desk.page.evaluate("reframer.room.film.video.playbackRate") == 1.5
    expect(page.locator(".v-veil")).to_have_count(0)


class Opinion(Film):
    """The same clip, which Gemini was asked about."""

    def _scenes(self) -> Iterator[dict[str, Any]]:
        for row in super()._scenes():
            analysis = json.loads(row["analysis"])
            analysis["replaceable_elements"][0] |= {
                "type": "product", "label": "cup", "difficulty": "easy", "measured_difficulty": "easy", "difficulty_score": 12.9,
                "model_difficulty": "hard", "model_reason": "A hand goes around it.", "match_confidence": 0.84, "source": "gemini",
            }  # fmt: skip
            yield {**row, "describer": "gemini", "analysis": json.dumps(analysis)}


def test_what_gemini_said_stands_beside_what_was_measured(desk: Desk, serving: Serving, made: tuple[str, Film], folder: Any) -> None:
    video_id, film = made
    settings = film.settings.model_copy(update={"describer": "gemini", "gemini_api_key": "k"})
    size = {"frame_count": film.frame_count, "width": film.width, "height": film.height}
    asked = Opinion(film.sha256, settings, **size, path=film.path, frames_file=folder / "asked.frames")
    commit_all(serving.storage, video_id, asked)
    serving.db.execute(
        """INSERT INTO gemini_questions (digest, video_id, model, prompt_version, requests, input_tokens, output_tokens, cost_usd)
           VALUES ('d', %s, 'gemini-x', 1, 2, 51234, 987, 0.0712)""",
        (video_id,),
    )
    desk.open(video_id, "?scene=1&element=1")
    expect(desk.page.locator(".v-row.chosen .v-row-main .v-chip")).to_have_text("easy 12")  # 32.9 is easy; rounded it would not be
    reasons = desk.page.locator(".v-reasons")
    expect(reasons).to_contain_text("Two opinions")
    expect(reasons.locator("dd", has_text="A hand goes around it.")).to_contain_text("hard")
    expect(reasons).to_contain_text("matched with 84% confidence")
    desk.page.get_by_role("tab", name="Scenes").click()
    expect(desk.page.get_by_text("described by Gemini").first).to_be_visible()
    desk.page.get_by_role("tab", name="Stages").click()
    expect(desk.page.locator(".v-made")).to_contain_text("US$0.0712: 2 requests, 52,221 tokens")


@pytest.mark.parametrize("width", [1440, 1300])
def test_the_bar_below_the_film_is_one_row(desk: Desk, made: tuple[str, Film], width: int) -> None:
    desk.page.set_viewport_size({"width": width, "height": 900})
    desk.open(made[0])
    tops = "[...document.querySelectorAll('.v-transport > .v-group')].map((one) => one.getBoundingClientRect().top)"
    assert len(set(desk.page.evaluate(tops))) == 1
    desk.page.set_viewport_size({"width": 1300, "height": 950})

"""The page's shell as people use it: signing in, uploading, the library, search, over a real server."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from reframer_pipeline.failures import NotAVideo
from reframer_pipeline.media.containers import recognise
from reframer_pipeline_tests.api.library import claim, made_video
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.browser import hard_to_read
from reframer_pipeline_tests.command import called
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.page.conftest import PATIENCE_MS, on_its_way, opened
from reframer_pipeline_tests.servers import Server
from reframer_pipeline_tests.support import REPOSITORY

MARKUP = "<img src=x onerror=\"document.title='run'\">.mp4"
WHO = "one@example.org"


@pytest.fixture(scope="module")
def serving(browser: Browser, tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server that takes files of up to 1 MB, with two computed videos; a new one for each browser."""
    for serving in started(tmp_path_factory.mktemp("serving"), embedded_server, REFRAMER_MAX_UPLOAD_MB="1"):
        for seed, name in enumerate(["kitchen.mp4", MARKUP]):
            claim(serving.db, WHO, made_video(serving.storage, seed)[0], name)
        yield serving


MEMO = b"no video, but a memo"


def go(page: Page, serving: Serving, address: str) -> None:
    page.goto("about:blank")
    page.goto(f"{serving.url}/#/{address}")
    page.locator("main h1").wait_for()  # only then anything hears


def drop(page: Page, name: str, head: bytes, size: int) -> None:
    """Drop a file on the page, as a hand does: one that begins like this, and has so many bytes."""
    script = """([name, head, size]) => {
        const data = new DataTransfer(), bytes = new Uint8Array(size);
        bytes.set(head);
        data.items.add(new File([bytes], name, {lastModified: 1}));
        for (const type of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(script, [name, list(head), size])


def test_one_signs_in_by_key_and_comes_to_where_one_was(browser: Browser, serving: Serving, trouble: list[str]) -> None:
    context = opened(browser, serving.url, trouble, None)
    page = context.new_page()
    go(page, serving, "search?in=scenes")
    page.get_by_label("Key").fill("vr_" + "x" * 43)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("key_missing")
    page.get_by_label("Key").fill(serving.key(WHO, ("read",)))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Scene 1").first).to_be_visible()
    assert page.url.endswith("#/search?in=scenes")
    assert page.evaluate("document.cookie + Object.keys(localStorage) + Object.keys(sessionStorage)") == ""  # the key is kept nowhere
    expect(page.get_by_role("button", name="Upload")).to_have_count(0)  # the key may only look
    page.get_by_label("Who is signed in").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()


def test_one_comes_in_as_the_screen_says_also_if_nothing_was_printed(browser: Browser, serving: Serving, trouble: list[str]) -> None:
    """The server writes into a file here, where no address with a token belongs."""
    assert "/login?token=" not in serving.log.read_text()
    context = opened(browser, serving.url, trouble, None)
    page = context.new_page()
    go(page, serving, "")
    said = page.locator("main").inner_text()
    assert "reframer keys add in a terminal there prints it" in said and "If there is none, make a key." in said
    url = serving.storage.settings.database_url
    assert url is not None
    page.get_by_label("Key").fill(called(serving.home, "keys", "add", REFRAMER_DATABASE_URL=url.get_secret_value()).stdout.strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    context.close()


def test_the_library_is_filtered_and_a_name_is_text(page: Page, serving: Serving) -> None:
    go(page, serving, "")
    cards = page.get_by_label("Videos", exact=True).get_by_role("listitem")
    expect(cards).to_have_count(2)
    expect(page.get_by_text(MARKUP)).to_be_visible()
    expect(cards.first).to_contain_text(MARKUP)  # what was brought last
    page.get_by_label("Order").select_option("Oldest first")
    expect(cards.first).to_contain_text("kitchen.mp4")
    page.get_by_label("Name has").fill("KITCHEN")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("kitchen.mp4")
    page.get_by_label("State").select_option("failed")
    expect(page.get_by_text("No video fits")).to_be_visible()
    assert page.title() == "Library · Reframer" and page.locator("main img[src=x]").count() == 0


def test_what_is_selected_is_exported(page: Page, serving: Serving, tmp_path: Path) -> None:
    go(page, serving, "")
    page.get_by_label("Select kitchen.mp4").check()
    page.keyboard.press("Control+a")
    expect(page.get_by_text("2 videos selected")).to_be_visible()
    page.get_by_role("button", name="Export…").click()
    page.get_by_role("dialog").get_by_label("CSV").check()
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download").click()
    begun.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert sum(name.endswith("tracks.csv") for name in archive.namelist()) == 2


def test_search_finds_moments_and_leads_to_them(page: Page, serving: Serving) -> None:
    go(page, serving, "search")
    page.get_by_label("Label").fill("person")
    page.get_by_label("Seconds at least").fill("0.5")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("2 hits in 2 videos")).to_be_visible()
    assert page.url.endswith("#/search?in=tracks&label=person&min_seconds=0.5")
    link = page.locator("section", has_text="kitchen.mp4").locator("a.hit")
    assert re.fullmatch(r"#/videos/[0-9a-f-]{36}\?t=0&track=obj_001", link.get_attribute("href") or "")
    page.get_by_label("Seconds at least").fill("")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Replaceable").click()
    expect(page.locator(".tag", has_text="easy").first).to_be_visible()
    page.get_by_label("Words").fill("zebra")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing found")).to_be_visible()


def test_a_label_is_found_in_any_case_and_one_that_is_not_there_leads_to_those_that_are(page: Page, serving: Serving) -> None:
    go(page, serving, "search?in=tracks&label=PERSON")
    expect(page.get_by_text("2 hits in 2 videos")).to_be_visible()
    assert sorted(page.locator("datalist option").evaluate_all("all => all.map((one) => one.value)")) == ['a "cup"\\x', "person"]
    page.get_by_label("Label").fill("perosns")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="There is no label “perosns”")).to_be_visible()
    offered = page.locator(".empty a")
    expect(offered).to_have_text(["person 2 videos"])
    offered.click()
    expect(page.get_by_text("2 hits in 2 videos")).to_be_visible()
    page.get_by_label("Label").fill("zeppelin")
    page.keyboard.press("Enter")
    expect(offered).to_have_text(['a "cup"\\x 2 videos', "person 2 videos"])  # nothing is near it: all that there are


def test_what_happens_in_a_scene_has_room(page: Page, serving: Serving) -> None:
    go(page, serving, "search?in=scenes")
    assert page.locator(".hit > div:last-child").first.bounding_box()["width"] > 320  # type: ignore[index]


def test_the_band_about_demonstration_models_makes_no_scroll_bar(page: Page, serving: Serving) -> None:
    serving.db.execute("UPDATE results SET components = jsonb_set(components, '{weights}', '\"demo:x\"') WHERE stage = 'detections'")
    go(page, serving, "")
    expect(page.get_by_text("Demonstration models made")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight === innerHeight")


def test_a_file_that_is_dropped_is_uploaded_and_followed(page: Page, serving: Serving) -> None:
    go(page, serving, "search")
    drop(page, "good.mp4", video_bytes(900), 400_000)
    expect(on_its_way(page, "good.mp4")).to_contain_text("Waiting, number 1 in line")
    job = serving.db.fetch_one("SELECT filename, status, size_bytes FROM uploads WHERE requested AND filename = 'good.mp4'")
    assert job == {"filename": "good.mp4", "status": "completed", "size_bytes": 400_000}
    page.get_by_role("link", name="Uploads").click()
    expect(page.get_by_role("list", name="Uploads").get_by_role("listitem").first).to_contain_text("good.mp4")


def test_the_bar_of_uploads_makes_itself_small_and_covers_nothing(page: Page, serving: Serving) -> None:
    page.set_viewport_size({"width": 1300, "height": 400})
    go(page, serving, "search?in=scenes")
    bar = page.get_by_label("Files on their way")
    drop(page, "bar.mp4", video_bytes(904), 300_000)
    expect(bar.get_by_text("1 file uploaded")).to_be_visible()
    expect(bar.get_by_role("list")).to_have_count(0)
    assert page.evaluate("document.querySelector('.transfers').offsetHeight") < 48
    bar.get_by_role("button", name="Show").click()
    expect(bar.get_by_role("listitem").filter(has_text="bar.mp4")).to_contain_text("Waiting, number")
    bottom = "scrollTo(0, 1e6), document.querySelector('.found:last-of-type').getBoundingClientRect().bottom"
    assert page.evaluate(bottom) <= page.evaluate("document.querySelector('.transfers').getBoundingClientRect().top")
    page.set_viewport_size({"width": 1300, "height": 950})


def test_who_brings_a_film_again_is_told_its_name(page: Page, serving: Serving) -> None:
    go(page, serving, "")
    drop(page, "demo.mp4", video_bytes(905), 300_000)
    cards = page.get_by_label("Videos", exact=True).get_by_role("listitem")
    expect(cards.filter(has_text="demo.mp4")).to_have_count(1)
    drop(page, "copy.mp4", video_bytes(905), 300_000)
    said = on_its_way(page, "copy.mp4")
    expect(said).to_contain_text("You have this film already, as demo.mp4. It was not added again.")
    expect(said.get_by_role("link", name="demo.mp4")).to_be_visible()
    page.get_by_role("link", name="Uploads").click()
    expect(page.get_by_role("list", name="Uploads").get_by_role("listitem").first).to_contain_text("You had this film already")
    page.get_by_role("link", name="Library", exact=True).click()
    expect(cards.filter(has_text="demo.mp4")).to_have_count(1)
    expect(cards.filter(has_text="copy.mp4")).to_have_count(0)


def test_a_refused_file_says_why_at_once_and_is_not_sent(page: Page, serving: Serving) -> None:
    go(page, serving, "")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method) if "/uploads" in request.url and request.method != "OPTIONS" else None)
    drop(page, "memo.mp4", MEMO, len(MEMO))
    drop(page, "large.mp4", video_bytes(901), 1_100_000)
    expect(on_its_way(page, "memo.mp4")).to_contain_text(re.compile("no mp4, mov or avi.*Convert it.*not_a_video"))
    expect(on_its_way(page, "large.mp4")).to_contain_text(re.compile("takes up to 1 MB.*file_too_large"))
    assert not sent
    page.get_by_label("Files on their way").get_by_role("button", name="Clear").click()
    page.get_by_role("link", name="Uploads").click()  # they are told there as long as the page is open
    page.get_by_role("button", name="Failed").click()
    told = page.get_by_role("list", name="Uploads").get_by_role("listitem")
    expect(told).to_have_count(2)
    expect(told.filter(has_text="memo.mp4")).to_contain_text(re.compile("Refused.*no mp4, mov or avi.*Convert it.*not_a_video"))


def test_what_the_server_refuses_is_told_in_its_words(page: Page, serving: Serving) -> None:
    unknown = "**/v1/uploads"  # the limit: the question for it is lost
    page.route(unknown, lambda route: route.abort() if route.request.method == "OPTIONS" else route.continue_())
    go(page, serving, "")
    drop(page, "large.mp4", video_bytes(901), 1_100_000)
    expect(on_its_way(page, "large.mp4")).to_contain_text(re.compile("1 MB are allowed.*file_too_large"))
    page.unroute(unknown)


def test_an_upload_goes_on_where_it_was_after_the_page_was_loaded_anew(page: Page, serving: Serving) -> None:
    if page.context.browser and page.context.browser.browser_type.name == "firefox":
        pytest.skip("only Chromium can be told to send slowly")
    slow = ("slow.mp4", video_bytes(902), 900_000)
    go(page, serving, "")
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    rates = {"offline": False, "latency": 0, "downloadThroughput": -1}
    line.send("Network.emulateNetworkConditions", {**rates, "uploadThroughput": 150_000})
    drop(page, *slow)
    part = "SELECT filename FROM uploads WHERE filename = 'slow.mp4'"
    expect(on_its_way(page, "slow.mp4")).to_contain_text(re.compile(r"[1-9]\d\d kB of"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    assert not serving.db.fetch(f"{part} AND status = 'completed'")
    expect(on_its_way(page, "slow.mp4")).to_contain_text("Drop the same file again")
    line.send("Network.emulateNetworkConditions", {**rates, "uploadThroughput": -1})
    with page.expect_request(lambda request: request.method == "PATCH") as begun:
        drop(page, *slow)
    assert int(begun.value.headers["upload-offset"]) > 100_000
    expect(on_its_way(page, "slow.mp4")).to_contain_text("Waiting")
    assert len(serving.db.fetch(part)) == 1


def test_what_is_deleted_is_named_first(page: Page, serving: Serving) -> None:
    go(page, serving, "?name=kitchen")
    page.get_by_label("Select kitchen.mp4").check()
    page.get_by_role("button", name="Delete…").click()
    asked = page.get_by_role("dialog", name="Delete this video?")
    expect(asked).to_contain_text("kitchen.mp4")
    asked.get_by_role("button", name="Keep").click()
    expect(page.get_by_label("Select kitchen.mp4")).to_be_visible()
    page.keyboard.press("Delete")
    asked.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No video fits")).to_be_visible()
    assert not serving.db.fetch("SELECT 1 FROM uploads WHERE filename = 'kitchen.mp4' AND status <> 'deleted'")


def test_the_browser_judges_a_beginning_as_the_server_does(page: Page, serving: Serving) -> None:
    go(page, serving, "")
    boxes = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"uuid", b"moof", b"sidx"]
    brands = [b"isom", b"avif", b"heic", b"heix", b"avis", b"mif1", b"crx ", b"qt  "]
    heads = [bytes(4) + box + brand for box in boxes for brand in brands]
    heads += [b"RIFF" + bytes(4) + kind for kind in (b"AVI ", b"AVIX", b"WAVE")] + [b"", b"\x1aE\xdf\xa3" + bytes(8), b"ftyp"]
    script = """async (heads) => {
        const { isVideo } = await import("/app/judging.js");
        return heads.map((head) => isVideo(new Uint8Array(head)));
    }"""
    assert page.evaluate(script, [list(head) for head in heads]) == [taken(head) for head in heads]


def taken(head: bytes) -> bool:
    try:
        return bool(recognise(head))
    except NotAVideo:
        return False


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_screens_can_be_read_by_everybody(page: Page, browser: Browser, serving: Serving, trouble: list[str], theme: str) -> None:
    outside = opened(browser, serving.url, trouble, None).new_page()
    wide = theme == "light"  # colours are the same at every width
    screens = {"": "h1", "search?in=elements": "a.hit", "search?label=zebra": ".empty", "uploads": ".jobs", "signin": "form"}
    for address, there in screens.items():
        seen = outside if address == "signin" else page
        seen.set_viewport_size({"width": 1280 if wide else 400, "height": 800})
        go(seen, serving, address)
        seen.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        seen.locator(f"main {there}").first.wait_for()
        if address == "":
            page.keyboard.press("?")
            page.get_by_role("dialog").wait_for()
        assert hard_to_read(seen) == [], address
        assert seen.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    outside.context.close()


def test_the_page_stands_on_another_host(
    browser: Browser, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, embedded_server: Server
) -> None:
    """Its one setting is the API's address: a key is typed in, and pictures and downloads are let in by a ticket."""
    with static_host(tmp_path) as (folder, origin):
        home = tmp_path_factory.mktemp("elsewhere")
        for serving in started(home, embedded_server, REFRAMER_API_CORS_ORIGINS=origin):
            script = [sys.executable, REPOSITORY / "deploy" / "static_page.py", folder]
            subprocess.run(script, env={"PAGE_API": serving.url}, check=True, timeout=300)
            claim(serving.db, WHO, made_video(serving.storage, 0)[0], "kitchen.mp4")
            page = browser.new_page()
            page.goto(f"{origin}/#/?status=completed")
            page.get_by_label("Key").fill(serving.key())
            page.get_by_role("button", name="Sign in").click()
            page.get_by_label("Select kitchen.mp4").check()
            page.get_by_role("button", name="Export…").click()
            with page.expect_download() as begun:
                page.get_by_role("button", name="Download").click()
            assert begun.value.suggested_filename == "kitchen.json" and f"{serving.url}/v1/videos" in begun.value.url
            drop(page, "good.mp4", video_bytes(903), 300_000)
            expect(on_its_way(page, "good.mp4")).to_contain_text("Waiting, number 1 in line")
            page.reload()
            expect(page.get_by_label("Select kitchen.mp4")).to_be_visible()  # the key lasts as long as the tab
            page.close()


@contextmanager
def static_host(folder: Path) -> Iterator[tuple[Path, str]]:
    """A server that knows nothing but a folder's files and the headers that `_headers` there has."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for line in (folder / "_headers").read_text().splitlines()[1:]:
                self.send_header(*line.strip().split(": ", 1))
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_browser_holds_the_page_to_its_policy(page: Page, trouble: list[str]) -> None:
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))")
    for _ in range(PATIENCE_MS // 20):
        if trouble:
            break
        page.wait_for_timeout(20)
    assert re.search("Content Security Policy|inline script", trouble.pop())  # what a page must not do is heard

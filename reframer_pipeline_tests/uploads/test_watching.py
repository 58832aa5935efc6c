"""The plan for a bucket, as tables: what lies there, what is remembered and known, and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads import watching
from reframer_pipeline.uploads.bucket import Entry
from reframer_pipeline.uploads.watching import Cursor, IngestRequest, IngestRun, Plan, is_temporary, pause_s, plan

SETTINGS = Settings(upload_settle_s=5, upload_requests=3)
LAST = watching.MAX_STRIKES


def entry(key: str, etag: str = "e1", mtime: float | None = 0.0) -> Entry:
    return Entry(key, 10, mtime, etag)


@dataclass
class Story:
    """A bucket over time: what each tick sees, and what is asked for in it (key, tag, attempt)."""

    name: str
    ticks: list[tuple[float, list[Entry], list[tuple[str, str, int]]]]
    known: set[tuple[str, str]] = field(default_factory=set)


STORIES = [
    Story("settled", [(100, [entry("a")], []), (106, [entry("a")], [("a", "e1", 1)])]),
    Story("not long enough", [(100, [entry("a")], []), (104, [entry("a")], []), (105, [entry("a")], [("a", "e1", 1)])]),
    Story("two ticks at least, however long the first was ago", [(1e6, [entry("a")], [])]),
    Story(
        "growing",
        [
            (100, [entry("a", "1", 100)], []),
            (110, [entry("a", "2", 109)], []),
            (120, [entry("a", "3", 119)], []),
            (130, [entry("a", "3", 119)], [("a", "3", 1)]),
        ],
    ),
    Story("whole at once, but written a moment ago", [(100, [entry("a", mtime=97)], []), (101, [entry("a", mtime=97)], [])]),
    Story(
        "a rewrite that only the time shows",
        [(100, [entry("a", mtime=99)], []), (106, [entry("a", mtime=105)], []), (111, [entry("a", mtime=105)], [("a", "e1", 1)])],
    ),
    Story("no time is told", [(100, [entry("a", mtime=None)], []), (106, [entry("a", mtime=None)], [("a", "e1", 1)])]),
    Story("the uploader's clock is ahead", [(100, [entry("a", mtime=9e9)], []), (106, [entry("a", mtime=9e9)], [("a", "e1", 1)])]),
    Story(
        "our clock goes back",
        [(100, [entry("a", mtime=90)], []), (50, [entry("a", mtime=90)], []), (56, [entry("a", mtime=90)], [("a", "e1", 1)])],
    ),
    Story("temporary names", [(100, [entry(".a"), entry("b.part")], []), (106, [entry(".a"), entry("b.part")], [])]),
    Story(
        "renamed when whole",
        [(100, [entry("a.part")], []), (106, [entry("a")], []), (112, [entry("a")], [("a", "e1", 1)])],
    ),
    Story("known", [(100, [entry("a")], []), (106, [entry("a")], [])], known={("a", "e1")}),
    Story(
        "changed under an old name",
        [(100, [entry("a")], []), (106, [entry("a", "e2", 101)], []), (112, [entry("a", "e2", 101)], [("a", "e2", 1)])],
        known={("a", "e1")},
    ),
    Story("another name for known bytes", [(100, [entry("b")], []), (106, [entry("b")], [("b", "e1", 1)])], known={("a", "e1")}),
    Story("vanished", [(100, [entry("a")], []), (106, [], []), (112, [entry("a")], []), (118, [entry("a")], [("a", "e1", 1)])]),
    Story(
        "no more than allowed, the oldest first",
        [
            (100, [entry(key, mtime=50 - n) for n, key in enumerate("abcde")], []),
            (106, [entry(key, mtime=50 - n) for n, key in enumerate("abcde")], [("e", "e1", 1), ("d", "e1", 1), ("c", "e1", 1)]),
        ],
    ),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_stories(story: Story) -> None:
    text: str | None = None
    for now, listing, wanted in story.ticks:
        made = plan(listing, Cursor.parse(text), story.known, {}, now, SETTINGS)
        assert [(one.key, one.etag, one.attempt) for one in made.requests] == wanted, now
        text = made.cursor.text
        assert set(made.cursor.seen) | set(made.cursor.asked) <= {one.key for one in listing}


def test_a_slow_listing_says_nothing_of_the_time_since_it_began() -> None:
    """Taken at 160 and begun at 103: three seconds after the look before, and not sixty."""
    cursor = Cursor(seen={"a": ("e1", 100)})
    early = plan([entry("a")], cursor, set(), {}, 160, SETTINGS, looked_at=103)
    assert early.requests == () and early.cursor == cursor
    assert plan([entry("a")], cursor, set(), {}, 160, SETTINGS, looked_at=105).requests == (IngestRequest("a", "e1"),)
    assert plan([entry("a", mtime=102)], cursor, set(), {}, 160, SETTINGS, looked_at=105).requests == ()


GOING = IngestRun()
DAY = 24 * 3600.0
ASKED = [
    # name, attempt asked for (all before counted against the file), how its run stands, now, attempt asked for next or None, given up
    ("waits or runs", 1, GOING, 1000, None, False),
    ("never came to be", 1, None, 1000, 1, False),
    ("failed, within the pause", 1, IngestRun(1000), 1029, None, False),
    ("failed, after the pause", 1, IngestRun(1000), 1030, 2, False),
    ("the pause grows", 3, IngestRun(1000), 1000 + 479, None, False),
    ("and ends", 3, IngestRun(1000), 1000 + 480, 4, False),
    ("failed in the future: the clock went back", 2, IngestRun(5000), 1000, 3, False),
    ("ended well, and left no row", 1, IngestRun(900), 1000, 2, False),
    ("last attempt, runs", LAST, GOING, 1000, None, False),
    ("last attempt, died", LAST, IngestRun(999), 1000, None, True),
    ("last attempt, changed under our hands", LAST, IngestRun(999, "upload_changed"), 1000, None, True),
    ("last attempt, may not be read", LAST, IngestRun(999, "file_not_readable"), 1000, None, True),
    ("last attempt, a defect of ours", LAST, IngestRun(999, "internal_error"), 1000, None, True),
    ("last attempt, the store was away", LAST, IngestRun(1000, "store_unavailable"), 1000 + 3599, None, False),
    ("and after the longest pause", LAST, IngestRun(1000, "store_unavailable"), 1000 + 3600, LAST + 1, False),
    ("the disk was full", LAST, IngestRun(1000, "disk_full"), DAY, LAST + 1, False),
    ("the home may not be written", LAST, IngestRun(1000, "home_not_writable"), DAY, LAST + 1, False),
    ("the database was away", LAST, IngestRun(1000, "database_unavailable"), DAY, LAST + 1, False),
    ("the database was full", LAST, IngestRun(1000, "database_full"), DAY, LAST + 1, False),
    ("the bucket was away", LAST, IngestRun(1000, "bucket_unavailable"), DAY, LAST + 1, False),
    ("the store is another's", LAST, IngestRun(1000, "store_mismatch"), DAY, LAST + 1, False),
    ("it never began", LAST, IngestRun(1000, "interrupted"), DAY, LAST + 1, False),
    ("a setting was wrong", LAST, IngestRun(1000, "settings_invalid"), DAY, LAST + 1, False),
]


@pytest.mark.parametrize(("attempt", "run", "now", "following", "given_up"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED])
def test_what_was_asked_for(attempt: int, run: IngestRun | None, now: float, following: int | None, given_up: bool) -> None:
    request = IngestRequest("a", "e1", attempt, attempt - 1)
    cursor = Cursor(asked={"a": ("e1", attempt, attempt - 1)})
    runs = {request.run_key: run} if run is not None else {}
    made = plan([entry("a")], cursor, set(), runs, now, SETTINGS)
    assert [one.attempt for one in made.requests] == ([following] if following is not None else [])
    strikes = attempt - 1 + (following is not None and run is not None and run.failure in watching.STRIKES)
    assert made.cursor.asked == {"a": ("e1", following or attempt, strikes)} and made.cursor.seen == {}
    assert made.abandoned == (((request, run.failure if run else None),) if given_up else ())

    for listing, known in ([entry("a")], {("a", "e1")}), ([], set[tuple[str, str]]()):  # taken in or refused; vanished
        over = plan(listing, cursor, known, runs, now, SETTINGS)
        assert over.requests == over.abandoned == () and over.cursor == Cursor()
    changed = plan([entry("a", "e2")], cursor, set(), runs, now, SETTINGS)
    assert changed.requests == () and changed.cursor == Cursor(seen={"a": ("e2", now)})


def test_an_outage_of_a_week_uses_up_no_attempt() -> None:
    """Only what the file may have done counts, whatever came between; and the run keys go on, for Dagster makes one run of each."""
    cursor, now, keys = Cursor(asked={"a": ("e1", 1, 0)}), 0.0, list[str]()
    trouble = ["internal_error", *["store_unavailable"] * 170, None, *["disk_full"] * 3, *["internal_error"] * 4]
    for failure in trouble:
        (request,) = cursor.requests
        keys.append(request.run_key)
        now += 3600
        made = plan([entry("a")], Cursor.parse(cursor.text), set(), {request.run_key: IngestRun(now - 3600, failure)}, now, SETTINGS)
        cursor = made.cursor
    assert made.abandoned == ((IngestRequest("a", "e1", len(trouble), LAST - 1), "internal_error"),)
    assert len(set(keys)) == len(trouble) and now > 7 * DAY


def test_pauses_grow_up_to_a_limit() -> None:
    assert [pause_s(attempt) for attempt in range(1, 7)] == [30, 120, 480, 1920, 3600, 3600]


def test_what_is_under_way_leaves_less_room() -> None:
    listing = [entry(key) for key in "abcdef"]
    cursor = Cursor(seen={key: ("e1", 0) for key in "cdef"}, asked={"a": ("e1", 1, 0), "b": ("e1", 1, 0)})
    a, b = cursor.requests
    one_runs = plan(listing, cursor, set(), {a.run_key: GOING, b.run_key: IngestRun(999)}, 1000, SETTINGS)
    assert [one.key for one in one_runs.requests] == ["c", "d"]
    one_is_due = plan(listing, cursor, set(), {a.run_key: GOING, b.run_key: IngestRun(0)}, 1000, SETTINGS)
    assert [(one.key, one.attempt) for one in one_is_due.requests] == [("b", 2), ("c", 1)]


def test_files_that_cannot_be_had_leave_places_for_others() -> None:
    """Half of them, however many wait to be tried again."""
    stuck = [f"stuck {n}" for n in range(20)]
    cursor = Cursor(seen={key: ("e1", 0) for key in "abcd"}, asked={key: ("e1", 1, 0) for key in stuck})
    runs = {one.run_key: IngestRun(0, "bucket_unavailable") for one in cursor.requests}
    ten = SETTINGS.model_copy(update={"upload_requests": 10})
    made = plan([entry(key) for key in [*stuck, *"abcd"]], cursor, set(), runs, 1000, ten)
    assert [one.key for one in made.requests] == [*stuck[:6], *"abcd"]
    without = plan([entry(key) for key in stuck], cursor, set(), runs, 1000, ten)
    assert [one.key for one in without.requests] == stuck[:10]


def test_files_that_always_change_do_not_hold_the_places_of_others() -> None:
    def ticks() -> Iterator[Plan]:
        cursor = Cursor()
        for tick in range(3):
            changing = [entry(f"{n}", f"e{tick}") for n in range(watching.WATCHED)]  # the oldest, by what they say
            made = plan([*changing, *([entry("new", mtime=5)] if tick else [])], cursor, set(), {}, 100 + 10 * tick, SETTINGS)
            cursor = made.cursor
            yield made

    assert [[one.key for one in made.requests] for made in ticks()] == [[], [], ["new"]]


def test_when_everything_fails_nothing_more_is_begun() -> None:
    """An outage must not use up the attempts of a whole bucket."""
    many = SETTINGS.upload_requests * watching.ASKED_PER_REQUEST
    asked = {f"{n}": ("e1", 2, 0) for n in range(many)}
    cursor = Cursor(seen={"new": ("e1", 0)}, asked=asked)
    runs = {one.run_key: IngestRun(999) for one in cursor.requests}
    made = plan([entry(key) for key in [*asked, "new"]], cursor, set(), runs, 1000, SETTINGS)
    assert made.requests == () and made.cursor == cursor


def test_the_cursor_stays_small() -> None:
    listing = [entry(f"folder/{n:06}.mp4") for n in range(100_000)]
    cursor, known = Cursor(), set[tuple[str, str]]()
    for tick in range(3):
        made = plan(listing, cursor, known, {}, 10.0 * tick, SETTINGS)
        cursor = Cursor.parse(made.cursor.text)
        assert cursor == made.cursor
        assert len(cursor.seen) <= watching.WATCHED and len(made.cursor.text) < 60_000
        known |= {(one.key, one.etag) for one in made.requests}
    assert len(known) == 2 * SETTINGS.upload_requests
    assert plan(listing, cursor, {(one.key, one.etag) for one in listing}, {}, 50, SETTINGS).cursor == Cursor()


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7", '{"seen": 3}', '{"seen": {"a": ["e"]}}', '{"asked": {"a": ["e", "x"]}}'])
def test_a_strange_cursor_is_an_empty_one(text: str | None) -> None:
    assert Cursor.parse(text) == Cursor()


def test_names_that_are_no_text_survive_the_cursor() -> None:
    cursor = Cursor(seen={"\udcff\udcfe, 'ä'.mp4": ("e", 1.5)}, asked={"x\n.mp4": ("e", 2, 1)})
    assert cursor.text.isascii() and Cursor.parse(cursor.text) == cursor


def test_run_keys_tell_apart_key_tag_and_attempt() -> None:
    requests = [
        IngestRequest("a", "b"),
        IngestRequest("a", "c"),
        IngestRequest("c", "b"),
        IngestRequest("a", "b", 2),
        IngestRequest("ab", ""),
        IngestRequest("\udcff", "b"),
    ]
    assert len({one.run_key for one in requests}) == len(requests)


@pytest.mark.parametrize(
    ("key", "temporary"),
    [
        ("clip.mp4", False), ("ä ö/clip (1).MOV", False), ("no_suffix", False), ("a.part.mp4", False), ("download.mp4", False),
        ("a~b.mp4", False), (".hidden.mp4", True), (".sync/clip.mp4", True), ("a/.clip.mp4.Xy12z", True), ("~$clip.mp4", True),
        ("clip.mp4~", True), ("clip.mp4.part", True), ("clip.MP4.PARTIAL", True), ("clip.tmp", True), ("Unconfirmed 1.crdownload", True),
        ("clip.mp4.filepart", True), ("clip.mp4.opdownload", True), ("clip.mp4.aria2", True), ("clip.mp4.!qB", True),
        ("Clip.download/clip.mp4", False), ("folder/", True), ("folder_$folder$", True), ("x/Thumbs.db", True), ("lost+found/#1", True),
        ("", True),
    ],
)  # fmt: skip
def test_temporary_names(key: str, temporary: bool) -> None:
    assert is_temporary(key) is temporary

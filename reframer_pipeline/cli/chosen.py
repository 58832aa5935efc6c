"""Which videos the words of a command stand for: ids, files, folders, a search.

What belongs here: from words to ids. What does not: the files of a folder (`inputs`), what is done with the videos (`export`).
"""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
from pydantic import ValidationError

from reframer_pipeline.cli import inputs
from reframer_pipeline.cli.options import faults
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.exports.videos import have_results, published_videos
from reframer_pipeline.failures import NothingThere, NotPublished, NoVideosThere, ReframerError, RequestInvalid, UnknownVideo
from reframer_pipeline.reading.search import videos_with
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.uploads.content import sha256_of
from reframer_pipeline.uploads.records import in_folder
from reframer_pipeline.versions import video_id_of
from reframer_pipeline.work.videos import find_video


class Chosen(NamedTuple):
    """The videos that somebody means.

    Attributes:
        video_ids: Their ids, in the order of the words.
        left_out: How many files have no results; which these are was said.
    """

    video_ids: list[str]
    left_out: int = 0


class Search(NamedTuple):
    """A search, as `reading.search` takes it."""

    kind: str
    wanted: dict[str, Any]


class SearchType(click.ParamType):
    """What the API's search is asked, in one text: `in=tracks label=bottle words="a red car"`."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Search:
        """The search; what it does not know, or cannot be asked of this table, is wrong usage."""
        from reframer_pipeline.api.searching import VideosAsked, wanted_of

        try:
            words = shlex.split(value)
            given = dict(word.split("=", 1) for word in words)
            if len(given) < len(words):
                raise ValueError
        except ValueError:
            self.fail("Write it as 'in=tracks label=bottle', each name once.", param, ctx)
        try:
            asked: Any = VideosAsked.model_validate(given)
            return Search(asked.kind, wanted_of(asked))
        except ValidationError as error:
            self.fail("; ".join(f"{name}: {what}" for name, what in faults(error).items()), param, ctx)
        except RequestInvalid as failure:
            self.fail(str(failure), param, ctx)


def choose(storage: Storage, words: Sequence[str], search: Search | None) -> Chosen:
    """The videos that words stand for, or in which a search has hits, or else all that have results: at least one.

    Raises:
        NotPublished, NothingThere: There is none.
        UnknownVideo: As for `named`.
    """
    if words:
        chosen = named(storage, words)
        if not chosen.video_ids:
            raise NotPublished("None of these files has results.", "`reframer run` computes them.")
    elif search is not None:
        chosen = Chosen(videos_with(storage.db, *search))
        if not chosen.video_ids:
            raise NothingThere("The search has no hits.", "Loosen the search.")
    else:
        chosen = Chosen(have_results(storage))
        if not chosen.video_ids:
            raise NotPublished("No video has results yet.", "`reframer run` computes some.")
    return chosen


def named(storage: Storage, words: Sequence[str]) -> Chosen:
    """The videos that words stand for.

    A word is a file or folder if there is one, if it has a slash, or if it is a pattern; with `://` it is one of the watched bucket; else
    it is the beginning of an id. A file on a disk is known by its content, one of the bucket by its key. Says which have no results.

    Raises:
        UnknownVideo: No video's id begins like this, or several do.
    """
    found, left_out = dict[str, None](), 0
    computed = set(have_results(storage)) if any(map(_is_path, words)) else set()
    for word in words:
        if not _is_path(word):
            found[find_video(storage.db, word)] = None
            continue
        for name, video in _in_bucket(storage, word) if "://" in word else _on_disk(storage, word):
            if isinstance(video, str) and video in computed:
                found[video] = None
            else:
                failure = _why_not(storage, video) if isinstance(video, str) else video
                aside(f"{name}: [{failure.code}] {failure}", style="red")
                left_out += 1
    return Chosen(list(found), left_out)


def _is_path(word: str) -> bool:
    return os.sep in word or os.path.lexists(word) or glob.has_magic(word)


def _on_disk(storage: Storage, word: str) -> Iterator[tuple[str, str | ReframerError]]:
    """The names of files, each with the id that a video of its content has, or with what is wrong."""
    for one in inputs.find((Path(word),), storage.settings.home_dir):
        try:
            yield one.name, one.failure or video_id_of(sha256_of(one.path))
        except ReframerError as failure:
            yield one.name, failure


def _in_bucket(storage: Storage, url: str) -> Iterator[tuple[str, str | ReframerError]]:
    """The same of what was taken in from the bucket, by keys."""
    bucket, url = storage.settings.bucket_url.rstrip("/"), url.rstrip("/")
    if not f"{url}/".startswith(f"{bucket}/"):
        raise click.UsageError(f"{url} is not in the watched bucket, which REFRAMER_UPLOADS_URL names.")
    rows = in_folder(storage.db, url[len(bucket) + 1 :])
    for row in rows:
        refused = NotPublished(f"It was refused with [{row['failure_code']}]: {row['failure_message']}")
        yield row["bucket_key"], row["video_id"] or refused
    if not rows:
        yield url, NoVideosThere("No file there was taken in.", "`reframer uploads` shows what was.")


def _why_not(storage: Storage, video_id: str) -> ReframerError:
    """Why a video has no results."""
    try:
        published_videos(storage, [video_id])
    except UnknownVideo:
        pass
    except ReframerError as failure:
        return failure
    return NotPublished("It was never computed.")

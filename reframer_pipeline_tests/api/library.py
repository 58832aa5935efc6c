"""People and the videos they brought, for tests of what each of them sees."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.database.postgres import Database
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.media.frame_store import FrameStoreWriter
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import people
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import Maker, add_video, commit_all


def claim(db: Database, email: str, video_id: str, filename: str) -> str:
    """Somebody brings a video's bytes under a name of their own; the id of the upload, which is a job."""
    row = db.fetch_one(
        "INSERT INTO uploads (user_id, video_id, filename, status, requested) VALUES (%s, %s, %s, 'completed', true) RETURNING id::text",
        (people.add(db, email), video_id, filename),
    )
    assert row is not None
    return str(row["id"])


def forged(path: str, said: bytes, **asked: str) -> str:
    """A cursor that somebody made up, with the mark that belongs to it and to what is asked."""
    mark = hashlib.blake2s(json.dumps([path, sorted(asked.items())]).encode() + said, digest_size=9).digest()
    return base64.urlsafe_b64encode(mark + said).decode().rstrip("=")


class WithPictures(Maker):
    """Made results whose frame store can be opened: grey pictures."""

    def output(self, stage: str, scratch: Path, batch_rows: int = 7) -> StageOutput:
        made = super().output(stage, scratch, batch_rows)
        if made.attachment is not None:
            with FrameStoreWriter(made.attachment, max_bytes=10**6) as store:
                for number in range(0, self.frame_count, self.settings.vid_stride):
                    store.add(number, np.full((self.height, self.width, 3), 128, np.uint8))
        return made


def made_video(storage: Storage, seed: int, **changed: object) -> tuple[str, Maker]:
    """A video with results made by hand; `changed` are settings."""
    video_id, sha = add_video(storage, seed)
    maker = Maker(sha, storage.settings.model_copy(update=changed))
    commit_all(storage, video_id, maker)
    storage.db.execute("UPDATE videos SET status = 'completed' WHERE id = %s", (video_id,))
    return video_id, maker


@pytest.fixture(scope="module")
def serving_clip(shared: Storage, done: VideoOutcome) -> Iterator[Serving]:
    """A server over the computed clip, which one@example.org brought."""
    settings = Settings(home=shared.settings.home, models="demo", database_url=embedded.database_url(shared.settings))
    with open_storage(settings) as storage, Serving(storage) as started:
        claim(storage.db, "one@example.org", done.video_id, "clip.mp4")
        yield started

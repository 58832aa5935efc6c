"""Deleting a video over HTTP: one's own claim, and all of it with the last one."""

from __future__ import annotations

from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import video_bytes


def test_a_claim_and_then_the_video(serving: Serving) -> None:
    with serving.client(serving.key("a@example.org")) as first, serving.client(serving.key("b@example.org")) as second:
        jobs = [client.post("/jobs", files={"file": ("clip.mp4", video_bytes())}).json() for client in (first, second)]
        where = f"/v1/videos/{jobs[0]['video_id']}"
        with serving.client(serving.key("c@example.org")) as stranger, serving.client(serving.key("a@example.org", ("read",))) as reader:
            assert stranger.delete(where).status_code == 404 and reader.delete(where).status_code == 403
            assert stranger.delete("/v1/videos/x").json()["detail"] == stranger.delete(where).json()["detail"]
        assert first.delete(where).status_code == 204
        assert first.delete(where).status_code == first.get(f"/jobs/{jobs[0]['job_id']}").status_code == 404
        assert second.get(f"/jobs/{jobs[1]['job_id']}").json()["status"] == "pending"
        assert second.delete(where).status_code == 204
    assert serving.db.fetch("SELECT id FROM videos") == [] and list(serving.storage.store.list("videos")) == []

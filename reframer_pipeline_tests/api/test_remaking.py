"""How a video was made, and asking for it once more."""

from __future__ import annotations

from reframer_pipeline.failures import NobodyToRun, NotAVideo
from reframer_pipeline.running.run_videos import VideoOutcome
from reframer_pipeline.stages import NAMES
from reframer_pipeline_tests.api.library import claim, made_video
from reframer_pipeline_tests.api.serving import Serving
from reframer_pipeline_tests.factories import WEIGHTS, add_video

ONE = "one@example.org"


def test_a_computed_clip_says_how_it_was_made(serving_clip: Serving, done: VideoOutcome) -> None:
    with serving_clip.client(serving_clip.key(ONE)) as client:
        said = client.get(f"/videos/{done.video_id}/made").json()
        stages = {one["stage"]: one for one in said["stages"]}
        assert list(stages) == list(NAMES)
        assert said["demo_models"] is True and said["may_run_again"] is False
        assert all(one["status"] == "fresh" and one["seconds"] > 0 and one["failure"] is None for one in stages.values())
        assert stages["detections"]["model"]["name"] == "demonstration detector" and stages["detections"]["model"]["demo"]
        assert stages["frames"]["model"] is None and stages["frames"]["settings"]["vid_stride"] > 0 and stages["scenes"]["cost"] is None
        counts = client.get(f"/videos/{done.video_id}").json()["counts"]
        assert {name: one["rows"] for name, one in stages.items()} == counts
        assert client.post(f"/videos/{done.video_id}/run").json()["code"] == "nothing_to_run"


def test_official_weights_gemini_and_its_cost(serving: Serving) -> None:
    yolo = "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95"
    video_id, _ = made_video(serving.storage, 1, describer="gemini", gemini_api_key="k")
    claim(serving.db, ONE, video_id, "clip.mp4")
    serving.db.execute(
        "UPDATE results SET components = jsonb_set(components, '{weights}', %s) WHERE stage = 'detections'", (f'"sha256:{yolo}"',)
    )
    for digest, usd in (("a", 0.25), ("b", 0.5)):
        serving.db.execute(
            """INSERT INTO gemini_questions (digest, video_id, model, prompt_version, requests, input_tokens, output_tokens, cost_usd)
               VALUES (%s, %s, 'm', 1, 1, 10, 20, %s)""",
            (digest, video_id, usd),
        )
    with serving.client(serving.key(ONE)) as client:
        stages = {one["stage"]: one for one in client.get(f"/videos/{video_id}/made").json()["stages"]}
    assert stages["detections"]["model"] == {"name": "yolov8n.pt", "digest": yolo, "demo": False}
    assert stages["masks"]["model"] == {"name": "segmenter", "digest": WEIGHTS["segmenter"], "demo": False}
    assert stages["scenes"]["model"]["name"].startswith("gemini") and stages["scenes"]["model"]["digest"] is None
    assert stages["scenes"]["cost"] == {"usd": 0.75, "requests": 2, "input_tokens": 20, "output_tokens": 40}


def test_a_failed_video_may_be_run_again_by_those_with_the_right(serving: Serving) -> None:
    video_id, _ = add_video(serving.storage, 2)
    job_id = claim(serving.db, ONE, video_id, "clip.mp4")
    serving.db.execute("UPDATE uploads SET requested = false WHERE id = %s", (job_id,))  # as of `reframer ingest`
    failure = NotAVideo("The file is text.")
    serving.db.execute(
        """INSERT INTO processing_jobs (video_id, run_id, status, stage, failure_code, failure_message, finished_at)
           VALUES (%s, 'run', 'failed', 'metadata', %s, %s, now())""",
        (video_id, failure.code, str(failure)),
    )
    serving.db.execute(
        "UPDATE videos SET status = 'failed', failure_code = %s, failure_message = %s WHERE id = %s", (failure.code, str(failure), video_id)
    )
    with serving.client(serving.key(ONE)) as client:
        said = client.get(f"/videos/{video_id}/made").json()
        assert said["may_run_again"] is True and said["demo_models"] is False
        assert said["stages"][0]["status"] == "failed"
        assert said["stages"][0]["failure"] == {"code": failure.code, "message": failure.message, "remedy": failure.remedy}
        assert {one["status"] for one in said["stages"][1:]} == {"missing"}
        nobody = client.post(f"/videos/{video_id}/run").json()  # this server knows no Dagster
        assert (nobody["code"], nobody["remedy"]) == (NobodyToRun.code, NobodyToRun.default_remedy)
        serving.db.execute("INSERT INTO processing_jobs (video_id, run_id, status) VALUES (%s, 'waits', 'pending')", (video_id,))
        asked = client.post(f"/videos/{video_id}/run")
        assert asked.status_code == 202 and asked.json()["job_id"] == job_id  # a run waits already
        assert (asked.json()["status"], asked.json()["failure"]) == ("pending", None)
        video = client.get(f"/videos/{video_id}").json()
        assert (video["status"], video["failure_code"], video["failure_message"]) == ("pending", None, None)
        assert client.get(f"/videos/{video_id}/made").json()["may_run_again"] is False
    with serving.client(serving.key(ONE, scopes=("read",))) as reading:
        assert reading.post(f"/videos/{video_id}/run").json()["code"] == "not_allowed"
    with serving.client(serving.key("other@example.org")) as other:
        assert other.get(f"/videos/{video_id}/made").status_code == other.post(f"/videos/{video_id}/run").status_code == 404

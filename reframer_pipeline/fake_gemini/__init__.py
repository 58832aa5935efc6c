"""A local stand-in for the Gemini API: the protocol as google-genai speaks it, and every way it is known to fail, on demand.

What belongs here: an HTTP server on loopback that the unchanged client talks to. It understands nothing: what it answers is invented.
What does not: anything that the pipeline computes with. Only the tests and `reframer fake-gemini` import this package.

    with FakeGemini() as gemini:
        gemini.script(Behaviour(Kind.RATE_LIMITED, retry_seconds=2))
        client = genai.Client(api_key="anything", http_options={"base_url": gemini.url})
"""

from reframer_pipeline.fake_gemini.behaviours import Behaviour, Endpoint, Kind, read_script
from reframer_pipeline.fake_gemini.record import RecordedRequest
from reframer_pipeline.fake_gemini.server import FakeGemini

__all__ = ["Behaviour", "Endpoint", "FakeGemini", "Kind", "RecordedRequest", "read_script"]

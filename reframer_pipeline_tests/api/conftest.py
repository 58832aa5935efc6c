"""The servers that the tests of a file share."""

from reframer_pipeline_tests.api.library import serving_clip
from reframer_pipeline_tests.api.serving import serving

__all__ = ["serving", "serving_clip"]

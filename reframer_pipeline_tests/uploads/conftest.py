"""Uploads end in storage: the same open storage serves."""

from reframer_pipeline_tests.storage.conftest import storage

__all__ = ["storage"]

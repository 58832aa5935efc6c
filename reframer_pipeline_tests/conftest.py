"""Fixtures that several areas share: each server is started at most once a worker, and the drawn clip is computed once."""

import signal

from reframer_pipeline_tests.computed import clip, done, settings, shared
from reframer_pipeline_tests.gemini import gemini, one_authority
from reframer_pipeline_tests.processes import own_folder, share_cores
from reframer_pipeline_tests.servers import database_url, embedded_server, pgbouncer_tls, postgres15
from reframer_pipeline_tests.spread import pytest_collection_modifyitems, pytest_xdist_auto_num_workers, pytest_xdist_make_scheduler
from reframer_pipeline_tests.stored import anywhere, storage

__all__ = [
    "pytest_collection_modifyitems", "pytest_xdist_auto_num_workers", "pytest_xdist_make_scheduler",
    "anywhere", "clip", "done", "gemini", "one_authority", "settings", "shared", "storage",
    "database_url", "embedded_server", "pgbouncer_tls", "postgres15",
]  # fmt: skip

own_folder()
share_cores()
# Ctrl-C must reach every program that the tests start and interrupt, also from a background job; who is told to end ends the same way
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)

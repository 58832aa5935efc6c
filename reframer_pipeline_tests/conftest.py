"""Fixtures that several areas share: each server is started at most once a session, and the drawn clip is computed once."""

import atexit
import os
import shutil
import signal
import tempfile

from reframer_pipeline_tests.computed import clip, done, pipeline, settings
from reframer_pipeline_tests.servers import database_url, embedded_server, pgbouncer_tls, postgres15
from reframer_pipeline_tests.stored import anywhere, storage

__all__ = ["anywhere", "clip", "done", "pipeline", "settings", "storage", "database_url", "embedded_server", "pgbouncer_tls", "postgres15"]

# pytest shuts the folder that its sessions share; the embedded server of another session, run by another user, would stand outside
if "PYTEST_DEBUG_TEMPROOT" not in os.environ:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(prefix="reframer-tests-")
    atexit.register(shutil.rmtree, os.environ["PYTEST_DEBUG_TEMPROOT"], ignore_errors=True)

# a script's background jobs ignore Ctrl-C, and so would every program that the tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

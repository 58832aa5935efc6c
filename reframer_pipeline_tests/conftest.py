"""Fixtures that several areas share: each server is started at most once a session."""

from reframer_pipeline_tests.servers import database_url, embedded_server, pgbouncer_tls, postgres15

__all__ = ["database_url", "embedded_server", "pgbouncer_tls", "postgres15"]

"""Who asks for runs: the upload sensor with its ingest job, and the backfill."""

"""Who asks for runs.

What belongs here: the upload sensor with its ingest job, and the backfill. What does not: what may run now (`planning.backlog`).
"""

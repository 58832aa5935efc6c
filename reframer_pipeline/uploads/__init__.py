"""Uploads: what lies in the bucket, and how a file becomes a video.

What belongs here: listing, checks before and during the copy, ingest. What does not: opening media with a demuxer (`media`), tables
of results (`storage`).
"""

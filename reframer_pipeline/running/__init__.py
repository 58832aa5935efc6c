"""Running: computing given videos from this process, and the Dagster home that this needs.

What belongs here: `run_videos`, one Dagster run for one video, DAGSTER_HOME. What does not: how a stage runs (`orchestration`).
"""

"""Orchestration: Dagster, and nothing but Dagster.

What belongs here: assets, sensors, schedules, jobs, executors, and what they need of Dagster. What does not: logic. Everything here calls
the rooms below.
"""

"""The fleet: warm workers on any machine that get runs from a broker, by Celery.

What belongs here: the Celery application, the launcher that hands runs over, the task that computes one, and the process that does so.
What does not: who lives and who has taken which run (`work.workers`), what a run does (`stage`), the command (`cli.worker`).
"""

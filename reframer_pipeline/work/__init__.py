"""Work: who is at what.

What belongs here: leases, turns, jobs, and the status of videos. What does not: what is computed, and who may be asked for next
(`planning`).
"""

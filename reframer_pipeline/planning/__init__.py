"""Planning: what is wanted, what is there, why it is stale, and what may run now.

What belongs here: the deployment's and the videos' settings, comparing recipes, the backlog, showing what is computed already. What does
not: running anything.
"""

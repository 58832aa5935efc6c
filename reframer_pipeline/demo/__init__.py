"""The demonstration: a drawn world whose truth is known exactly, small models trained on it, and the scores that measure them.

A measuring rod and a first experience without downloads; nothing here is meant for real footage.
"""

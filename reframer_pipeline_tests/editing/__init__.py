"""Tests of what an editor takes away."""

"""Tests of mattes."""

"""Checks on a GPU, one after the other within a time limit: ``python -m tests.gpu``."""

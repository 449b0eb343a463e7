"""Reasons to stop before the last trial: the time budget, SIGTERM, and a study's rules."""

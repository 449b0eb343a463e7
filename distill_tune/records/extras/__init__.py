"""Runs of a search beside its trials, in its records: controls, finalists, noise, hours."""

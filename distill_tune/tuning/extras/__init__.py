"""Runs of a search beside its trials: those still to be done, and the stages they share."""

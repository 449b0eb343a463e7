"""Failures on a cluster, described in a word and a line."""

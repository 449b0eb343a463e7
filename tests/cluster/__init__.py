"""Tests of the cluster folder."""

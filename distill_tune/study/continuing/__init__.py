"""Continuation of other studies: their trials count as observations without being run again."""

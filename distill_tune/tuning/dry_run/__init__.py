"""The dry run of a search: what it would take, from a few timed steps."""

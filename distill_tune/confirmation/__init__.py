"""Confirmation of a gain: arms with fresh seeds, the sealed test split, statistics."""

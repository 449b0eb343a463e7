"""Whether a gain is real: arms with fresh seeds, the sealed test split, statistics."""

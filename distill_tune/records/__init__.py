"""A study's log on disk, and the state folded from it. Needs neither torch nor Ray."""

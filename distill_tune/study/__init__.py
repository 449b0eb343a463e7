"""A study as a user writes it: YAML, its checks, the search space, the arms."""

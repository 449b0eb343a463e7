"""Numbers about a trial: accuracy, fitness and diversity of its generator, policies."""

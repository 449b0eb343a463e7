"""Metrics of a trial: accuracy, fitness and diversity of its generator; policies."""

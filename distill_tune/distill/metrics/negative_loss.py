"""The negative cross-entropy, which also tells how far probabilities can be trusted."""

from distill_tune.distill.metrics.metric import Labels, Metric, Probabilities


def negative_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean log-probability of the true classes, at most 0."""
    from sklearn.metrics import log_loss

    return -float(log_loss(labels, probabilities, labels=list(range(probabilities.shape[1]))))


NEGATIVE_LOSS = Metric(name="-val/loss", measure=negative_loss)

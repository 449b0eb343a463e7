"""Cohen's kappa with quadratic weights: agreement on grades, beyond chance."""

from distill_tune.distill.metrics.metric import Labels, Metric, Probabilities


def kappa(labels: Labels, probabilities: Probabilities) -> float:
    """Return Cohen's kappa, in [-1, 1]; an error by two grades counts four times one by one.

    The grades are the classes in their order (Cohen, Psychological Bulletin 70, 1968). Images of
    one class only give 0.
    """
    from sklearn.metrics import cohen_kappa_score

    if len(set(labels.tolist())) < 2:
        return 0.0
    grades = range(probabilities.shape[1])
    predicted = probabilities.argmax(1)
    return float(cohen_kappa_score(labels, predicted, labels=list(grades), weights="quadratic"))


KAPPA = Metric(name="val/kappa", measure=kappa, min_classes=2, is_ordinal=True)

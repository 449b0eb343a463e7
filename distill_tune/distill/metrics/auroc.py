"""AUROC: how well probabilities rank the images of a class above the others."""

import numpy as np

from distill_tune.distill.metrics.metric import Labels, Metric, Probabilities


def auroc(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean area under the ROC curve of each class against the rest, in [0, 1].

    The mean is over the classes that have images, each with the same weight (Hand & Till, Machine
    Learning 45, 2001, call it one against rest). Images of one class only give 0.5.
    """
    from sklearn.metrics import roc_auc_score

    present = np.unique(labels)
    if len(present) < 2:
        return 0.5
    is_class = labels[:, None] == present
    return float(roc_auc_score(is_class, probabilities[:, present], average="macro"))


AUROC = Metric(name="val/auroc", measure=auroc, min_classes=2)

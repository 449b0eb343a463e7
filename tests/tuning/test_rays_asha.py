"""Why the scheduler is our own: what Ray's does that a study cannot use. May go when these fail."""

import math
from typing import Any

from ray.tune.schedulers import ASHAScheduler

from distill_tune.records.trials import OBJECTIVE
from distill_tune.study.rungs import RungEvent
from tests.tuning.test_scheduler import CONTINUE, STOP, asha, tell, trial


def rays() -> Any:
    scheduler: Any = ASHAScheduler(
        metric=OBJECTIVE, mode="max", max_t=9, grace_period=1, reduction_factor=3
    )
    for number in range(3):
        scheduler.on_trial_add(None, trial(number))
    return scheduler


def test_a_trial_that_comes_late_does_not_count_at_the_rungs_below() -> None:
    late = [RungEvent(0, "resnet50", epoch, 0.9) for epoch in (7, 8)]
    theirs, ours = rays(), asha()
    for scheduler, verdict in ((theirs, STOP), (ours, CONTINUE)):
        assert [tell(scheduler, event) for event in late] == [CONTINUE, CONTINUE]
        assert tell(scheduler, RungEvent(1, "resnet50", 1, 0.5)) == verdict


def test_a_trial_without_a_number_is_never_stopped() -> None:
    scheduler = rays()
    tell(scheduler, RungEvent(0, "resnet50", 1, 0.5))
    for epoch in range(1, 9):
        assert tell(scheduler, RungEvent(1, "resnet50", epoch, math.nan)) == CONTINUE

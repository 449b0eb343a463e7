"""Ray Tune's side of a session: sampler, scheduler, tuner."""

from functools import partial

from ray import tune

from distill_tune.interfaces import ImageData
from distill_tune.search.callback import StudyCallback
from distill_tune.search.cluster import Slots
from distill_tune.search.journal import Journal
from distill_tune.search.proposals import SamplerPlan
from distill_tune.search.sampler import SamplerPerBackbone
from distill_tune.search.scheduler import MODE, OBJECTIVE, AshaPerBackbone
from distill_tune.search.trainable import DistillTrial, trial_name
from distill_tune.study import Study


def make_scheduler(study: Study) -> AshaPerBackbone:
    """Return an empty scheduler for a study."""
    return AshaPerBackbone(
        min_epochs=study.min_epochs,
        max_epochs=study.max_epochs,
        reduction_factor=study.search.reduction_factor,
    )


def make_sampler(study: Study) -> SamplerPerBackbone:
    """Return a sampler that has proposed nothing yet."""
    return SamplerPerBackbone(
        SamplerPlan(
            backbones=tuple(backbone.name for backbone in study.backbones),
            dimensions=study.space.dimensions,
            num_trials=study.search.num_trials,
            max_epochs=study.max_epochs,
            seed=study.search.seed,
            num_startup_trials=study.search.num_startup_trials,
        )
    )


def tune_trials(study: Study, images: ImageData, journal: Journal, slots: Slots) -> None:
    """Run every trial that is not over yet.

    Each session is a Ray experiment of its own. Sampler and scheduler are rebuilt from the
    study's records, which hold every decision; a trial that is not over finds its newest
    checkpoint by its name. So nothing depends on the state that Ray keeps of an experiment.
    """
    sampler, scheduler = make_sampler(study), make_scheduler(study)
    sampler.replay(journal.past_trials())
    scheduler.replay(journal.rung_events())
    over = sum(trial.ended_at is not None for trial in journal.state.trials.values())
    trainable = tune.with_resources(
        tune.with_parameters(
            DistillTrial, study=study, images=images, root=journal.directory.path()
        ),
        dict(slots.bundle),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode=MODE,
            search_alg=sampler,
            scheduler=scheduler,
            num_samples=study.search.num_trials - over,
            max_concurrent_trials=slots.count,
            reuse_actors=True,
            trial_name_creator=partial(_name),
            trial_dirname_creator=partial(_name),
        ),
        run_config=tune.RunConfig(
            name=f"session-{_session_number(journal):04d}",
            storage_path=journal.directory.path("ray"),
            callbacks=[StudyCallback(journal, sampler, max_epochs=study.max_epochs)],
            failure_config=tune.FailureConfig(max_failures=study.search.max_failures),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=1, num_to_keep=2, checkpoint_at_end=False
            ),
            verbose=0,
        ),
    )
    tuner.fit()


def _name(trial: tune.experiment.Trial) -> str:
    return trial_name(trial.config)


def _session_number(journal: Journal) -> int:
    return len(journal.state.sessions)

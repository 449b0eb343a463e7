"""Random streams: keyed, without memory, apart from each other."""

import torch

from distill_tune.distill.compute.random_streams import (
    integers,
    key,
    normal,
    seed_global,
    stream,
    uniform,
)


def test_a_stream_is_the_same_whenever_it_is_asked_for() -> None:
    first = normal((5,), stream(3, "z", 7, 1))
    torch.rand(100)
    normal((9,), stream(3, "pairing", 7))
    assert torch.equal(first, normal((5,), stream(3, "z", 7, 1)))


def test_seed_purpose_and_every_counter_change_the_stream() -> None:
    keys = {
        key(0, "z"),
        key(1, "z"),
        key(0, "pairing"),
        key(0, "z", 1),
        key(0, "z", 1, 2),
        key(0, "z", 12),
        key(0, "z", 1, "real"),
    }
    assert len(keys) == 7


def test_a_key_is_a_number_that_torch_takes() -> None:
    assert all(0 <= key(seed, "init", seed) < 2**63 for seed in range(200))


def test_the_global_state_is_keyed_too() -> None:
    seed_global(5, "dropout", 1)
    first = torch.rand(4)
    seed_global(5, "dropout", 2)
    other = torch.rand(4)
    seed_global(5, "dropout", 1)
    assert torch.equal(first, torch.rand(4))
    assert not torch.equal(first, other)


def test_the_draws_have_the_ranges_that_they_promise() -> None:
    numbers = uniform((10_000,), stream(0, "real"))
    assert 0 <= numbers.min().item() < 0.01
    assert 0.99 < numbers.max().item() < 1
    assert integers(7, (1000,), stream(0, "z")).unique().tolist() == list(range(7))

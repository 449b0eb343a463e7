"""A step of stage 3 as the trial takes it, against the sum of its bare parts on ready tensors."""

from pathlib import Path

import torch

from tests.benchmarks import dataloader_loop, device_rates, selection_cost
from tests.benchmarks.joint_parts import RATIO, REPEATS, Bench
from tests.benchmarks.results import Result, spread


def run(runs: int, scratch: Path) -> list[Result]:  # noqa: ARG001 - writes nothing
    """Measure on one thread, on a GPU where there is one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run(runs, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    finally:
        torch.set_num_threads(threads)


def _run(runs: int, device: torch.device) -> list[Result]:
    bench = Bench(device)
    bench.step()
    bench.bare({})
    seen: dict[str, list[float]] = {}
    pairs = [(bench.step(), bench.bare(seen)) for _ in range(runs)]
    numbers = {"the trial's step, ms": spread([1e3 * ours for ours, _ in pairs], 1)}
    numbers |= {
        f"{name} alone, ms": spread([1e3 * value for value in values], 1)
        for name, values in seen.items()
    }
    result = Result(
        "joint-step",
        "seconds of a joint step / of its bare parts",
        [ours / bare for ours, bare in pairs],
        1.15,
        "at most",
        numbers,
        notes=[
            (
                "ResNet-50 and the GAN of search_spaces/resnet.yaml, synthetic_ratio "
                f"{RATIO}, eager float32, one thread, on {device.type}; each side is the least of "
                f"{REPEATS} epochs. The parts work on ready tensors: without draws, augmentation, "
                "pairing, averaging of weights, and without the generator's forward that gives the "
                "discriminator its images."
            ),
        ],
    )
    return [
        result,
        dataloader_loop.compare(bench, runs),
        *selection_cost.compare(device, runs),
        *device_rates.compare(bench, runs),
    ]

"""On a GPU: images per second by precision and compilation, and how much of the GPU that is."""

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks.joint_parts import RATIO, Bench
from tests.benchmarks.results import Result, spread

_SIDE, _PRODUCTS = 8192, 30
MODES: dict[str, dict[str, object]] = {
    "eager float32": {},
    "eager bfloat16": {"precision": "bfloat16"},
    "compiled float32": {"compile": True},
    "compiled bfloat16": {"precision": "bfloat16", "compile": True},
}


def step_flops(bench: Bench) -> float:
    """Return the floating point operations of one joint step, counted in an eager epoch."""
    with FlopCounterMode(display=False) as counter:
        bench.stage._train(0)
    return float(counter.get_total_flops()) / bench.num_steps


def matrix_rate() -> float:
    """Return what the GPU reaches in a large bfloat16 product, operations per second."""
    matrix = torch.randn(_SIDE, _SIDE, device="cuda", dtype=torch.bfloat16)
    matrix @ matrix
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(_PRODUCTS):
        matrix @ matrix
    torch.cuda.synchronize()
    return float(2 * _SIDE**3 * _PRODUCTS) / (time.perf_counter() - started)


def compare(eager: Bench, runs: int) -> list[Result]:
    """Return compiled bfloat16 against eager float32; nothing without a GPU."""
    if eager.device.type != "cuda":
        return []
    images = (1 + RATIO) * eager.trial.config.classifier.batch_size
    rates: dict[str, list[float]] = {}
    for name, compute in MODES.items():
        bench = Bench(eager.device, **compute)
        bench.step()
        rates[name] = [images / bench.step() for _ in range(runs)]
    fastest = rates["compiled bfloat16"]
    used, rate = step_flops(eager), matrix_rate()
    shares = [100 * used * value / images / rate for value in fastest]
    numbers = {f"{name}, images/s": spread(values, 0) for name, values in rates.items()}
    numbers |= {
        "operations of a step, GFLOP": f"{used / 1e9:.2f}",
        "bfloat16 product of 8192 x 8192, TFLOP/s": f"{rate / 1e12:.0f}",
        "share of that rate, %": spread(shares, 2),
    }
    return [
        Result(
            "joint-step/compiled",
            "images/s compiled in bfloat16 / eager in float32",
            [one / other for one, other in zip(fastest, rates["eager float32"], strict=True)],
            1,
            "at least",
            numbers,
        )
    ]

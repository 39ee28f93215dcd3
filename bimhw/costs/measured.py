"""Measured energy of a network on the NVIDIA card of this machine, in the place of the estimate.

The network runs again and again for some seconds; the card's own energy counter (NVML, mJ, whole board) is read before and
after. Idle power is read in the same way with nothing running, and stays in the figures (it is listed apart).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from simulator.base.errors import InputError, MissingExtraError

SECONDS = 3.0  # the counter moves in steps of some 20-100 ms
INPUT_RATE = 0.1


class Meter(Protocol):
    """An energy counter."""

    name: str

    def read_j(self) -> float:
        """Read the energy since some start [J]."""


@dataclass(frozen=True)
class MeasuredGpu:
    """A measurement, per sample; idle energy is that of the same time with nothing running.

    Attributes:
        gpu: the card's name; mode: inference or bptt; batch: samples at once.
        us, uj: time and energy of a sample.
        idle_uj: part of it that an idle card draws.
        runs: batches that were run.
    """

    gpu: str
    mode: str
    batch: int
    us: float
    uj: float
    idle_uj: float
    runs: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"word": "measured"}


class NvmlMeter:
    """The board's energy counter of one card.

    Raises:
        MissingExtraError: nvidia-ml-py is not installed.
        InputError: no NVIDIA driver, or a card without an energy counter.
    """

    def __init__(self, index: int = 0) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise MissingExtraError("nvidia-ml-py", "gpu", "--measure") from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._card = pynvml.nvmlDeviceGetHandleByIndex(index)
            self.name = str(pynvml.nvmlDeviceGetName(self._card))
            self.read_j()
        except pynvml.NVMLError as error:
            raise InputError(
                "--measure", f"cannot read the card's energy ({error})", "Omit it: the estimate is used"
            ) from error

    def read_j(self) -> float:
        """Read the energy since the driver was loaded [J]."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card)) / 1e3


def repeated(
    work: Callable[[], None], meter: Meter, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> tuple[int, float, float]:
    """Return (runs, seconds, joules) of a piece of work that is repeated for at least `seconds`."""
    work()  # warm up: kernels are compiled, memory is taken
    start, before = clock(), meter.read_j()
    runs = 0
    while clock() - start < seconds:
        work()
        runs += 1
    return runs, clock() - start, meter.read_j() - before


def measure_gpu(
    model: Path | str, steps: int, batches: tuple[int, ...] = (1, 256), seconds: float = SECONDS
) -> list[MeasuredGpu]:
    """Measure inference and BPTT of a BIM network on the CUDA device of this machine.

    Args:
        model: model file.
        steps: steps of a sample.
        batches: samples at once.
        seconds: length of each measurement.

    Raises:
        InputError: no CUDA device, no energy counter, or not a model file.
        MissingExtraError: nvidia-ml-py is not installed.
    """
    import torch

    from bimhw.models.io import load_net

    net = load_net(model)
    if not torch.cuda.is_available():
        raise InputError("--measure", "found no CUDA device", "Omit it: the estimate is used")
    meter = NvmlMeter(torch.cuda.current_device())
    net = net.to("cuda", torch.float32)
    _, idle_s, idle_j = repeated(lambda: time.sleep(0.1), meter, seconds)
    out = []
    for batch in batches:
        torch.manual_seed(0)
        u = (torch.rand(steps, batch, net.config.n_in, device="cuda") < INPUT_RATE).float()
        for mode, work in (("inference", _inference(net, u)), ("bptt", _bptt(net, u))):
            found = repeated(work, meter, seconds)
            out.append(per_sample(meter.name, mode, batch, found, idle_j / idle_s))
    return out


def per_sample(gpu: str, mode: str, batch: int, found: tuple[int, float, float], idle_w: float) -> MeasuredGpu:
    """Time and energy of one sample from those of many batches."""
    runs, seconds, joules = found
    samples = runs * batch
    return MeasuredGpu(
        gpu, mode, batch, seconds * 1e6 / samples, joules * 1e6 / samples, idle_w * seconds * 1e6 / samples, runs
    )


def _inference(net: Any, u: Any) -> Callable[[], None]:
    import torch

    def work() -> None:
        with torch.no_grad():
            net(u)
        torch.cuda.synchronize()

    return work


def _bptt(net: Any, u: Any) -> Callable[[], None]:
    import torch

    def work() -> None:
        net.zero_grad(set_to_none=True)
        net(u).square().mean().backward()
        torch.cuda.synchronize()

    return work

"""The measurement's arithmetic with a meter and a clock of known speed, and its refusals; a card only where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bimhw.costs.measured import NvmlMeter, measure_gpu, per_sample, repeated
from simulator.base.errors import BimhwError, InputError


class Bench:
    """A clock that only work moves (0.1 s each), and a meter at 200 W."""

    name = "bench"

    def __init__(self) -> None:
        self.now = 0.0

    def work(self) -> None:
        self.now += 0.1

    def clock(self) -> float:
        return self.now

    def read_j(self) -> float:
        return 200 * self.now


def test_energy_is_power_times_time() -> None:
    bench = Bench()
    runs, seconds, joules = repeated(bench.work, bench, 2.95, bench.clock)
    assert runs == 30 and seconds == pytest.approx(3.0) and joules == pytest.approx(600)
    m = per_sample("bench", "bptt", 256, (runs, seconds, joules), 50.0)
    assert m.us == pytest.approx(0.1e6 / 256) and m.uj == pytest.approx(20e6 / 256)
    assert m.idle_uj == pytest.approx(5e6 / 256)


def test_no_card_is_one_message(tmp_path: Path) -> None:
    import torch

    from bimhw.learning.api import train

    if torch.cuda.is_available():
        pytest.skip("there is a card")
    model = tmp_path / "m.pt"
    train("digits", model, hidden=(4,), epochs=1)
    with pytest.raises(InputError, match="found no CUDA device"):
        measure_gpu(model, 16)
    with pytest.raises(BimhwError, match="--measure"):
        NvmlMeter()


def test_on_the_card(tmp_path: Path) -> None:
    import torch

    from bimhw.learning.api import train

    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA card")
    model = tmp_path / "m.pt"
    train("digits", model, hidden=(16,), epochs=1)
    for m in measure_gpu(model, 16, (1,), 0.5):
        assert m.us > 0 and m.uj > 0

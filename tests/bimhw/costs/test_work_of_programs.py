"""What a GPU is charged for a program is what torch counts for its model, however the chip stores the matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bimhw.compiler.pipeline import compile
from bimhw.costs.counted import forms_of
from bimhw.models.bim.config import BimConfig
from bimhw.models.bim.loops import without_loops
from bimhw.models.bim.net import BimNet
from energy_models.gpu_work import gpu_work, workload_of

STACKS: list[dict[str, Any]] = [
    {},
    {"input_delays": (0, 2, 3)},
    {"hidden_delays": 6},
    {"residual": True},
    {"residual": True, "hidden_delays": 4, "input_delays": (0, 1), "dense_readout": True},
]


@pytest.mark.parametrize("fields", STACKS, ids=str)
def test_flops_are_those_of_torch(fields: dict[str, Any]) -> None:
    net = BimNet(BimConfig(n_in=7, hidden=(9, 9, 9, 5), n_out=4, theta=0.2, **fields), 3)
    with torch.no_grad():
        net.readout.weight.normal_()
    payloads = np.ones((2, 6, 7), np.int32)
    work = workload_of(compile(net, "loihi2", calibration=payloads, mapping="blocks").program, 6)
    assert work.parameters == sum(p.numel() for n, p in net.named_parameters() if ".w_" in n or n == "readout.weight")
    with without_loops():
        for mode in ("inference", "bptt"):
            with FlopCounterMode(display=False) as counter:
                loss = net(torch.ones(6, 3, 7)).square().mean()
                if mode == "bptt":
                    loss.backward()
            assert counter.get_total_flops() == gpu_work(work, mode, 3).matmul_flops


@pytest.mark.parametrize(("fields", "able"), [(STACKS[1], True), (STACKS[2], False), (STACKS[3], False)], ids=str)
def test_learning_that_the_chip_refuses_has_no_price(fields: dict[str, Any], able: bool) -> None:
    net = BimNet(BimConfig(n_in=7, hidden=(9, 9, 9, 5), n_out=4, **fields), 3)
    program = compile(net, "loihi2", calibration=np.ones((2, 6, 7), np.int32), mapping="blocks").program
    assert bool(forms_of(program)) == able

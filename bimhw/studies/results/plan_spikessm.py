"""The tables of long range: P-SpikeSSM beside BIM and a GRU of the same size."""

from __future__ import annotations

from typing import Any

from bimhw.studies.results.rows import Row, Table

_CLAIM = (
    "None. The table compares the second family of models (docs/p-spikessm.md) with the first. The P-SpikeSSM paper's own "
    "figures are for larger nets on full data sets."
)
_NOTE = (
    "Eight passes over a small training split take a few minutes; they are not set for the best figure. P-SpikeSSM fires "
    "at random: its accuracy is that of one draw of all spikes (seed 0 of the evaluation). BIM and P-SpikeSSM begin "
    "with time steps Delta of the same least value, and both readouts have the filter 0.9. P-SpikeSSM's learning rate "
    "was the better of two in shorter trial runs on the validation part of psmnist. The other rows without a choice "
    "above took one value."
)
_LONG: dict[str, Any] = {"epochs": 8, "batch": 50, "lr_end": 0.02, "delta_min": 0.005}
_BIM: dict[str, Any] = {**_LONG, "psp": "delta", "k_o": 0.9}
COMPLEX: dict[str, Any] = {"kind": "complex", "state_gain": "variance", "norm": "batch", "learn_a_log": True}

_OFTEN = {"epochs": 16, "batch": 25}  # four times the updates


def _lr(*values: float) -> tuple[dict[str, Any], ...]:
    return tuple({"lr": v} for v in values)


def _rows(
    hidden: str,
    states: int,
    parameters: int,
    bim_rates: tuple[float, ...],
    extra: tuple[Row, ...] = (),
    gru_seeds: int = 2,
) -> tuple[Row, ...]:
    bim = {**_BIM, "hidden": hidden}
    stack = "x".join((str(hidden.count(",") + 1), hidden.split(",")[0]))
    gru = {"model": "gru", "parameters": parameters, "epochs": _LONG["epochs"], "batch": _LONG["batch"]}
    ours = {**_LONG, "hidden": hidden, "n_states": states, "lr": 0.03}
    return (
        Row(f"P-SpikeSSM {stack}, {states} modes, BPTT", "p-spikessm", ours, seeds=2),
        Row(f"BIM-D {stack}, BPTT, spike readout", "bim", {**bim, "rule": "bptt"}, _lr(*bim_rates), seeds=2),
        *extra,
        Row(f"BIM-D {stack}, hidden layers frozen", "bim", {**bim, "rule": "frozen"}, _lr(0.01), seeds=1),
        Row("GRU, BPTT", "baseline", gru, _lr(0.005, 0.01, 0.02), gru_seeds),
    )


_TURNING = tuple(
    Row(
        f"BIM complex 2x64, BPTT{passes}, spike readout",
        "bim",
        {**_BIM, **COMPLEX, "hidden": "64,64", "rule": "bptt", **more},
        _lr(rate),
        seeds=3,
    )
    for passes, rate, more in (
        ("", 0.02, {}),
        (", sixteen passes", 0.02, {"epochs": 16}),
        (", sixteen passes in batches of 25", 0.014, _OFTEN),
    )
)
_LONGER_GRU = Row(
    "GRU, BPTT, sixteen passes in batches of 25",
    "baseline",
    {"model": "gru", "parameters": 13_500, **_OFTEN},
    _lr(0.005, 0.01, 0.02, 0.04),
    seeds=2,
)
PSMNIST = Table(
    "psmnist",
    "Permuted sequential MNIST, 14 x 14 pixels one by one (196 steps), 4,000 / 1,000 digits",
    "smnist",
    "accuracy",
    _rows("64,64", 8, 13_500, (0.02, 0.05, 0.1), (*_TURNING, _LONGER_GRU), gru_seeds=5),
    _CLAIM,
    "Neither the split nor the size is the official one: pixels are averaged two by two, from 5,000 digits of a package. "
    f"{_NOTE} "
    "The GRU of eight passes stays at .02: .03 and .04 have more on the validation part with seed 0 (79.0 and 79.8 %), but three "
    "of five seeds do not learn at .04 (mean of the test part 46.6 %). The setting of the complex row was chosen in trial runs "
    "on the last 800 training digits. One test figure without the "
    "slower rate of its angles (83.5 %) was seen before. The row of sixteen passes has twice the "
    "updates of the others; so many were set before any figure of it. Batches of 25 were chosen on those 800 digits (one "
    "seed): eight passes in batches of 50 86.5 %, of 25 89.8 (with dropout .1 88.0), sixteen passes of 25 91.0.",
    task_options={"permuted": True, "pool": 2},
)

RECALL = Table(
    "recall",
    "Recall: delayed XOR of two cues, 400 steps (generated)",
    "recall",
    "accuracy",
    _rows("32,32", 4, 4_000, (0.02,)),
    _CLAIM,
    f"A toy task of long range, defined in `bimhw/tasks/sources/recall.py`; chance is 50 %. {_NOTE}",
    task_options={"steps": 400, "cues": 2, "classes": 2},
)

"""Equilibrium propagation on the 8 x 8 digits: accuracy of EP, C-EP and C-VF, and their price on Loihi 2 beside SEQ.

python -m benchmarks.equilibrium [--digits 28x28 [--passes 6]]

1,437 training and 360 test images, split once (seed 0); rates chosen on the last 200 training images, which the final run
trains on too. The price is that of one learnt sample, from operation counts: 8-bit words, all neurons graded.
``28x28``: 10-128-784 on the 4,000 / 1,000 digits of the task `smnist`; rates chosen on the last 400 training images after as many
passes over the others.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import NamedTuple

import msgspec
import numpy as np

from bimhw.studies.literature.equilibrium import Equilibrium, EquilibriumConfig, Rule
from energy_models.forms import form_counts, form_energy_pj
from simulator.base.arrays import I64, Floats
from simulator.chips.load import load_chip

SIZES, FREE_STEPS, NUDGED_STEPS, BETA = (10, 128, 64), 40, 15, 0.2
EPOCHS, BATCH, SEEDS, HELD_OUT, DIGIT_STEPS = 25, 20, 3, 200, 12
RATES: dict[Rule, tuple[tuple[float, float], ...]] = {
    "ep": ((0.04, 0.02), (0.08, 0.04)),
    "c-ep": ((0.02, 0.01), (0.04, 0.02)),
    "c-vf": ((0.02, 0.01), (0.04, 0.02)),
}
LARGE_RATES: dict[Rule, tuple[tuple[float, float], ...]] = {
    "ep": ((0.08, 0.04), (0.16, 0.04), (0.16, 0.08), (0.32, 0.08)),
    "c-ep": ((0.01, 0.005), (0.02, 0.005), (0.04, 0.005), (0.02, 0.01)),
    "c-vf": ((0.005, 0.0025), (0.01, 0.005), (0.01, 0.01), (0.02, 0.005)),
}


class Digits(NamedTuple):
    """Images [n, 64] in 0..1 with their classes."""

    x: Floats
    y: I64

    def take(self, part: slice) -> Digits:
        """Return a part of them."""
        return Digits(self.x[part], self.y[part])


def digits() -> tuple[Digits, Digits]:
    """Return the training and the test images."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))
    both = Digits(data.data[order] / 16.0, data.target[order].astype(np.int64))
    return both.take(slice(1437)), both.take(slice(1437, None))


def config_of(rule: Rule, rates: tuple[float, float]) -> EquilibriumConfig:
    """Return the network of one run."""
    return EquilibriumConfig(
        sizes=SIZES, rates=rates, free_steps=FREE_STEPS, nudged_steps=NUDGED_STEPS, beta=BETA, rule=rule
    )


def large_digits() -> tuple[Digits, Digits]:
    """Return the training and the test images of 28 x 28 pixels."""
    import bimhw

    task = bimhw.load_task("smnist")
    parts = [Digits(np.asarray(s.x[:, :, 0] * task.input_scale, np.float64), s.y) for s in (task.train, task.test)]
    return parts[0], parts[1]


def large(passes: int) -> None:
    """Print one JSON line a rule on the images of 28 x 28 pixels."""
    train, test = large_digits()
    sizes, part, held = (*SIZES[:2], train.x.shape[1]), train.take(slice(-400)), train.take(slice(-400, None))
    for rule, grid in LARGE_RATES.items():
        start = time.perf_counter()
        configs = [msgspec.structs.replace(config_of(rule, rates), sizes=sizes) for rates in grid]
        scores = {c: accuracy(trained(c, part, 0, passes), held) for c in configs}
        config = max(configs, key=lambda c: scores[c])
        nets = [trained(config, train, seed, passes) for seed in range(SEEDS)]
        print(json.dumps(said(config, {c.rates: scores[c] for c in configs}, nets, test, start)), flush=True)


def said(
    config: EquilibriumConfig,
    held_out: dict[tuple[float, ...], float],
    nets: list[Equilibrium],
    test: Digits,
    start: float,
) -> dict[str, object]:
    """Return the figures of a rule: what was chosen and from what, test accuracy of its seeds, price of a sample."""
    found = [accuracy(net, test) for net in nets]
    prices = form_energy_pj(load_chip("loihi2"), nets[0].operations())
    return {
        "rule": config.rule,
        "rates": config.rates,
        "held_out_percent": {str(k): round(v, 1) for k, v in held_out.items()},
        "test_percent": round(float(np.mean(found)), 1),
        "sd": round(float(np.std(found)), 1),
        "learning_uj_per_sample": [round(v * 1e-6, 2) for v in prices],
        "seconds": round(time.perf_counter() - start),
    }


def trained(config: EquilibriumConfig, train: Digits, seed: int, passes: int = EPOCHS) -> Equilibrium:
    """Train a network; the sign of beta is drawn for every batch."""
    net, rng, targets = Equilibrium(config, seed), np.random.default_rng((seed, 1)), np.eye(SIZES[0])
    for _ in range(passes):
        order = rng.permutation(len(train.x))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            net.learn(train.x[part], targets[train.y[part]], 1.0 if rng.random() < 0.5 else -1.0)
    return net


def accuracy(net: Equilibrium, data: Digits) -> float:
    """Return the share of right classes, percent."""
    return 100 * float((net.classify(data.x) == data.y).mean())


def main() -> None:
    """One JSON line a rule, and one for SEQ's price."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--digits", choices=("8x8", "28x28"), default="8x8")
    parser.add_argument("--passes", type=int, default=6)
    given = parser.parse_known_args()[0]
    if given.digits == "28x28":
        large(given.passes)
        return
    train, test = digits()
    chip = load_chip("loihi2")
    for rule, grid in RATES.items():
        start = time.perf_counter()
        part, held = train.take(slice(-HELD_OUT)), train.take(slice(-HELD_OUT, None))
        scores = {rates: accuracy(trained(config_of(rule, rates), part, 0), held) for rates in grid}
        best = max(scores, key=lambda rates: scores[rates])
        nets = [trained(config_of(rule, best), train, seed) for seed in range(SEEDS)]
        print(json.dumps(said(config_of(rule, best), {**scores}, nets, test, start)), flush=True)
    counts = form_counts("seq", SIZES[2], SIZES[1], "delta")
    uj = [round(v * 1e-6 * DIGIT_STEPS, 4) for v in form_energy_pj(chip, counts)]
    print(json.dumps({"rule": "BIM 128 by SEQ, 12 steps", "learning_uj_per_sample": uj}))


if __name__ == "__main__":
    main()

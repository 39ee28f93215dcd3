"""Plan of learning: the form with its parameters, and the steps of a run and of its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.plasticity.layers.net import Net
from simulator.program.activity import Activity
from simulator.program.program import Program
from simulator.program.spikes import SpikeTrain

ChipForm = Literal["dense", "seq", "tr", "blk"]
CHIP_FORMS: tuple[ChipForm, ...] = ("dense", "seq", "tr", "blk")
SHARED_FORMS: tuple[ChipForm, ...] = (
    "seq",
    "tr",
)  # where B and C are shared, traces would take words for every channel
SLOW = 4  # steps between updates from which on a count needs no pilot
COUNTED_STEPS = 2_000  # chip steps that are counted and timed; the rest of a longer run is taken to be alike


@dataclass(frozen=True)
class LearningPlan:
    """Way in which a sample is learnt.

    Attributes:
        form: of the gradient.
        block: K, steps between two updates of tr and blk.
        lookback: L, older steps that a window of tr visits too.
        every: labelled steps between two updates of dense; 0: one update a sample.
    """

    form: ChipForm = "dense"
    block: int = 16
    lookback: int = 32
    every: int = 0

    @property
    def fast(self) -> bool:
        """True if weights change so often that spikes change with them: a count alone is up to 25 % too low then."""
        return self.block < SLOW if self.form in ("tr", "blk") else self.form == "dense" and 0 < self.every < SLOW


@dataclass(frozen=True, eq=False)
class Shape:
    """Steps of the run and of its samples when they are learnt from."""

    samples: int  # that are counted
    steps: int  # of the network, a sample
    chip_steps: int  # of a sample of inference
    learn_steps: int  # of a sample that is learnt from
    answer: int  # chip steps from a model step to its scores
    labelled: tuple[int, ...]  # model steps with a label; where the program does not say, those that decide

    @staticmethod
    def of(program: Program, net: Net, spikes: SpikeTrain, activity: Activity, every_step: bool) -> Shape:
        """Read them off a program and its run."""
        samples = max(1, activity.samples)
        chip_steps = spikes.steps // samples
        steps = min(chip_steps, program.facts.sample_steps or chip_steps)
        answer = net.readout.layer
        sums = any(layer.shared is not None for layer in net.layers)  # they arrive a step later
        learn_steps = max(chip_steps, steps + answer + 1 + len(net.layers) - 1 + sums)
        output = program.facts.output
        window = () if output is None or output.window is None else output.window
        late = 0 if output is None or output.latency is None else output.latency
        given = () if output is None else output.loss
        labelled = tuple(k for k in given or (k - late for k in window) if 0 <= k < steps) or (steps - 1,)
        if every_step:
            labelled = tuple(range(steps))
        counted = max(1, min(samples, COUNTED_STEPS // max(1, learn_steps)))
        return Shape(counted, steps, chip_steps, learn_steps, answer, labelled)

    def chosen(self, spikes: SpikeTrain) -> SpikeTrain:
        """Return the samples that are counted, spread evenly over the run, each in the steps that learning takes."""
        each = self.chip_steps
        runs = spikes.steps // each
        begin = np.arange(self.samples) * runs // self.samples * each
        counts = np.zeros((self.samples, self.learn_steps), np.int64)
        counts[:, :each] = np.diff(spikes.ptr[begin[:, None] + np.arange(each + 1)], axis=1)
        ptr = np.zeros(counts.size + 1, np.int64)
        np.cumsum(counts.ravel(), out=ptr[1:])
        at = np.concatenate([np.arange(spikes.ptr[b], spikes.ptr[b + each]) for b in begin])
        return SpikeTrain(ptr, spikes.ids[at], None if spikes.payload is None else spikes.payload[at])

    def due(self, plan: LearningPlan) -> list[tuple[int, int]]:
        """Return (model step, steps visited backward) of each update of a sample; dense visits none."""
        last = self.steps - 1
        if plan.form == "dense":
            every = plan.every or len(self.labelled)
            ends = [t for k, t in enumerate(self.labelled, 1) if k % every == 0]
            return [(t, 0) for t in dict.fromkeys([*ends, last] if len(self.labelled) % every else ends)]
        ends = [last] if plan.form == "seq" else sorted({*range(plan.block - 1, self.steps, plan.block), last})
        back = plan.lookback if plan.form == "tr" else 0
        fresh = [b - a for a, b in zip([-1, *ends], ends, strict=False)]
        return [(t, min(t + 1, n + back)) for t, n in zip(ends, fresh, strict=True)]

    def updates(self, plan: LearningPlan) -> float:
        """Return the weight updates of a sample."""
        return float(len(self.due(plan)))

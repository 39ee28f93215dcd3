"""Definition of a task: integer sequences with labels, when the loss counts, when the decision falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bimhw.tasks.checks import too_few
from simulator.base.arrays import I64, AnyInts, Bools
from simulator.base.errors import InputError
from simulator.base.shown import Shown


@dataclass(frozen=True, eq=False)
class Split:
    """Sequences and labels.

    Attributes:
        x: integer payloads [n, T, M]; a payload of 0 is no spike.
        y: classes [n], or, where several labels may hold at once, 0 or 1 for each [n, C].
    """

    x: AnyInts
    y: I64

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: I64 | slice) -> Split:
        """Return a part of the split."""
        return Split(self.x[index], self.y[index])


@dataclass(frozen=True, eq=False, repr=False)
class Task(Shown):
    """A classification task over sequences of graded or binary spikes.

    Attributes:
        name: as in `bimhw.tasks.load_task`.
        n_classes: labels are 0 .. n_classes-1.
        input_scale: payload x input_scale is the float network's input.
        train: the official training split.
        test: the official test split.
        loss_steps: bool [T], the steps at which a label is given.
        decision_steps: bool [T], the class is the largest mean logit over these steps.
        facts: source, licence, preparation; printed with results.
        validation: positions in the training split that are held out while settings are chosen (the last run trains on all of
            it); None: there is none in it, see `for_tuning`.
        judged: what settings are judged by, where the training split holds altered copies of the validation part, or nothing of
            it; None: the validation part as it stands there, or sequences drawn at random.
        metric: what the task is judged by, ``accuracy``, ``auc`` (two classes: area under ROC and precision-recall curve of
            the score of class 1), or ``macro_auc`` (several labels: the mean of these areas over the labels).
        makeshift: why the split is none to judge by, where data that is not complete had to be split in another way.
        ordered: the training split is a stream, to be learnt in its order and judged by what comes next.
        window_s: seconds of a sequence, where the test split is recordings in the order of time: its events are judged, too.
    """

    name: str
    n_classes: int
    input_scale: float
    train: Split
    test: Split
    loss_steps: Bools
    decision_steps: Bools
    facts: Mapping[str, str] = field(default_factory=dict)
    validation: I64 | None = None
    judged: Split | None = None
    metric: str = "accuracy"
    makeshift: str = ""
    ordered: bool = False
    window_s: float | None = None

    def __post_init__(self) -> None:
        for name, split in (("train", self.train), ("test", self.test)):
            self._check(name, split)

    @property
    def steps(self) -> int:
        """T."""
        return int(self.train.x.shape[1])

    @property
    def n_in(self) -> int:
        """Input channels M."""
        return int(self.train.x.shape[2])

    @property
    def several(self) -> bool:
        """Several labels may hold at once: each output decides on its own."""
        return self.train.y.ndim == 2

    @property
    def unjudged(self) -> str:
        """Reason why the test split cannot judge a model by this metric; "": it can."""
        if reason := self.makeshift or too_few(len(self.test), "sequences"):
            return reason
        if self.metric not in ("auc", "macro_auc"):
            return ""
        columns = self.test.y.reshape(len(self.test), -1)
        alone = [c for c in range(columns.shape[1]) if (columns[:, c] == columns[0, c]).all()]
        if not alone:
            return ""
        label = f" in column {alone[0]}" if self.several else ""
        return f"has only the label {columns[0, alone[0]]}{label}: an area under the curve needs both"

    def check_one_label(self, what: str) -> None:
        """Raise `InputError` for a task of several labels where `what` takes one class a sequence."""
        if self.several:
            raise InputError(f"task {self.name}", f"has several labels a sequence, {what} takes one", "Give one label")

    def hold_out(self, n: int, seed: int = 0) -> Task:
        """Return the same task with n training sequences as its test split: for choosing settings without the real one."""
        if not 0 < n < len(self.train):
            raise InputError(f"task {self.name}", f"cannot hold out {n} of {len(self.train)} sequences")
        order = np.random.default_rng(seed).permutation(len(self.train))
        return replace(self, train=self.train.take(order[n:]), test=self.train.take(order[:n]), validation=None)

    def for_tuning(self, seed: int = 0) -> Task:
        """Return the task whose test split is the validation part of the training split: the real one plays no part in it."""
        if self.validation is None and self.judged is not None:
            return replace(self, test=self.judged, judged=None)
        if self.validation is None:
            return self.hold_out(max(1, len(self.train) // 10), seed)
        held = np.zeros(len(self.train), np.bool_)
        held[self.validation] = True
        rest, out = np.flatnonzero(~held), np.flatnonzero(held)
        test = self.judged or self.train.take(out)
        return replace(self, train=self.train.take(rest), test=test, validation=None, judged=None)

    def _check(self, name: str, split: Split) -> None:
        where = f"task {self.name}: {name} split"
        if len(split) == 0:
            raise InputError(where, "is empty", "Check the data")
        if split.x.shape != (len(split), self.steps, self.n_in) or not np.issubdtype(split.x.dtype, np.integer):
            raise InputError(where, f"has inputs {split.x.dtype} {split.x.shape}, needs integers [n, T, M]")
        if split.y.shape != ((len(split), self.n_classes) if self.several else (len(split),)):
            raise InputError(where, f"has labels {split.y.shape}, needs [n], or [n, {self.n_classes}] of 0 and 1")
        if split.y.min() < 0 or split.y.max() >= (2 if self.several else self.n_classes):
            raise InputError(where, f"has a label outside 0..{self.n_classes - 1}: {split.y.min()}..{split.y.max()}")
        if not (self.loss_steps.shape == self.decision_steps.shape == (self.steps,)) or not self.decision_steps.any():
            raise InputError(where, f"loss and decision steps must be bool [{self.steps}], some step deciding")


def late_steps(steps: int, n: int) -> Bools:
    """Return True for the last n of T steps."""
    return np.arange(steps) >= steps - n

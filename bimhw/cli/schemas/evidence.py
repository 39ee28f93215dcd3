"""Documents of the commands that compare with independent oracles."""

from __future__ import annotations

from bimhw.cli.schemas.base import Anything, Document, Figure


class CrosscheckRun(Document, frozen=True):
    """A run beside another simulator's: spikes that differ, largest error of each state."""

    against: str
    stage: str
    equal: bool | None
    differ: int
    differ_by_step: list[int]
    events: int
    first: Anything
    max_state_error: Figure
    state_error: dict[str, float]
    steps: int
    tolerance: float


class Crosscheck(Document, frozen=True):
    """All runs; equal is null where no run could be judged."""

    equal: bool | None
    runs: list[CrosscheckRun]


class LearningRun(Document, frozen=True):
    """Weights of a rule beside Brian2's."""

    rule: str
    equal: bool
    difference: float
    moved: float
    at_bound: float
    ties: int
    steps: int
    synapses: int


class CrosscheckLearning(Document, frozen=True):
    """All rules."""

    equal: bool
    tolerance: float
    runs: list[LearningRun]


class Check(Document, frozen=True):
    """A check of the installation."""

    name: str
    against: str
    status: str
    value: Figure
    figure: str
    limit: float
    note: str
    seconds: float


class Verify(Document, frozen=True):
    """All checks."""

    passed: bool
    full: bool
    seed: int
    checks: list[Check]
    rtl: list[Anything]


class Errors(Document, frozen=True):
    """Errors of a set of measurements, relative."""

    mean_absolute_error: Figure
    bias: Figure
    r: Figure
    mean_absolute_error_of_cores_alone: Figure = None


class Measured(Document, frozen=True):
    """A measurement and its prediction; a row with a reason in ``excluded`` is not judged."""

    row: str
    quantity: str
    unit: str
    measured: Figure
    predicted: Figure
    predicted_core: Figure
    relative_error: Figure
    sigma: Figure
    excluded: str


class MeasuredSet(Document, frozen=True):
    """A set of published measurements."""

    name: str
    chip: str
    kind: str
    dynamic_energy: Errors
    step_time: Errors
    total_energy: Errors
    learning_energy: Errors
    rows: list[Measured]
    fitted: list[str]
    assumptions: list[str]
    core_time_above_measured: list[Anything]


class Silicon(Document, frozen=True):
    """Predictions beside published silicon; means are over judged sets."""

    sets: list[MeasuredSet]
    mean_over_sets: dict[str, Figure]
    vendor_constants_only: dict[str, Figure]
    mark: dict[str, Anything]
    left_out: list[str]
    not_recognised: list[str]


class LearningCostRow(Document, frozen=True):
    """Memory and operations of a step for sequences of T steps."""

    steps: int
    bptt_bytes: int
    bptt_ops: float
    rtrl_bytes: int
    rtrl_ops: float
    seq_bytes: int
    seq_ops: float


class LearningCost(Document, frozen=True):
    """BPTT, RTRL and SEQ by length, and from which length on BPTT needs more memory."""

    parameters: int
    trace_words_per_parameter: float
    break_even_bptt: int | None
    break_even_seq: int | None
    rows: list[LearningCostRow]
    trust: dict[str, str]
    stream: list[dict[str, Anything]]


class Exponential(Document, frozen=True):
    """An exponential fitted to a window."""

    first_lag: int
    r2: Figure
    tau: Figure


class Window(Document, frozen=True):
    """Weight change by the lag between pre- and postsynaptic spike."""

    name: str
    lags: list[int]
    update: list[float]
    fit: Exponential | None
    from_peak: Exponential | None


class StdpWindow(Document, frozen=True):
    """Windows of the pairing experiment and of trained networks."""

    pairing: list[Window]
    trained: list[Anything]
    verdict: str

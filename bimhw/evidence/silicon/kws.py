"""Keyword spotting on Loihi 1 (390-256-[N branches x layers x 256]-256-29): energy per added neuron and step.

One added neuron is updated once a step; at a firing rate p it meets 256 p spikes (fully connected layers of 256), and
sends p spikes, one packet each (a layer of 256 fits one core). With the chip's constants e:

    E [pJ per neuron and step] = e_update + p (256 e_synapse + e_spike + e_packet)

The rate is not published: one rate is fitted on N = 2 and 6 and used for every other row. What is judged is the slope of the
measured energy over the neurons: by least squares over the runs of all other N; from the nearest fitted N, if there is one other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bimhw.evidence.silicon.judge import LINE, DataSet, Row, is_missing, negative, number, positive
from energy_models.chip_energy import chip_energy, counters
from simulator.chips.chip import Chip
from simulator.program.activity import Activity

COLUMNS = ("E_dyn_per_timestep_J", "E_dyn_per_inf_J", "P_dyn_W")
WIDTH = 256
OUTER = 2 * WIDTH  # neurons beside the branches
INFERENCE_STEPS = 10
FIT_ON = (2, 6)
SCALE = 10**9  # counts are integers: this many neuron-steps at once

# Fitted on the six runs of the published summary with N = 2 and 6 (three each): rate by chip file.
STORED_RATE: Mapping[str, float] = {"loihi1-fitted": 0.05972, "loihi1": 0.09025}
STORED_ERROR = "leave-one-out error of that fit: 3.45 % over 6 runs"


def recognises(columns: set[str]) -> bool:
    """Return whether a table of these columns is one of networks of N branches, with an energy or a time."""
    sizes = "n_copies" in columns and not columns.isdisjoint(("n_layers_per_copy", "neurons"))
    return sizes and not columns.isdisjoint((*COLUMNS, "us_per_timestep"))


def predict(name: str, rows: Sequence[Mapping[str, str]], chip: Chip) -> DataSet:
    """Predict energy per added neuron and step; the step times are the host's."""
    runs, gaps = list[Run](), list[str]()
    for r in rows:
        size, joule = neurons_of(r), joules_of(r)
        if size and not size[1]:
            gaps.append(
                f"{_name(r)} is outside the model: without branches the fixed part of chip and host is another one"
            )
        elif size and joule:
            runs.append((*size, joule))
        else:
            why = "is negative" if negative(r, *COLUMNS) else "is not given"
            gaps.append(f"{_name(r)} judges no energy: its N, its layers or its energy {why}")
    rate, how = _rate(runs, chip)
    predicted = neuron_step_pj(chip, rate)
    out, falls = [], []
    for part, why in _parts(runs, how.startswith("fitted here")):
        label, measured = _label(part), slope_pj(part)
        if measured <= 0:
            falls.append(f"{label} judges nothing: the measured energy does not rise")
            continue
        out.append(Row(label, "dynamic energy", "pJ/neuron/step", measured, predicted, excluded=why or _LINE))
    if len(_means(runs)) < 2:
        falls.append("every energy is left out: runs of one size give no slope over the neurons")
    core_us = step_us(chip, rate)
    for r in rows:
        measured_us = number(r, "us_per_timestep")
        if measured_us and core_us is not None:
            out.append(Row(_name(r), "step time", "us/step", measured_us, core_us, excluded=_HOST))
    fitted = (f"firing rate {rate:.4f} per step ({how})", *_leave_one_out(runs, chip))
    return DataSet(name, "kws", chip.name, tuple(out), fitted, (*_ASSUMPTIONS, *falls, *gaps))


def _parts(runs: Sequence[Run], fitted: bool) -> list[tuple[list[Run], str]]:
    """Return the groups of runs whose slope is a row: the fitted ones, which judge nothing, and those that judge."""
    own = [r for r in runs if fitted and r[1] in FIT_ON]
    others = [r for r in runs if r not in own]
    parts = [(own, "the firing rate was fitted on this row")] if own else []
    if own and len(_means(others)) == 1:
        nearest = min({r[0] for r in own}, key=lambda n: abs(n - others[0][0]))
        others = [r for r in runs if r in others or r[0] == nearest]
    return [*parts, (others, "")] if len(_means(others)) > 1 else parts


def _label(runs: Sequence[Run]) -> str:
    means = _means(runs)
    return f"N {' -> '.join(f'{m[1]:g}' for m in means)} ({means[-1][0] - means[0][0]:,} neurons added)"


def _name(row: Mapping[str, str]) -> str:
    return row.get("run") or row.get(LINE) or "run"


_LINE = "a straight line through the fitted slope: any constants give this error"
_HOST = "host-bound: the x86 core and the host set the pace; only the cores' time is shown"
_ASSUMPTIONS = (
    "each added layer has 256 neurons on one core, is fully connected, and sends one packet per spike",
    "the slope of energy over neurons is compared, so the fixed energy of chip and host cancels",
)


def neurons_of(row: Mapping[str, str]) -> tuple[int, float] | None:
    """Return (neurons in the branches, N) of a row; None where it does not tell."""
    copies, layers, neurons = (number(row, c) for c in ("n_copies", "n_layers_per_copy", "neurons"))
    if copies is None:
        return None
    if copies == 0 or layers is not None:
        return round(copies * (layers or 0) * WIDTH), copies
    return None if neurons is None or neurons < OUTER else (round(neurons - OUTER), copies)


def joules_of(row: Mapping[str, str]) -> float | None:
    """Return the dynamic energy of a step [J]: as the row states, or from that of an inference, or from power and time."""
    step, inference, watt = (positive(row, c) for c in COLUMNS)
    us, run, idle = (number(row, c) for c in ("us_per_timestep", "P_run_W", "P_idle_boot_W"))
    if is_missing(row.get("P_dyn_W")) and run and idle:
        watt = run - idle if run > idle else None
    if step:
        return step
    if inference:
        steps, count = number(row, "timesteps"), number(row, "inferences")
        return inference / (steps / count if steps and count else INFERENCE_STEPS)
    return watt * us * 1e-6 if watt and us else None


def neuron_step_pj(chip: Chip, rate: float) -> float:
    """Predict the energy of one neuron and step (equation above), through the itemised report."""
    spikes = round(rate * SCALE)
    counts = {
        "neuron_updates": SCALE,
        "neuron_updates_active": SCALE,
        "synaptic_events": spikes * WIDTH,
        "synaptic_events_dense": spikes * WIDTH,
        "spikes": spikes,
        "packets": spikes,
    }
    report = chip_energy(Activity(counters(counts), 1, 1, ("branch",)), chip)
    return (report.energy_pj("dynamic")) / SCALE


def fit_rate(chip: Chip, pj_per_neuron_step: float) -> float:
    """Return the firing rate at which the prediction equals a measured energy per neuron and step (it is linear in the rate)."""
    silent, full = neuron_step_pj(chip, 0.0), neuron_step_pj(chip, 1.0)
    return max(0.0, (pj_per_neuron_step - silent) / (full - silent))


def step_us(chip: Chip, rate: float) -> float | None:
    """Predict the core time of a step of one layer's core: its soma or its synapses, the later one, and the barrier."""
    t = chip.timing
    if t is None:
        return None

    def ns(name: str) -> float:
        return float(getattr(t, name).value or 0.0)

    spikes = rate * WIDTH
    soma = WIDTH * ns("neuron_update_active") + spikes * (ns("spike_out") + ns("axon_out"))
    synapse = spikes * (ns("message_in") + WIDTH * ns("synapse"))
    return (max(soma, synapse) + ns("barrier")) / 1e3


Run = tuple[int, float, float]  # neurons, N, J per step


def _means(runs: Sequence[Run]) -> list[tuple[int, float, float]]:
    """Return one (neurons, N, mean energy) for each size, in order."""
    out = []
    for neurons in sorted({r[0] for r in runs}):
        same = [r for r in runs if r[0] == neurons]
        out.append((neurons, same[0][1], sum(r[2] for r in same) / len(same)))
    return out


def slope_pj(runs: Sequence[Run]) -> float:
    """Return the slope [pJ per neuron and step] of energy over neurons, by least squares over the runs (two sizes or more)."""
    n = sum(r[0] for r in runs) / len(runs)
    e = sum(r[2] for r in runs) / len(runs)
    return sum((r[0] - n) * (r[2] - e) for r in runs) * 1e12 / sum((r[0] - n) ** 2 for r in runs)


def _slope(runs: Sequence[Run]) -> float | None:
    fitted = [r for r in runs if r[1] in FIT_ON]
    return slope_pj(fitted) if len(_means(fitted)) > 1 else None


def _rate(runs: Sequence[Run], chip: Chip) -> tuple[float, str]:
    slope = _slope(runs)
    if slope is not None:
        return fit_rate(chip, slope), f"fitted here on N = {FIT_ON[0]} and {FIT_ON[1]}"
    if chip.name in STORED_RATE:
        return (
            STORED_RATE[chip.name],
            f"stored: fitted on the published runs of N = {FIT_ON[0]} and {FIT_ON[1]}; {STORED_ERROR}",
        )
    return STORED_RATE["loihi1-fitted"], "stored for loihi1-fitted, used unchanged for this chip"


def _leave_one_out(runs: Sequence[Run], chip: Chip) -> tuple[str, ...]:
    """Return the slope's relative error with each fitted run left out, against the slope that this run itself gives."""
    fitted = [r for r in runs if r[1] in FIT_ON]
    errors = []
    for k, left in enumerate(fitted):
        rest = fitted[:k] + fitted[k + 1 :]
        other = [r for r in rest if r[1] != left[1]]
        slope = _slope(rest)
        if slope is None or not other:
            continue
        mean = sum(r[2] for r in other) / len(other)
        own = (left[2] - mean) * 1e12 / (left[0] - other[0][0])
        errors.append(abs(neuron_step_pj(chip, fit_rate(chip, slope)) - own) / own)
    if not errors:
        return ()
    return (f"leave-one-out error of the fit: {100 * sum(errors) / len(errors):.2f} % over {len(errors)} runs",)

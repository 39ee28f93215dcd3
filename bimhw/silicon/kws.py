"""Keyword spotting on Loihi 1 (390-256-[N branches x layers x 256]-256-29): energy per added neuron and step.

One added neuron is updated once a step; at a firing rate p it meets 256 p spikes (fully connected layers of 256), and
sends p spikes, one packet each (a layer of 256 fits one core). With the chip's constants e:

    E [pJ per neuron and step] = e_update + p (256 e_synapse + e_spike + e_packet)

The rate is not published: one rate is fitted on N = 2 and 6 and used for every other row.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from bimhw.silicon.judge import DataSet, Row, number
from energy_models.chip_energy import chip_energy, counters
from simulator.activity import Activity
from simulator.chip import Chip

COLUMNS = {"n_copies", "n_layers_per_copy", "E_dyn_per_timestep_J", "us_per_timestep"}
WIDTH = 256
FIT_ON = (2, 6)
SCALE = 10**9  # counts are integers: this many neuron-steps at once

# Fitted on the six runs of the published summary with N = 2 and 6 (three each): rate by chip file.
STORED_RATE: Mapping[str, float] = {"loihi1-fitted": 0.05972, "loihi1": 0.09025}


def predict(name: str, rows: Sequence[Mapping[str, str]], chip: Chip) -> DataSet:
    """Energy per added neuron and step between neighbouring N; the step times are the host's."""
    runs = [(*size, joule) for r in rows if (size := neurons_of(r)) and (joule := number(r, "E_dyn_per_timestep_J"))]
    means = _means(runs)
    rate, how = _rate(runs, chip)
    predicted = neuron_step_pj(chip, rate)
    out, falls = [], []
    for (n0, c0, e0), (n1, c1, e1) in itertools.pairwise(means):
        measured = (e1 - e0) * 1e12 / (n1 - n0)
        if measured <= 0:
            falls.append(f"N {c0:g} -> {c1:g} judges nothing: the measured energy does not rise")
            continue
        used = {c0, c1} <= set(FIT_ON) and how.startswith("fitted here")
        out.append(
            Row(
                f"N {c0:g} -> {c1:g} ({n1 - n0:,} neurons added)", "dynamic energy", "pJ/neuron/step", measured, predicted,
                excluded="the firing rate was fitted on this row" if used else "",
            )
        )  # fmt: skip
    for r in rows:
        if measured_us := number(r, "us_per_timestep"):
            why = "host-bound: the x86 core and the host set the pace; the cores' time alone is shown"
            name_of = r.get("run") or "run"
            out.append(Row(name_of, "step time", "us/step", measured_us, step_us(chip, rate), excluded=why))
    fitted = (f"firing rate {rate:.4f} a step ({how})", *_leave_one_out(runs, chip))
    return DataSet(name, "kws", chip.name, tuple(out), fitted, (*_ASSUMPTIONS, *falls))


_ASSUMPTIONS = (
    "added layers of 256 neurons are fully connected, one core each, and send one packet a spike",
    "rows are judged by the increase of energy from one N to the next, so the fixed part of the chip and host drops out",
)


def neurons_of(row: Mapping[str, str]) -> tuple[int, float] | None:
    """(neurons in the branches, N) of a row; None where it does not say."""
    copies, layers = number(row, "n_copies"), number(row, "n_layers_per_copy")
    if copies is None or (layers is None and copies):
        return None
    return round(copies * (layers or 0) * WIDTH), copies


def neuron_step_pj(chip: Chip, rate: float) -> float:
    """Predicted energy of one neuron and step (equation above), through the itemised report."""
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
    """The firing rate at which the prediction equals a measured energy per neuron and step (it is linear in the rate)."""
    silent, full = neuron_step_pj(chip, 0.0), neuron_step_pj(chip, 1.0)
    return max(0.0, (pj_per_neuron_step - silent) / (full - silent))


def step_us(chip: Chip, rate: float) -> float:
    """Core time of a step of one layer's core: its soma and its synapses, the later one, and the barrier."""
    t = chip.timing
    if t is None:
        return float("nan")

    def ns(name: str) -> float:
        return float(getattr(t, name).value or 0.0)

    spikes = rate * WIDTH
    soma = WIDTH * ns("neuron_update_active") + spikes * (ns("spike_out") + ns("axon_out"))
    synapse = spikes * (ns("message_in") + WIDTH * ns("synapse"))
    return (max(soma, synapse) + ns("barrier")) / 1e3


Run = tuple[int, float, float]  # neurons, N, J per step


def _means(runs: Sequence[Run]) -> list[tuple[int, float, float]]:
    """One (neurons, N, mean energy) for each size, in order."""
    out = []
    for neurons in sorted({r[0] for r in runs}):
        same = [r for r in runs if r[0] == neurons]
        out.append((neurons, same[0][1], sum(r[2] for r in same) / len(same)))
    return out


def _slope(runs: Sequence[Run]) -> float | None:
    means = [m for m in _means(runs) if m[1] in FIT_ON]
    if len(means) < 2:
        return None
    (n0, _, e0), (n1, _, e1) = means[0], means[-1]
    return (e1 - e0) * 1e12 / (n1 - n0)


def _rate(runs: Sequence[Run], chip: Chip) -> tuple[float, str]:
    slope = _slope(runs)
    if slope is not None:
        return fit_rate(chip, slope), f"fitted here on N = {FIT_ON[0]} and {FIT_ON[1]}"
    if chip.name in STORED_RATE:
        return STORED_RATE[chip.name], f"stored: fitted on the published runs of N = {FIT_ON[0]} and {FIT_ON[1]}"
    return STORED_RATE["loihi1-fitted"], "stored for loihi1-fitted, used as it is for this chip"


def _leave_one_out(runs: Sequence[Run], chip: Chip) -> tuple[str, ...]:
    """Relative error of the slope with each fitted run left out in turn, against the slope that this run itself gives."""
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

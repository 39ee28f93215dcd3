"""Profiles of known sources, the choice of one where the file itself tells it, and the checks of a profile on a graph."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from bimhw.frontends.nir.graph import FIRING, NEURONS, NirGraph, Node
from bimhw.frontends.nir.order import order
from bimhw.frontends.nir.profile import Profile, Settings, load_profile
from bimhw.frontends.nir.shapes import MOST_VALUES
from simulator.base.arrays import I64, Floats
from simulator.base.errors import InputError, unknown_name

NAMES = (
    "snntorch", "snntorch-zero-delay", "snntorch-subtract", "snntorch-subtract-now", "spikingjelly", "norse", "sinabs",
    "rockpool", "lava-dl", "euler", "exact",
)  # fmt: skip
SNNTORCH_DT = 1e-4  # hard-coded in snnTorch 1.0.0's exporter
SPIKINGJELLY_DT = 1e-4  # the default of its exporter's dt
ROCKPOOL_DT = 1e-3  # the default of its modules
LAVA_DT = 1 / 4096  # its converter writes tau = 1 / decay, and a decay is in 1/4096 a step
NORSE_DT = 1e-3  # the default of its simulation; its exporter then writes tau * dt
WHOLE_INPUT = 0.01  # an IF that adds at most this part of its input in a step is read as one that adds r times it
ROUND_OFF = 1e-6  # float32 time constants may put tau a last bit below dt


def choose(graph: NirGraph, profile: str | None = None, dt: float | None = None, stem: str = "") -> Profile:
    """Return the profile of a run, settled on the graph.

    Args:
        graph: checked graph.
        profile: one of `NAMES`, the path of a JSON file, or None to let the file tell.
        dt: time step (s, or steps where tau is in steps); wins over the profile's.
        stem: name of the model file without suffix, for JSON files that hold several profiles.

    Raises:
        InputError: unknown name, no time step known, or a profile that does not fit the graph.
    """
    if dt is not None and not (math.isfinite(dt) and dt > 0):
        raise InputError("--dt", f"is {dt:g}; a time step must be > 0")
    if profile is None:
        found = _automatic(graph, dt)
    elif profile in NAMES:
        found = _told_gains(graph, named(graph, profile, dt))
    elif Path(profile).suffix == ".json" or Path(profile).exists():
        found = load_profile(profile, stem)
    else:
        raise unknown_name("profile", profile, NAMES, more="or a JSON file")
    found = found.with_dt(dt) if dt is not None and found.default.dt != dt else found
    return settle(graph, found)


def _automatic(graph: NirGraph, dt: float | None) -> Profile:
    """Read as NIR does where the time step is given or written in the file's r and w_in; guess nothing else."""
    if dt is not None:
        return Profile("euler", Settings(dt=dt), notes=("NIR's own reading (Euler, v > threshold, reset to v_reset)",))
    known = derived_dt(graph)
    if known is None:
        node = next(n for n in graph.of_kind(*NEURONS))
        raise InputError(
            f"{graph.source}: {node.where}",
            "does not tell the time step it was made with (NIR stores none, and r is not tau / dt)",
            f"Give --dt SECONDS, or --profile with one of {', '.join(NAMES)} or a JSON file",
        )
    value, why = known
    if value == SNNTORCH_DT and _snntorch_pairs(graph):
        told = (
            f"chosen: snntorch, since {why} with dt = {value:g} and its recurrent pairs NAME.lif, NAME.w_rec are there"
        )
        profile = _snntorch(graph)
        return replace(profile, notes=(told, *profile.notes))
    note = f"chosen: NIR's own reading (Euler, v > threshold, reset to v_reset) with dt = {value:g}, since {why}"
    return Profile("auto", Settings(dt=value), notes=(note, *_soft_reset_warning(graph)))


def _snntorch_pairs(graph: NirGraph) -> bool:
    """Return whether a CubaLIF recurs as snnTorch's exporter writes its RSynaptic."""
    return any(
        a.endswith("lif")
        and b == a.removesuffix("lif") + "w_rec"
        and graph.nodes[a].kind == "CubaLIF"
        and (b, a) in graph.edges
        for a, b in graph.edges
    )


def _soft_reset_warning(graph: NirGraph) -> tuple[str, ...]:
    if not graph.of_kind(*FIRING):
        return ()
    return ("not in the file: a reset by subtraction or several spikes a step (snnTorch's and sinabs' defaults)",)


def tells_dt(graph: NirGraph) -> bool:
    """Return whether a run without profile and time step would be accepted."""
    return not graph.of_kind(*NEURONS) or derived_dt(graph) is not None


def derived_dt(graph: NirGraph) -> tuple[float, str] | None:
    """Return the time step that makes every gain 1 (r = tau / dt, w_in = tau_syn / dt, r of an IF = 1 / dt) and why, or None.

    Every exporter that compensates the unit area of NIR's spikes writes these; a file where they disagree, or where all
    are 1 beside time constants, does not tell its step.
    """
    leaky = [n for n in graph.of_kind(*NEURONS) if n.kind not in ("I", "IF")]
    plain = graph.of_kind("I", "IF")
    if not leaky and all(np.all(n.fields["r"] == 1) for n in plain):
        return 1.0, "no neuron has a time constant and every r is 1 (one step is one unit of time)"
    told = np.concatenate([np.zeros(0), *(v for n in [*leaky, *plain] for v in _told(n))])
    if told.size == 0 or any(np.all(n.fields["r"] == 1) for n in plain):
        return None
    value = _rounded(float(np.median(told)))
    if value is None or (np.abs(told / value - 1) > 1e-3).any():
        return None
    return value, "r = tau / dt there in every neuron"


def _told(node: Node) -> list[Floats]:
    """Return the time steps that the gains of this node tell; gains of 1 tell nothing."""
    f = node.fields
    told = [_steps(f.get("tau", f.get("tau_mem", np.ones(()))), f["r"])]
    return [*told, _steps(f["tau_syn"], f["w_in"])] if "w_in" in f else told


def _steps(tau: Floats, gain: Floats) -> Floats:
    gain, tau = np.broadcast_arrays(gain, tau)
    told = (gain != 1) & (gain != 0) & np.isfinite(gain)
    return np.asarray(tau[told] / gain[told], np.float64)


def _rounded(value: float) -> float | None:
    """Return the number of at most two significant digits that `value` is, up to float32; None where it is no such number."""
    if not math.isfinite(value) or value <= 0:
        return None
    plain = float(f"{value:.1e}")
    return plain if abs(value / plain - 1) < 1e-4 else None


def named(graph: NirGraph, name: str, dt: float | None = None) -> Profile:
    """Return the conventions of a source, for this graph."""
    if name == "snntorch":
        return _snntorch(graph)
    if name == "snntorch-zero-delay":
        return _snntorch_delayed(graph)
    if name == "snntorch-subtract":
        base = Settings(SNNTORCH_DT, reset="subtract_next_step")
        return Profile(name, base, _whole_input(graph, base))
    if name == "snntorch-subtract-now":
        return _snntorch_subtract_now(graph)
    if name == "spikingjelly":
        known = derived_dt(graph)
        note = f"dt = {known[0]:g}, since {known[1]}" if known else f"assumed: dt = {SPIKINGJELLY_DT:g}, its default"
        step = known[0] if known else SPIKINGJELLY_DT
        base = Settings(step, cmp=">=", v_init="v_reset")
        return Profile(name, base, _whole_input(graph, base), notes=() if dt else (note,))
    if name == "norse":
        return _norse(graph, dt)
    if name == "sinabs":
        settings = Settings(1.0, "exp", "multi", "subtract_now")
        return Profile(name, settings, output="counts", notes=("time constants are in steps (dt = 1)",))
    if name == "rockpool":
        return _rockpool(graph, dt)
    if name == "lava-dl":
        note = "assumed: dt = 1/4096, since tau = 1 / decay; weights and thresholds are Loihi's mantissas"
        base = Settings(LAVA_DT, "unit")
        return Profile(name, base, _whole_input(graph, base), notes=() if dt else (note,))
    known = (dt, "") if dt else derived_dt(graph)
    notes = (f"dt = {known[0]:g}, since {known[1]}",) if known and not dt else ()
    return Profile(name, Settings(known[0] if known else None, name), notes=notes)


def _snntorch(graph: NirGraph) -> Profile:
    """Read reset_mechanism 'zero'; the RSynaptic of snnTorch 1.0.0 zeroes its membrane one step late, whatever it is told."""
    base = Settings(SNNTORCH_DT)
    late = replace(base, reset="zero_next_step_input_lost")
    looped = [a for a, b in order(graph).delayed if graph.nodes[a].kind == "CubaLIF"]
    notes = ["assumed: reset_mechanism 'zero' (the file does not say; for 'subtract' use snntorch-subtract)"]
    notes += [f"node {n!r}: recurrent, so its membrane is zeroed after the next step (snnTorch 1.0.0)" for n in looped]
    return Profile("snntorch", base, _whole_input(graph, base) | dict.fromkeys(looped, late), notes=tuple(notes))


def _whole_input(graph: NirGraph, base: Settings) -> dict[str, Settings]:
    """Set dt = 1 for an IF whose r is no gain in 1/s (1/dt), as with snnTorch's beta = 1: it adds r times its input in a step."""
    least = WHOLE_INPUT / (base.dt or 1.0)
    return {n.name: replace(base, dt=1.0) for n in graph.of_kind("IF", "I") if np.all(np.abs(n.fields["r"]) <= least)}


def _told_gains(graph: NirGraph, profile: Profile) -> Profile:
    """Note each IF whose r other than 1 is read as the gain of a whole step."""
    notes = [
        f"node {n.name!r}: its r of {n.fields['r'].min():g} to {n.fields['r'].max():g} is far from 1 / dt, so it is the gain "
        "of a whole step"
        for n in graph.of_kind("IF", "I")
        if profile.of(n.name).dt != profile.default.dt and np.any(n.fields["r"] != 1)
    ]
    return replace(profile, notes=(*profile.notes, *notes))


def _snntorch_delayed(graph: NirGraph) -> Profile:
    """Read reset_mechanism 'zero' with reset_delay=True: all but its plain Leaky lose the input of the step after a spike."""
    base = Settings(SNNTORCH_DT)
    late = replace(base, reset="zero_next_step_input_lost")
    looped = {a for a, _ in order(graph).delayed}
    slow = [n.name for n in graph.of_kind(*FIRING) if n.kind == "CubaLIF" or n.name in looped]
    notes = tuple(f"node {n!r}: zeroed after the next step's integration (reset_delay=True)" for n in slow)
    apart = _whole_input(graph, base)
    apart |= {n: replace(late, dt=apart[n].dt if n in apart else late.dt) for n in slow}
    return Profile("snntorch-zero-delay", base, apart, notes=notes)


def _snntorch_subtract_now(graph: NirGraph) -> Profile:
    """Read reset_mechanism 'subtract' with reset_delay=False, which the RSynaptic of snnTorch 1.0.0 does not heed."""
    base = Settings(SNNTORCH_DT, reset="subtract_now_lowered")
    looped = {a for a, _ in order(graph).delayed if graph.nodes[a].kind == "CubaLIF"}
    late = replace(base, reset="subtract_next_step")
    notes = tuple(f"node {n!r}: recurrent, so it is lowered one step later (snnTorch 1.0.0)" for n in sorted(looped))
    apart = _whole_input(graph, base) | dict.fromkeys(sorted(looped), late)
    return Profile("snntorch-subtract-now", base, apart, notes=notes)


def _rockpool(graph: NirGraph, dt: float | None) -> Profile:
    """Read Rockpool's r = tau e^(-dt/tau) / dt, which tells dt; several spikes a step, each lowers v by the threshold."""
    told = []
    for node in graph.of_kind(*NEURONS):
        tau, r = np.broadcast_arrays(node.fields.get("tau", node.fields.get("tau_mem", np.ones(()))), node.fields["r"])
        told += (tau * _inverse_gain(r)).reshape(-1).tolist()
    value = _rounded(float(np.median(told))) if told else None
    found = value is not None and all(abs(t / value - 1) < 1e-3 for t in told)
    step = value if found and value is not None else ROCKPOOL_DT
    why = "r = tau e^(-dt/tau) / dt there in every neuron" if found else "the default of its modules"
    notes = ["assumed: no bias of a neuron and no w_rec (Rockpool writes neither)"]
    notes += [] if dt else [f"dt = {step:g}: {why}"]
    return Profile("rockpool", Settings(step, "exp_in", "multi", "subtract_now"), output="counts", notes=tuple(notes))


def _inverse_gain(r: Floats) -> Floats:
    """Return x with r = e^(-x) / x, by Newton's method from x e^x = 1 / r."""
    x = np.minimum(1 / np.maximum(r, 1e-9), 1.0)
    for _ in range(50):
        x = x - (x * np.exp(x) - 1 / np.maximum(r, 1e-9)) / (np.exp(x) * (1 + x))
    return x


def _norse(graph: NirGraph, dt: float | None) -> Profile:
    """Read Norse's tau * 1e-3 (or tau, with dt=1.0); an IF adds its whole input whatever the step."""
    taus = [n.fields[k].min() for n in graph.of_kind(*NEURONS) for k in ("tau", "tau_mem", "tau_syn") if k in n.fields]
    scaled = bool(taus) and min(taus) < NORSE_DT
    step = dt or (NORSE_DT**2 if scaled else NORSE_DT)
    why = "its exporter wrote tau * 1e-3" if scaled else "time constants are true seconds"
    base = Settings(step, "norse_jump", v_init="v_leak")
    nodes = _whole_input(graph, base)
    notes = () if dt else (f"dt = {step:g}: {why}",)
    if graph.of_kind(*FIRING):
        notes = (
            *notes,
            "assumed: v_reset = 0 and resets to a value (Norse writes neither v_reset nor its reset method)",
        )
    return Profile("norse", base, nodes, notes=notes)


def settle(graph: NirGraph, profile: Profile) -> Profile:
    """Return the profile with what does not apply noted, once every neuron is known to be runnable under it.

    Raises:
        InputError: by node name: no time step, a factor outside (0, 1], a fractional delay, several spikes a step at a
            threshold that is not positive, an output that is not there.
    """
    notes = list(profile.notes)
    notes += [
        f"profile names the node {n!r}, which the graph does not have" for n in profile.nodes if n not in graph.nodes
    ]
    if profile.default.dt is None and not graph.of_kind(*NEURONS):
        profile = replace(profile, default=replace(profile.default, dt=1.0))
    for node in graph.of_kind(*NEURONS):
        check_settings(graph, node, profile.of(node.name))
    for node in graph.of_kind("Delay"):
        delay_steps(graph, node, profile.of(node.name))
    order(graph, profile.delayed_edges)
    return replace(profile, notes=tuple(dict.fromkeys(notes)))


def check_settings(graph: NirGraph, node: Node, settings: Settings) -> None:
    """Raise `InputError` unless this neuron can be stepped with these settings."""
    where = f"{graph.source}: {node.where}"
    if settings.dt is None:
        raise InputError(where, "has no time step", "Give --dt SECONDS, or a profile with dt")
    for name, factor in factors(node, settings).items():
        wrong = ((factor <= 0) & ~np.isinf(node.fields[name.strip(")").split("/")[1]])) | (factor > 1)
        if wrong.any():
            bad = factor[wrong].reshape(-1)[0]
            raise InputError(
                where,
                f"has a per-step factor {name} = {bad:g} with dt = {settings.dt:g}, outside (0, 1]",
                "Give the time step the file was made with: --dt or a profile",
            )
    if settings.cmp == "multi" and "v_threshold" in node.fields and (node.fields["v_threshold"] <= 0).any():
        raise InputError(where, "has a threshold <= 0, at which floor(v / threshold) spikes say nothing", "Use cmp '>'")


def factors(node: Node, settings: Settings) -> dict[str, Floats]:
    """Return per-step factors by name: dt / tau where the step is Euler's, e^(-dt / tau) where it is exact."""
    dt = settings.dt or 1.0
    euler = settings.integrator in ("euler", "norse_jump", "unit")
    out = {}
    for key in ("tau", "tau_mem", "tau_syn"):
        if key in node.fields:
            ratio = dt / node.fields[key]
            ratio = np.where(np.abs(ratio - 1) < ROUND_OFF, 1.0, ratio)
            out[f"dt/{key}" if euler else f"exp(-dt/{key})"] = ratio if euler else np.exp(-ratio)
    return out


def decays(graph: NirGraph, profile: Profile) -> dict[str, dict[str, tuple[float, float]]]:
    """Return node -> state -> (smallest, largest) factor that the state keeps from one step to the next."""
    out: dict[str, dict[str, tuple[float, float]]] = {}
    for node in graph.of_kind(*NEURONS):
        for name, factor in factors(node, profile.of(node.name)).items():
            kept = 1 - factor if name.startswith("dt/") else factor
            state = "i" if "tau_syn" in name else "v"
            out.setdefault(node.name, {})[state] = (float(kept.min()), float(kept.max()))
    return out


def delay_steps(graph: NirGraph, node: Node, settings: Settings) -> I64:
    """Return the delay of each element in steps.

    Raises:
        InputError: no time step, or a delay that is not a whole number of steps.
    """
    where = f"{graph.source}: {node.where}"
    if settings.dt is None:
        raise InputError(where, "has no time step", "Give --dt SECONDS, or a profile with dt")
    steps = node.fields["delay"] / settings.dt
    whole = np.round(steps)
    if (np.abs(steps - whole) > 1e-6 * np.maximum(1, whole)).any():
        bad = steps[np.abs(steps - whole) > 1e-6 * np.maximum(1, whole)].reshape(-1)[0]
        problem = f"delays by {bad:g} steps of dt = {settings.dt:g}; a delay is a whole number of steps"
        raise InputError(where, problem, "Give the --dt that it was trained with, or round the delay")
    if whole.max(initial=0) > 1_000_000:
        raise InputError(where, f"delays by {whole.max():.0f} steps; 1,000,000 is the most")
    held = (whole.max(initial=0) + 1) * math.prod(node.in_shape)
    if held > MOST_VALUES:
        raise InputError(where, f"holds {held:,.0f} values on their way; {MOST_VALUES:,} is the most", "Delay by less")
    out: I64 = whole.astype(np.int64)
    return out

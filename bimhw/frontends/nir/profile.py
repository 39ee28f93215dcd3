"""Profiles: what a .nir file does not say of how to run it (time step, integrator, threshold, reset, start values).

A profile is one JSON object, or the name of a source whose conventions are filled in here::

    dt            seconds, or time steps where tau is in steps
    integrator    euler       v += dt/tau (v_leak - v + r x);  IF, I: v += dt r x
                  exp         v = e^(-dt/tau) v + x                       (r is not used)
                  exp_in      i = e^(-dt/tau_syn) (i + x); v = e^(-dt/tau_mem) v + i; LI: v = e^(-dt/tau) (v + x)   (w_in, r
                              not used; Rockpool)
                  unit        i = (1 - dt/tau_syn) i + x; v = (1 - dt/tau_mem) v + i       (w_in, r not used; lava-dl)
                  exp_norm    v = a v + (1 - a) x, a = e^(-dt/tau)        (r is not used)
                  norse_jump  i += x; v += dt/tau_mem (v_leak - v + i); i -= dt/tau_syn i   (w_in, r not used)
                  exact       the solution of the differential equation for an input held over the step; IF and LIF cross
                              their threshold within it and go on from v_reset (reset to_v_reset_now)
    cmp           >, >=, multi (floor(v / v_threshold) spikes in a step, v > 0)
    reset         to_v_reset_now, to_v_reset_next_step, subtract_now, subtract_next_step, zero_next_step_input_lost, none,
                  subtract_now_lowered (as subtract_now, but a v that is still above the threshold after it is compared
                  lowered by v_threshold in the next step)
    v_init        zero, v_leak, v_reset
    v_min         lower bound of v, or null
    delayed_edges [[source, target], ...] that carry the previous step's value
    output        spikes (at most 1 a step), counts, membrane; by default counts where a neuron is multi, else spikes
    type_check    false where nir's own check refuses a good file (ours repairs those files, and says so)
    nodes         {node: any of dt, integrator, cmp, reset, v_init, v_min}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulator.base.errors import InputError
from simulator.base.reading import parse_json, read_text

CHOICES = {
    "integrator": ("euler", "exp", "exp_in", "exp_norm", "norse_jump", "unit", "exact"),
    "cmp": (">", ">=", "multi"),
    "reset": ("to_v_reset_now", "to_v_reset_next_step", "subtract_now", "subtract_next_step",
              "zero_next_step_input_lost", "none", "subtract_now_lowered"),
    "v_init": ("zero", "v_leak", "v_reset"),
    "output": ("spikes", "counts", "membrane"),
}  # fmt: skip
_NODE_KEYS = ("dt", "integrator", "cmp", "reset", "v_init", "v_min")
_FILE_KEYS = (*_NODE_KEYS, "delayed_edges", "output", "type_check", "nodes")
_COMMENTS = ("note", "name")  # for people; never reported as unknown
_MAX_PROFILE_BYTES = 10_000_000


@dataclass(frozen=True)
class Settings:
    """Settings of one neuron's step; the fields are the keys of the module's docstring."""

    dt: float | None = None
    integrator: str = "euler"
    cmp: str = ">"
    reset: str = "to_v_reset_now"
    v_init: str = "zero"
    v_min: float | None = None


@dataclass(frozen=True)
class Profile:
    """Profile of a file.

    Attributes:
        name: where it comes from, for people.
        default: settings of every neuron that `nodes` does not name.
        nodes: settings of single neurons.
        delayed_edges: edges that carry the previous step's value, beside those that close a cycle.
        output: what is read at the graph's Output.
        notes: what was assumed, ignored or chosen, said aloud with every result.
    """

    name: str
    default: Settings
    nodes: Mapping[str, Settings] = field(default_factory=dict)
    delayed_edges: tuple[tuple[str, str], ...] = ()
    output: str = "spikes"
    notes: tuple[str, ...] = ()

    def of(self, node: str) -> Settings:
        """Return the settings of the neuron of this name."""
        return self.nodes.get(node, self.default)

    def with_dt(self, dt: float) -> Profile:
        """Return the profile with another time step for every node that has none of its own."""
        return replace(self, default=replace(self.default, dt=dt), notes=(*self.notes, f"dt = {dt:g} as given"))


def load_profile(path: Path | str, stem: str = "") -> Profile:
    """Load a profile from a JSON file: one profile, or an object of profiles by file name of which `stem` is taken.

    Raises:
        InputError: not JSON, or a value that is not one of those above (with its path in the file).
    """
    path = Path(path)
    raw = parse_json(read_text(path, _MAX_PROFILE_BYTES), path)
    if (
        isinstance(raw, dict)
        and raw
        and not set(raw) & set(_FILE_KEYS)
        and all(isinstance(v, dict) for v in raw.values())
    ):
        if stem not in raw:
            raise InputError(str(path), f"has no profile {stem!r}", f"It has: {', '.join(sorted(raw))}")
        return parse_profile(raw[stem], f"{path.name}: $.{stem}")
    return parse_profile(raw, f"{path.name}: $")


def parse_profile(raw: Any, where: str) -> Profile:
    """Parse a profile from decoded JSON; `where` names the place in errors."""
    if not isinstance(raw, dict):
        raise InputError(where, f"is {type(raw).__name__}, not an object of profile keys")
    notes = _unknown(raw, _FILE_KEYS, where)
    default = _settings(raw, Settings(), where)
    nodes = _object(raw.get("nodes", {}), f"{where}.nodes")
    settings: dict[str, Settings] = {}
    for node, keys in nodes.items():
        at = f"{where}.nodes.{node}"
        notes += _unknown(_object(keys, at), _NODE_KEYS, at)
        settings[node] = _settings(keys, default, at)
    if not isinstance(raw.get("type_check", True), bool):
        raise InputError(f"{where}.type_check", f"is {raw['type_check']!r}, not true or false")
    several = any(s.cmp == "multi" for s in (default, *settings.values()))
    output = _choice(raw, "output", "counts" if several else "spikes", where)
    return Profile(where, default, settings, _edges(raw, where), output, tuple(notes))


def _unknown(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> list[str]:
    return [f"{where}.{key} is not a profile key; ignored" for key in raw if key not in known and key not in _COMMENTS]


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(where, f"is {type(value).__name__}, not an object")
    return value


def _settings(raw: Mapping[str, Any], base: Settings, where: str) -> Settings:
    dt = _number(raw, "dt", base.dt, where)
    if dt is not None and dt <= 0:
        raise InputError(f"{where}.dt", f"is {dt:g}; a time step must be > 0")
    choices = {k: _choice(raw, k, getattr(base, k), where) for k in ("integrator", "cmp", "reset", "v_init")}
    return Settings(dt=dt, v_min=_number(raw, "v_min", base.v_min, where), **choices)


def _choice(raw: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = raw.get(key, default)
    if value not in CHOICES[key]:
        raise InputError(f"{where}.{key}", f"is {value!r}", f"Use one of: {', '.join(CHOICES[key])}")
    return str(value)


def _number(raw: Mapping[str, Any], key: str, default: float | None, where: str) -> float | None:
    value = raw.get(key, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}.{key}", f"is {value!r}, not a finite number")
    return float(value)


def _edges(raw: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    value = raw.get("delayed_edges", [])
    good = isinstance(value, list) and all(
        isinstance(e, list) and len(e) == 2 and all(isinstance(n, str) for n in e) for e in value
    )
    if not good:
        raise InputError(f"{where}.delayed_edges", f"is {value!r}, not [[source, target], ...]")
    return tuple((a, b) for a, b in value)

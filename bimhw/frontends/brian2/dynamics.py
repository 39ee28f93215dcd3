"""Equations, threshold and reset of a Brian2 NeuronGroup -> parameters of `leaky` or `leaky_cuba`.

Brian2 itself turns the differential equations into the update of one step (its ``method``), which must be linear::

    v' = a v + c I + b        I' = a_u I           (I only where there is a second equation)

Brian2 adds what arrives after the threshold, so the next step's leak acts on it: a weight into v counts ``a w`` here, one
into I counts ``c w``. A reset to a value comes after the synapses, so that what reaches v in the step of a spike is lost
(reset LOST, to ``a v_reset + b``); what reaches I is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.base.arrays import Floats
from simulator.base.errors import InputError
from simulator.neurons import leaky


@dataclass(frozen=True, eq=False)
class Dynamics:
    """A group on the chip: model, its parameters, the variable that synapses may write, and the gain [n] of a weight."""

    model: str
    params: Mapping[str, Floats]
    receives: str
    gain: Floats


def dynamics_of(group: Any, namespace: Mapping[str, Any]) -> Dynamics:
    """Return the dynamics of a NeuronGroup.

    Raises:
        InputError: what the subset does not hold, by the group's name.
    """
    where, states = f"NeuronGroup {group.name!r}", list(group.equations.diff_eq_names)
    if group._refractory is not False:
        raise InputError(where, "has a refractory time", "Leave `refractory` out")
    if set(group.events) != {"spike"} or not 1 <= len(states) <= 2:
        raise InputError(
            where,
            f"has the events {sorted(group.events)} and the equations of {states}",
            "Use one threshold, an equation for v and at most one for a synaptic current",
        )
    v, theta, compare = _threshold(group, namespace, states, where)
    a, c, b, keep_u = _step(group, namespace, v, [s for s in states if s != v], where)
    params = {"keep": a, "bias": b, "theta": theta, "cmp": compare, "v_init": _start(group, v)}
    current = next((s for s in states if s != v), None)
    if current is not None and _start(group, current).any():
        raise InputError(where, f"starts with {current} other than 0", "Start the synaptic current at 0")
    params |= _reset(group, namespace, v, params, current is None, where)
    params |= {"keep_u": keep_u, "bias_u": 0 * a} if current is not None else {}
    if (a < 0).any() or (a > 1).any() or (keep_u < 0).any() or (keep_u > 1).any():
        raise InputError(where, "keeps a factor outside 0..1 of v from step to step", "Take dt < tau, both positive")
    plain = {"v_min": -np.inf, "fires": 1.0, "sh_out": 0.0, "wait": 1.0}
    floats = {k: np.asarray(x, np.float64) for k, x in (plain | params).items()}
    return Dynamics("leaky" if current is None else "leaky_cuba", floats, current or v, a if current is None else c)


def _start(group: Any, name: str) -> Floats:
    return np.array(group.variables[name].get_value(), np.float64)


def _step(group: Any, namespace: Mapping[str, Any], v: str, rest: list[str], where: str) -> tuple[Floats, ...]:
    """Return (a, c, b, a_u) of the update of one step; c and a_u are 0 without a second equation."""
    import sympy

    new = {str(k): e for k, e in _update(group, namespace, where).items()}
    symbols = {n: sympy.Symbol(n, real=True) for n in (v, *rest)}
    at_zero = dict.fromkeys(symbols.values(), 0)
    slopes = {(n, m): sympy.expand(sympy.diff(new[n], symbols[m])) for n in symbols for m in symbols}
    if any(e.free_symbols & set(symbols.values()) for e in slopes.values()):
        raise InputError(where, "has an equation that is not linear", "Use dv/dt = (v_rest - v + R*I)/tau")
    zero = sympy.Integer(0)
    wanted = [slopes[v, v], slopes[v, rest[0]] if rest else zero, new[v].xreplace(at_zero)]
    wanted.append(slopes[rest[0], rest[0]] if rest else zero)
    a, c, b, keep_u = (evaluate(e, group, namespace, where) for e in wanted)
    for u in rest:
        if evaluate(slopes[u, v], group, namespace, where).any() or (
            evaluate(new[u].xreplace(at_zero), group, namespace, where).any()
        ):
            raise InputError(where, f"has a current {u} that does more than decay", f"Use d{u}/dt = -{u}/tau_s")
    return a, c, b, keep_u


def _update(group: Any, namespace: Mapping[str, Any], where: str) -> dict[Any, Any]:
    """Return variable -> its value after a step, as Brian2's own integration method writes it."""
    import sympy
    from brian2.parsing.statements import parse_statement
    from brian2.parsing.sympytools import str_to_sympy
    from brian2.stateupdaters.base import StateUpdateMethod

    equations, updater = group.equations, group.state_updater
    variables = resolve(group, equations.names | equations.identifiers | {"dt"}, namespace, where)
    try:
        code = StateUpdateMethod.apply_stateupdater(
            equations, variables, updater.method_choice, method_options=updater.method_options, group_name=group.name
        )
        values: dict[Any, Any] = {}
        for line in filter(str.strip, code.splitlines()):
            name, op, expression, _ = parse_statement(line)
            if op != "=":
                raise ValueError(f"the update holds {line!r}")
            values[sympy.Symbol(name, real=True)] = str_to_sympy(expression).xreplace(values)
    except (ValueError, SyntaxError, NotImplementedError, TypeError, AttributeError) as error:
        raise InputError(
            where, f"its equations cannot be imported: {error}", "Use a linear equation without noise"
        ) from error
    return values


def _threshold(group: Any, namespace: Mapping[str, Any], states: list[str], where: str) -> tuple[str, Floats, float]:
    import sympy
    from brian2.parsing.sympytools import str_to_sympy

    text = group.events["spike"]
    test = str_to_sympy(text)
    if not isinstance(test, sympy.Rel) or not hasattr(test, "gts") or str(test.gts) not in states:
        raise InputError(where, f"has the threshold {text!r}", "Use 'v > X' or 'v >= X'")
    how = leaky.ABOVE if isinstance(test, sympy.StrictGreaterThan | sympy.StrictLessThan) else leaky.REACHED
    return str(test.gts), evaluate(test.lts, group, namespace, where), float(how)


def _reset(
    group: Any, namespace: Mapping[str, Any], v: str, params: Mapping[str, Any], lost: bool, where: str
) -> dict[str, Any]:
    from brian2.parsing.sympytools import str_to_sympy

    text = group.event_codes.get("spike") or ""
    name, op, expression = statement(text, where, "reset")
    if name != v or op not in ("=", "-="):
        raise InputError(where, f"has the reset {text!r}", f"Use '{v} = X' or '{v} -= X'")
    value = evaluate(str_to_sympy(expression), group, namespace, where)
    if op == "=":
        to = params["keep"] * value + params["bias"] if lost else value
        return {"reset": float(leaky.LOST if lost else leaky.HARD), "v_reset": to}
    if (value != params["theta"]).any():
        raise InputError(where, f"lowers v by another value than its threshold: {text!r}", "Subtract the threshold")
    return {"reset": float(leaky.SOFT), "v_reset": 0.0}


def statement(code: str, where: str, what: str) -> tuple[str, str, str]:
    """Parse code that must be one statement: (variable, operation, expression)."""
    from brian2.parsing.statements import parse_statement

    try:
        name, op, expression, _ = parse_statement(code.strip())
    except ValueError as error:
        raise InputError(where, f"has the {what} {code!r}", "Use one statement") from error
    return str(name), str(op), str(expression)


def resolve(group: Any, names: Any, namespace: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Resolve Brian2's variables of these names."""
    try:
        return dict(group.resolve_all(sorted(names), namespace, user_identifiers=set()))
    except (KeyError, TypeError) as error:
        raise InputError(where, f"uses a name that is not known: {error}", "Give it in `namespace`") from error


def evaluate(expression: Any, group: Any, namespace: Mapping[str, Any], where: str) -> Floats:
    """Evaluate an expression of constants and parameters, values [n] in base SI units."""
    import sympy

    names = sorted(str(s) for s in expression.free_symbols)
    equations, variables = group.equations, resolve(group, names, namespace, where)
    own = {n for n in names if n in group.variables and n not in (*equations.parameter_names, "dt", "N", "i", "j")}
    if own or expression.atoms(sympy.core.function.AppliedUndef):
        raise InputError(where, f"uses {expression}, which is not constant", "Use constants and parameters")
    with np.errstate(all="ignore"):
        value = sympy.lambdify([sympy.Symbol(n, real=True) for n in names], expression, "numpy")(
            *(np.asarray(variables[n].get_value(), np.float64) for n in names)
        )
    out = np.broadcast_to(np.asarray(value, np.float64), (len(group),)).copy()
    if not np.isfinite(out).all():
        raise InputError(where, f"{expression} is not finite", "Check its constants")
    return out

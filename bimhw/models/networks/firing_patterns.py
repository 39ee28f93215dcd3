"""The twenty firing patterns of Izhikevich (2004) with their constants and currents, for `simulator.neurons.izhikevich_fine`.

Constants and currents are those of the author's published script, which made figure 1 of "Which model to use for cortical spiking
neurons?" (IEEE Trans. Neural Networks 15:1063); so are the step of each and the order of the two updates, on which two patterns
(bistability, inhibition-induced bursting) depend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simulator.base.arrays import Floats
from simulator.neurons.izhikevich_fine import ONE, RATE_FRAC


@dataclass(frozen=True)
class FiringPattern:
    """One pattern.

    Attributes:
        name: as in the source.
        constants: a, b, c, d.
        span_ms: duration.
        v_mv: v before the first step.
        current: times in ms -> I in mV/ms.
        dt_ms: step.
        u_mv: u before the first step; None: b v.
        changed: k1, k0, offset, decays where they are not those of the neuron of 2003.
    """

    name: str
    constants: tuple[float, float, float, float]
    span_ms: float
    v_mv: float
    current: Callable[[Floats], Floats]
    dt_ms: float = 0.25
    u_mv: float | None = None
    changed: dict[str, float] = field(default_factory=dict)

    def currents(self) -> Floats:
        """Return I at every step, [T], mV/ms, in whole 1/65536."""
        at = np.asarray(np.arange(round(self.span_ms / self.dt_ms)) * self.dt_ms, np.float64)
        return np.asarray(np.round(self.current(at) * ONE) / ONE, np.float64)

    def words(self) -> dict[str, float]:
        """Return the parameters of the neuron model, in the units of its words."""
        a, b, c, d = self.constants
        u = b * self.v_mv if self.u_mv is None else self.u_mv
        whole = {
            "b": b,
            "c": c,
            "d": d,
            "v_init": self.v_mv,
            "u_init": u,
            "k1": 5.0,
            "k0": 140.0,
            "offset": 0.0,
            "dt": self.dt_ms,
            "bias": 0.0,
        }
        whole |= {name: value for name, value in self.changed.items() if name != "decays"}
        out = {name: float(round(value * ONE)) for name, value in whole.items()}
        return out | {"a": float(round(a * self.dt_ms * 2**RATE_FRAC)), "decays": self.changed.get("decays", 1.0)}


def _steps(*parts: tuple[float, float, float], rest: float = 0.0) -> Callable[[Floats], Floats]:
    """Return a current that is `value` between two times, for (begin, end, value), and `rest` elsewhere."""

    def current(t: Floats) -> Floats:
        out = np.full(t.shape, rest)
        for begin, end, value in parts:
            out[(t > begin) & (t < end)] = value
        return out

    return current


def _ramp(begin: float, slope: float, rest: float = 0.0) -> Callable[[Floats], Floats]:
    return lambda t: rest + np.where(t > begin, slope * (t - begin), 0.0)


def _accommodation(t: Floats) -> Floats:
    slow, fast = np.where(t < 200, t / 25, 0.0), (t >= 300) & (t < 312.5)
    return np.where(fast, (t - 300) / 12.5 * 4, slow)


_INF = np.inf
_TYPE_1 = {"k1": 4.1, "k0": 108.0}
PATTERNS = (
    FiringPattern("tonic spiking", (0.02, 0.2, -65, 6), 100, -70, _steps((10, _INF, 14))),
    FiringPattern("phasic spiking", (0.02, 0.25, -65, 6), 200, -64, _steps((20, _INF, 0.5))),
    FiringPattern("tonic bursting", (0.02, 0.2, -50, 2), 220, -70, _steps((22, _INF, 15))),
    FiringPattern("phasic bursting", (0.02, 0.25, -55, 0.05), 200, -64, _steps((20, _INF, 0.6)), dt_ms=0.2),
    FiringPattern("mixed mode", (0.02, 0.2, -55, 4), 160, -70, _steps((16, _INF, 10))),
    FiringPattern("spike frequency adaptation", (0.01, 0.2, -65, 8), 85, -70, _steps((8.5, _INF, 30))),
    FiringPattern("class 1 excitable", (0.02, -0.1, -55, 6), 300, -60, _ramp(30, 0.075), changed=_TYPE_1),
    FiringPattern("class 2 excitable", (0.2, 0.26, -65, 0), 300, -64, _ramp(30, 0.015, -0.5)),
    FiringPattern("spike latency", (0.02, 0.2, -65, 6), 100, -70, _steps((10, 13, 7.04)), dt_ms=0.2),
    FiringPattern("subthreshold oscillations", (0.05, 0.26, -60, 0), 200, -62, _steps((20, 25, 2))),
    FiringPattern(
        "resonator", (0.1, 0.26, -60, -1), 400, -62,
        _steps((40, 44, 0.65), (60, 64, 0.65), (280, 284, 0.65), (320, 324, 0.65)),
    ),
    FiringPattern(
        "integrator", (0.02, -0.1, -55, 6), 100, -60,
        _steps((100 / 11, 100 / 11 + 2, 9), (100 / 11 + 5, 100 / 11 + 7, 9), (70, 72, 9), (80, 82, 9)), changed=_TYPE_1,
    ),
    FiringPattern("rebound spike", (0.03, 0.25, -60, 4), 200, -64, _steps((20, 25, -15)), dt_ms=0.2),
    FiringPattern("rebound burst", (0.03, 0.25, -52, 0), 200, -64, _steps((20, 25, -15)), dt_ms=0.2),
    FiringPattern(
        "threshold variability", (0.03, 0.25, -60, 4), 100, -64, _steps((10, 15, 1), (80, 85, 1), (70, 75, -6))
    ),
    FiringPattern(
        "bistability", (0.1, 0.26, -60, 0), 300, -61, _steps((37.5, 42.5, 1.24), (216, 221, 1.24), rest=0.24)
    ),
    FiringPattern("depolarizing after-potential", (1, 0.2, -60, -21), 50, -70, _steps((9, 11, 20)), dt_ms=0.1),
    FiringPattern(
        "accommodation", (0.02, 1, -55, 4), 400, -65, _accommodation, dt_ms=0.5, u_mv=-16,
        changed={"decays": 0.0, "offset": 65.0},
    ),
    FiringPattern("inhibition-induced spiking", (-0.02, -1, -60, 8), 350, -63.8, _steps((50, 250, 75), rest=80), dt_ms=0.5),
    FiringPattern("inhibition-induced bursting", (-0.026, -1, -45, -2), 350, -63.8, _steps((50, 250, 75), rest=80), dt_ms=0.5),
)  # fmt: skip

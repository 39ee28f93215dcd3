"""Random networks that a cross-check can be run on: every model with a float twin, sizes, delays and wirings drawn.

Weights and parameters are dyadic (few bits after the point), so that sums do not depend on their order and a tie at the
threshold is the same tie on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mapping.network import Network
from simulator.base.names import INPUT_MODEL
from simulator.neurons.base import get
from simulator.neurons.s6 import states_of
from simulator.program.graph import Population, Projection, dense_to_csr

Floats = npt.NDArray[np.float64]
MODELS = (
    "lif", "if", "li", "izhikevich", "loihi_cuba", "leaky", "leaky_cuba", "readout_li", "readout_li_two",
    "bim_d_delta", "bim_d_exp", "bim_d_alpha", "bim_d_alpha_adaptive", "leaky_graded", "bim_d_exp_graded",
    "s6_zoh_alpha_n2", "s6_euler_delta_n3_adaptive", "s6_zoh_exp_n1_graded", "s6_project",
)  # fmt: skip


def random_network(seed: int, max_size: int = 200, max_delay: int = 62) -> Network:
    """A float network of an input and two to four populations, forward and recurrent projections."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(2, max(3, max_size // 4))) for _ in range(1 + int(rng.integers(2, 5)))]
    populations = [Population("in", INPUT_MODEL, sizes[0], role="input")]
    for k, size in enumerate(sizes[1:], start=1):
        model = MODELS[(seed + k) % len(MODELS)] if k == 1 else str(rng.choice(MODELS))
        params = {n: np.broadcast_to(v, (size,)).copy() for n, v in _params(model, rng, size).items()}
        populations.append(Population(f"p{k}", model, size, params, layer=int(rng.integers(0, 4))))
    projections = []
    for target in populations[1:]:
        sources = {populations[0].name, str(rng.choice([p.name for p in populations]))}
        if target.model == "izhikevich":  # it amplifies the last bit of a graded sum, whose order is not ours to choose
            sources = {n for n in sources if n == "in" or get(_model(populations, n)).emits != "graded"}
        for name in sorted(sources):
            source = next(p for p in populations if p.name == name)
            for port in get(target.model).ports:
                projections.append(_projection(f"{name}-{target.name}-{port}", source, target, port, rng, max_delay))
    return Network("float", tuple(populations), tuple(projections))


def _model(populations: list[Population], name: str) -> str:
    return next(p.model for p in populations if p.name == name)


def random_inputs(network: Network, steps: int, seed: int) -> dict[str, Floats]:
    """Binary spikes at a random rate for the network's input."""
    rng = np.random.default_rng([seed, 1])
    size = network.population("in").size
    return {"in": (rng.random((steps, size)) < rng.uniform(0.05, 0.4)).astype(np.float64)}


def _projection(
    name: str, source: Population, target: Population, port: str, rng: np.random.Generator, max_delay: int
) -> Projection:
    unit = {"izhikevich": 512.0, "loihi_cuba": 8.0, "lif": 16.0, "if": 16.0, "li": 16.0}.get(target.model, 2**-3)
    if source.model != INPUT_MODEL and get(source.model).emits == "graded":
        unit = unit * 2.0**-6
    dense = np.round(rng.normal(0.3, 1.0, (target.size, source.size)) * 8) / 8 * unit
    dense *= rng.random(dense.shape) < rng.uniform(0.1, 0.9)
    indptr, indices, values = dense_to_csr(dense)
    delay = int(rng.integers(0, max_delay + 1)) if rng.random() < 0.5 else 0
    return Projection(name, source.name, target.name, port, indptr, indices, values, delay)


def _params(model: str, rng: np.random.Generator, size: int) -> dict[str, Any]:
    def grid(low: float, high: float, step: float = 2**-6) -> Floats:
        return np.round(rng.uniform(low, high, size) / step) * step

    flag = float(rng.integers(2))
    if model in ("lif", "if", "li"):
        common: dict[str, Any] = {"bias": grid(-4, 8), "v_init": grid(-8, 8)}
        if model == "li":
            return common | {"dv": grid(1, 2000, 1)}
        common |= {"vth": grid(16, 80), "v_reset": grid(-8, 0), "soft": flag}
        if model == "if":
            return common
        return common | {"dv": grid(0, 2000, 1), "refractory": float(rng.integers(4)), "strict": float(rng.integers(2))}
    if model == "izhikevich":
        regular = {"a": 1311.0, "b": 13107.0, "c": -16640.0, "d": 2048.0, "v_init": -16640.0, "u_init": -3328.0}
        return regular | {"bias": grid(0, 3000, 1)}
    if model == "loihi_cuba":
        decay = {"du": grid(100, 3000, 1), "dv": grid(10, 2000, 1), "vth": grid(5, 60, 1)}
        zero = dict.fromkeys(("noise_target", "noise_exp", "noise_mant"), 0.0)
        return decay | zero | {"bias_mant": grid(0, 40, 1), "bias_exp": 6.0, "refractory": float(rng.integers(3))}
    if model.startswith("leaky"):
        values: dict[str, Any] = {
            "keep": grid(0.25, 1),
            "bias": grid(-0.1, 0.3),
            "theta": grid(0.5, 1.5),
            "v_reset": grid(-0.25, 0.25),
        }
        values |= {
            "v_init": 0.0,
            "v_min": -8.0,
            "cmp": float(rng.integers(3 if model.endswith("graded") else 2)),
            "reset": float(rng.integers(6)),
        }
        values |= {"fires": float(rng.integers(2)) if model.endswith("graded") else 1.0, "sh_out": 0.0}
        return values | ({"keep_u": grid(0.25, 0.9), "bias_u": 0.0} if "cuba" in model else {})
    if model.startswith("readout_li"):
        own = {"k": grid(0, 0.95), "b": grid(-1, 1)}
        return own | ({"k_v": grid(0, 0.95)} if model.endswith("_two") else {})
    return _bim_params(model, rng, grid)


def _bim_params(model: str, rng: np.random.Generator, grid: Any) -> dict[str, Any]:
    from simulator.neurons.psp import psp_constants

    if model == "s6_project":
        return {"b": grid(-0.5, 1)}
    psp = model.split("_")[2]
    k = psp_constants(psp, rng.uniform(1, 8), rng.uniform(0.5, 6), "dc")  # type: ignore[arg-type]  # one of the three
    values: dict[str, Any] = {
        "b_z": grid(-0.5, 0.5),
        "b_d": grid(-2, 1),
        "b_c": grid(-0.5, 1),
        "D": grid(0.5, 1.5),
        "a": 1.0,
    }
    values |= {"theta": grid(0.25, 1), "n_ref": float(rng.integers(3)), "hard": float(rng.integers(2))}
    values |= {"kap": k.kap, "gain": k.c if psp != "delta" else k.p_vi * k.c}
    values |= {"rho": k.rho, "b": k.b, "p_vi": k.p_vi, "p_vr": k.p_vr}
    values |= {"graded": float(model.endswith("graded")), "beta": 0.0, "rho_a": 0.0}
    if model.startswith("s6_"):
        values |= {"zoh": float("_zoh_" in model), **{f"l{n}": grid(-1, 1) for n in range(states_of(model))}}
        del values["b_c"], values["a"]
    return values | ({"beta": grid(0.1, 0.5), "rho_a": grid(0.5, 0.9)} if "adaptive" in model else {})

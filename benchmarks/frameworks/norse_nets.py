"""Norse: LIFBoxCell, LIFCell, LIBoxCell and IAFCell, with the parameters that its exporter writes."""

from __future__ import annotations

from functools import partial
from typing import Any

import norse.torch as norse
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.utils.export_nir import to_nir
from torch import Tensor, nn

from benchmarks.frameworks.common import HIDDEN, INPUTS, OUTPUTS, Made, Make, randomise, stimuli, uniform

_PARAMETERS = {
    "LIFBoxCell": norse.LIFBoxParameters, "LIFCell": norse.LIFParameters, "LIBoxCell": norse.LIBoxParameters,
    "IAFCell": norse.IAFParameters,
}  # fmt: skip
_NOT_SPREAD = ("method", "alpha", "reset_method")


def _cell(kind: str, shape: tuple[int, ...], **values: Any) -> nn.Module:
    """Return a cell with parameters of this shape (Norse's own are scalars, which NIR's writer cannot pack)."""
    given = _PARAMETERS[kind]()._asdict() | values
    spread = {
        k: v if k in _NOT_SPREAD or (torch.is_tensor(v) and v.dim()) else torch.full(shape, float(v))
        for k, v in given.items()
    }
    return getattr(norse, kind)(_PARAMETERS[kind](**spread))


@torch.no_grad()
def _made(
    cells: list[nn.Module],
    x: Tensor,
    gain: float,
    dt: float = 1e-3,
    told: float | None = None,
    profile: Any = "norse",
    sample: Tensor | None = None,
) -> Made:
    net = randomise(norse.SequentialState(*cells), gain)
    state, outs = None, []
    for step in x:
        out, state = net(step, state)
        outs.append(out)
    return Made(to_nir(net, x[0] if sample is None else sample, dt=dt), x, torch.stack(outs), profile, told)


def _stack(
    kind: str,
    gain: float,
    last: str = "",
    bias: bool = True,
    one: bool = False,
    how: dict[str, Any] | None = None,
    **values: Any,
) -> Made:
    shapes = [(1,), (1,)] if one else [(HIDDEN,), (OUTPUTS,)]
    cells = [nn.Linear(INPUTS, HIDDEN, bias), _cell(kind, shapes[0], **values)]
    cells += [nn.Linear(HIDDEN, OUTPUTS, bias), _cell(last or kind, shapes[1], **({} if last else values))]
    return _made(cells, stimuli(INPUTS), gain, **(how or {}))


def _own(gain: float) -> Made:
    """Other parameters in each neuron."""
    taus = uniform(HIDDEN, 100, 400), uniform(OUTPUTS, 100, 400)
    first = _cell("LIFBoxCell", (HIDDEN,), tau_mem_inv=taus[0], v_th=uniform(HIDDEN, 0.4, 1.0))
    cells = [nn.Linear(INPUTS, HIDDEN), first, nn.Linear(HIDDEN, OUTPUTS)]
    return _made([*cells, _cell("LIFBoxCell", (OUTPUTS,), tau_mem_inv=taus[1])], stimuli(INPUTS), gain)


def _conv(kind: str, conv: dict[str, Any], first: tuple[int, ...], second: tuple[int, ...], gain: float) -> Made:
    cells = [nn.Conv2d(2, 4, 3, **conv), _cell(kind, first), nn.Conv2d(4, 2, 2), _cell(kind, second)]
    return _made(cells, stimuli(2, 9, 8), gain)


def cases() -> dict[str, Make]:
    """Name -> how to make it."""
    box, lif = partial(_stack, "LIFBoxCell", 4.0), partial(_stack, "LIFCell", 1.5)
    subtract = {"dt": 1e-6, "v_init": "v_leak", "reset": "subtract_now"}
    return {
        "norse-box": box,
        "norse-box-one-parameter": partial(box, one=True),
        "norse-box-own-parameters": partial(_own, 2.5),
        "norse-box-leak": partial(_stack, "LIFBoxCell", 2.0, tau_mem_inv=300.0, v_th=0.6, v_leak=0.1),
        "norse-box-no-bias": partial(box, bias=False),
        "norse-box-dt-1": partial(box, how={"dt": 1.0}),
        "norse-box-dt-1e-4": partial(box, how={"dt": 1e-4, "told": 1e-7}),
        "norse-box-subtract": partial(box, reset_method=reset_subtract, how={"profile": subtract}),
        "norse-box-unbatched": partial(box, how={"sample": stimuli(INPUTS)[0, 0]}),
        "norse-box-one-sample": partial(box, how={"sample": stimuli(INPUTS)[0, :1]}),
        "norse-lif": lif,
        "norse-lif-dt-1": partial(lif, how={"dt": 1.0}),
        "norse-lif-leak": partial(_stack, "LIFCell", 0.7, tau_mem_inv=400.0, tau_syn_inv=500.0, v_th=0.5, v_leak=-0.1),
        "norse-lif-li": partial(_stack, "LIFCell", 1.5, last="LIBoxCell"),
        "norse-box-li": partial(_stack, "LIFBoxCell", 4.0, last="LIBoxCell"),
        "norse-iaf": partial(_stack, "IAFCell", 0.6),
        "norse-iaf-lif": partial(_stack, "IAFCell", 1.0, last="LIFCell"),
        "norse-conv": partial(_conv, "LIFBoxCell", {"stride": 2, "padding": 1}, (4, 5, 4), (2, 4, 3), 4.0),
        "norse-conv-by-channel": partial(_conv, "LIFBoxCell", {"stride": 2, "padding": 1}, (4, 1, 1), (2, 1, 1), 4.0),
        "norse-conv-one-parameter": partial(_conv, "LIFBoxCell", {}, (1,), (1,), 4.0),
        "norse-conv-lif": partial(_conv, "LIFCell", {"dilation": 2}, (1,), (1,), 1.5),
    }

"""Kernels of the meta-neuron and of the complexity neuron against plain Python, written from the equations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.errors import InputError
from simulator.base.random import STREAM_NEURON, random_word
from simulator.neurons.base import get
from simulator.neurons.lz76 import model_name
from tests.simulator.neurons.test_bim_d import shr

ONE, LIMIT = 1 << 16, 8 << 16


def plain_meta(p: dict[str, int], acc: list[int], seed: int, number: int) -> tuple[list[int], list[int]]:
    """Sent spikes and membranes of one neuron in Python's integers."""
    r = u = 0
    sent, membranes = [], []
    for step, a in enumerate(acc):
        if step < p["wait"]:
            sent.append(0)
            membranes.append(r)
            continue
        current = shr(a * p["mul"], p["sh"]) + p["bias"]
        v = r + ((r * r // ONE - p["leak"] * r // ONE - u + current) // 2 ** p["sh_h"])
        w = u + ((p["rec_v"] * r // ONE - p["rec_u"] * u // ONE) // 2 ** p["sh_h"])
        fired = v >= p["theta"]
        if fired:
            v, w = p["reset"], w + p["jump"]
        kept = int(random_word(seed, step, number, STREAM_NEURON)) >> 16 < p["chance"]
        sent.append(int(fired and kept))
        r, u = (max(-LIMIT, min(LIMIT, x)) for x in (v, w))
        membranes.append(r)
    return sent, membranes


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), wild=st.booleans())
def test_meta_kernel_equals_plain_integers(seed: int, wild: bool) -> None:
    rng, n, steps = np.random.default_rng(seed), 5, 40
    model, top = get("meta_neuron"), 20 if wild else 2
    low = {"bias": -ONE, "leak": 0, "theta": ONE // 4, "rec_v": -ONE, "rec_u": 0, "reset": -ONE, "jump": 0}
    params = {name: rng.integers(least, top * ONE // 2, n) for name, least in low.items()}
    params |= {"mul": rng.integers(1, 200, n), "sh": rng.integers(-2, 6, n), "chance": rng.integers(0, ONE + 1, n)}
    params |= {"sh_h": rng.integers(0, 5, n), "wait": rng.integers(0, 3, n)}
    words = np.array([params[w.name] for w in model.params], np.int32)
    acc = rng.integers(-ONE // 8, ONE // 2, (steps, 1, n)).astype(np.int32)
    state = np.zeros((3, n), np.int32)
    state[2] = params["wait"]
    out, sent, membranes = np.zeros(n, np.int32), [], []
    assert model.kernel is not None
    for step in range(steps):
        assert model.kernel(acc[step], state, words, np.zeros(0, np.int32), out, 0, n, step, seed, 100) == 0
        sent.append(out.copy())
        membranes.append(state[0].copy())
    for i in range(n):
        one = {name: int(values[i]) for name, values in params.items()}
        wanted = plain_meta(one, acc[:, 0, i].tolist(), seed, 100 + i)
        assert np.array(sent)[:, i].tolist() == wanted[0] and np.array(membranes)[:, i].tolist() == wanted[1]


def brute_phrases(train: list[int]) -> int:
    """c of a train by its definition, searched position by position."""
    text, count, start = "".join(map(str, train)), 0, 0
    while start < len(text):
        end = start + 1
        while end <= len(text) and any(text[i : i + end - start] == text[start:end] for i in range(start)):
            end += 1
        count, start = count + 1, end
    return count


@settings(max_examples=60, deadline=None)
@given(train=st.lists(st.integers(0, 1), min_size=1, max_size=96), words=st.sampled_from([1, 2, 3]))
def test_complexity_neuron_counts_the_phrases_of_every_prefix(train: list[int], words: int) -> None:
    model = get(f"lz76_w{words}")
    state = np.zeros((len(model.states), 1), np.int32)
    floats = {name: np.zeros(1) for name in model.float_states}
    out, most = np.zeros(1, np.int32), 32 * words
    assert model.kernel is not None and model.float_step is not None
    for t, x in enumerate(train):
        acc = np.array([[7 * x]], np.int32)
        late = model.kernel(acc, state, np.zeros((1, 1), np.int32), np.zeros(0, np.int32), out, 0, 1, t, 0, 0)
        wanted = brute_phrases(train[: min(t + 1, most)])
        assert (int(out[0]), late) == (wanted, int(t >= most))
        assert model.float_step({"in": acc[0].astype(float)}, floats, {}).tolist() == [wanted]


def test_complexity_neuron_of_the_known_string() -> None:
    train = [int(c) for c in "0001101001000101"]
    assert brute_phrases(train) == 6
    assert model_name(32) == "lz76_w1" and model_name(33) == "lz76_w2"
    with pytest.raises(InputError, match="lz76_w33"):
        get("lz76_w33")

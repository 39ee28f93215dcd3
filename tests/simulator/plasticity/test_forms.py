"""Dense, SEQ, TR and BLK against each other and against a plain numpy forward sensitivity written as matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.random import philox4x32
from simulator.plasticity.forms import block
from simulator.plasticity.forms.base import ALPHA, DELTA, EXP, dense_step
from simulator.plasticity.forms.dense import dense_lines
from simulator.plasticity.forms.sweep import replay, sweep
from simulator.plasticity.words import words

H, M1, T = 3, 4, 12


def random_net(rng, psp):
    const = np.zeros((8, H))
    const[0], const[1] = rng.uniform(0.3, 0.9, H), rng.uniform(0.2, 0.8, H) if psp != DELTA else 0
    const[2:5] = rng.uniform(0.05, 0.6, (3, H))
    const[5], const[6], const[7] = rng.uniform(0.5, 2, H), 0.8, rng.normal(1, 0.3, H)
    hist = rng.normal(0, 1, (T, 8, H))
    hist[:, words.H_ABAR] = rng.uniform(0.1, 0.98, (T, H))
    hist[:, words.H_PSI] = rng.uniform(0, 1, (T, H))
    hist[:, words.H_F] = np.where(rng.random((T, H)) < 0.2, 0.0, rng.uniform(0.4, 1, (T, H)))
    hist[:, words.H_DELTA] *= rng.random((T, 1)) < 0.6
    u = rng.normal(0, 1, (T, M1)) * (rng.random((T, M1)) < 0.5)
    u[:, -1] = 1.0
    live = (rng.random((3, M1, H)) < 0.8).astype(np.uint8)
    live[:, -1] = 1
    return const, hist, u, live


def matrices(w, i, const, psp, membrane):
    """M and beta [4, 5] of the event-driven form, by whole vectors."""
    kap, rho, p_vi, p_vr, b, lc, k, skip = const[:, i]
    abar, c, psi, g, x, z, _, f = w[:, i]
    h = (1 - k) * (1.0 if membrane else psi)
    kicks = {DELTA: [0, 0, 0, f, h], EXP: [0, 0, rho, f * p_vi, h * p_vi], ALPHA: [0, rho, b, f * p_vr, h * p_vr]}
    kq = lc * np.array(kicks[psp], float)
    unit = np.eye(5)[0] + c * kq
    m = np.zeros((5, 5))
    m[:, 0] = abar * unit
    if psp == ALPHA:
        m[:, 1], m[:, 2] = kq / lc, [0, 0, rho, f * p_vi, h * p_vi]
    if psp == EXP:
        m[:, 2] = kq / lc
    m[:, 3], m[4, 4] = [0, 0, 0, f * kap, h * kap], k
    return m, np.array([(1 - abar) * unit + skip * kq, g * unit, x * kq, z * kq])


def oracle(const, hist, u, live, psp, membrane):
    g = np.zeros((4, M1, H))
    for i in range(H):
        e = np.zeros((4, M1, 5))
        for t in range(T):
            m, beta = matrices(hist[t], i, const, psp, membrane)
            drive = np.concatenate([np.repeat(u[t][None], 3, 0), np.eye(M1)[:1]])
            e = e @ m.T + drive[:, :, None] * beta[:, None, :]
            g[:, :, i] += hist[t, words.H_DELTA, i] * e[:, :, 4]
    g[:3] *= live
    return g


def dense(const, hist, u, live, psp, membrane, table):
    e, g = np.zeros((4, 5, M1, H)), np.zeros((4, M1, H))
    for t in range(T):
        labelled = bool(hist[t, words.H_DELTA].any())
        dense_step(e, g, u[t], hist[t], const, live, psp, membrane, labelled, table)
    return g


def by_blocks(const, hist, u, live, psp, membrane, size, table):
    e, g = np.zeros((4, 5, M1, H)), np.zeros((4, M1, H))
    for start in range(0, T, size):
        stop = min(start + size, T)
        s, a = np.broadcast_to(np.eye(5), (H, 5, 5)).copy(), np.zeros((H, 5))
        for t in range(start, stop):
            block.forward(hist[t], const, psp, membrane, True, s, a, table)
        order = np.arange(stop - 1, start - 1, -1)
        block.carry(e, g, s, a, live, table)
        p = np.zeros((order.size, 3, H))
        sweep(hist, order, order.size, const, psp, membrane, p, g[3, 0], table)
        replay(u, order, p, live, g, table)
        block.inject(hist, u, order, const, psp, membrane, live, e, table)
    return g


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([DELTA, EXP, ALPHA]), st.booleans(), st.integers(1, T))
def test_forms_give_the_gradient_of_the_matrix_form(seed, psp, membrane, size):
    net = random_net(np.random.default_rng(seed), psp)
    want = oracle(*net, psp, membrane)
    scale = max(np.abs(want).max(), 1e-3)
    table = words.wide()
    assert np.abs(dense(*net, psp, membrane, table) - want).max() <= 1e-12 * scale
    for k in (size, T):  # K = T is SEQ
        assert np.abs(by_blocks(*net, psp, membrane, k, table) - want).max() <= 1e-12 * scale


def test_seq_visits_only_events_and_live_synapses():
    _, _, u, live = random_net(np.random.default_rng(3), ALPHA)
    p, g = np.zeros((T, 3, H)), np.zeros((4, M1, H))
    done = replay(u, np.arange(T), p, live, g, words.wide())
    assert done == sum(live[:, j].sum() for t in range(T) for j in range(M1 - 1) if u[t, j])


@pytest.mark.parametrize("psp", [DELTA, EXP, ALPHA])
def test_window_error_falls_with_the_older_steps_it_visits(psp):
    rng = np.random.default_rng(1)
    const, hist, u, live = random_net(rng, psp)
    hist[:, words.H_ABAR], hist[:, words.H_DELTA] = 0.5, rng.normal(0, 1, (T, H))
    want, errors = oracle(const, hist, u, live, psp, False), []
    for reach in (0, 4, 8):
        g = np.zeros((4, M1, H))
        for end in range(3, T, 4):
            order = np.arange(end, max(end - 4 - reach, -1), -1)
            p = np.zeros((order.size, 3, H))
            sweep(hist, order, 4, const, psp, False, p, g[3, 0], words.wide())
            replay(u, order, p, live, g, words.wide())
        errors.append(np.linalg.norm(g - want) / np.linalg.norm(want))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-12  # the window covers the sequence


def test_chip_words_equal_plain_integer_arithmetic():
    """Traces of one synapse in Python integers with shifts, word for word."""
    const, hist, u, live = random_net(np.random.default_rng(5), DELTA)
    fracs = {"e_in_x": 5, "e_in_v": 5, "e_in_sb": 6, "g_in": 20}
    table = words.narrow(fracs, dict.fromkeys(fracs, 8) | {"g_in": 32})
    const, u, hist = _grid(const, 10), _grid(u, 4), _grid(hist, 10)
    e, g = np.zeros((4, 5, M1, H)), np.zeros((4, M1, H))
    for t in range(T):
        dense_step(e, g, u[t], hist[t], const, live, DELTA, False, True, table)
    checked = 0
    for i, j in np.argwhere(live[0, :-1].T):
        assert round(g[0, j, i] * 2**20) == _integers(const, hist, u, i, j)
        checked += g[0, j, i] != 0
    assert checked >= 4
    assert table[words.SATURATED].sum() > 0  # saturation is exercised too


def _grid(value, frac):
    return np.round(value * 2**frac) / 2**frac


def _as_int(value, frac):
    return round(float(value) * 2**frac)


def _store(value, have, frac, limit=127):
    shift = have - frac
    return min(max((value + (1 << (shift - 1))) >> shift, -limit), limit)


def _integers(const, hist, u, i, j):
    kap, k, lc, skip = (_as_int(const[r, i], 10) for r in (0, 6, 5, 7))
    x = v = sb = g = 0
    for t in range(T):
        abar, c, psi, _, _, _, delta, f = (_as_int(hist[t, r, i], 10) for r in range(8))
        value = _as_int(u[t, j], 4)
        x = _store(abar * x * 2**4 + (1024 - abar) * value * 2**5, 19, 5)
        q = c * x * 2**4 + skip * value * 2**5  # 19 fractional bits
        v_pre = kap * v * 2**14 + lc * q  # 29
        v = _store(f * v_pre, 39, 5)
        sb = _store(k * sb * 2**33 + (1024 - k) * psi * v_pre, 49, 6)
        total = g + delta * sb * 2**4
        g = min(max(total, -(2**31 - 1)), 2**31 - 1)
    return g


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([DELTA, EXP, ALPHA]), st.booleans(), st.sampled_from([7, 8, 16]))
def test_vector_form_of_narrow_words_has_the_same_bits(seed, psp, membrane, bits):
    const, hist, u, live = random_net(np.random.default_rng(seed), psp)
    fracs = {n: 20 if n.startswith("g_") else bits - 4 for n in words.NAMES if n.startswith(("e_", "g_"))}
    one = words.narrow(fracs, dict.fromkeys(fracs, bits) | {n: 32 for n in fracs if n.startswith("g_")})
    other = one.copy()
    e, g = np.zeros((4, 5, M1, H)), np.zeros((4, M1, H))
    f, k = np.zeros((4, M1, 5, H)), np.zeros((4, M1, H))
    for t in range(T):
        dense_step(e, g, u[t], hist[t], const, live, psp, membrane, t % 2 == 0, one)
        dense_lines(
            f, k, u[t], hist[t], const, live, psp, membrane, t % 2 == 0, other, np.zeros(5, np.uint64), np.arange(M1)
        )
    assert np.array_equal(e, f.transpose(0, 2, 1, 3))
    assert np.array_equal(g, k)
    assert np.array_equal(one, other)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([DELTA, EXP, ALPHA]), st.sampled_from([7, 8, 16]), st.integers(0, 30))
def test_stochastic_traces_are_floors_of_their_keyed_random_numbers(seed, psp, bits, first):
    """Word for word against plain Python with Philox called word by word; any core that holds the neurons draws the same."""
    const, hist, u, live = random_net(np.random.default_rng(seed), psp)
    fracs = {n: 20 if n.startswith("g_") else bits - 4 for n in words.NAMES if n.startswith(("e_", "g_"))}
    table = words.narrow(fracs, dict.fromkeys(fracs, bits) | {n: 32 for n in fracs if n.startswith("g_")})
    limit = (2 ** (bits - 1) - 1) * 2.0 ** -(bits - 4)

    def rounded(x, step, line, port, part, i):
        n, stream = first + i, 4 + 256 * (5 * port + part)
        word = int(philox4x32(step, line, stream, n // 8, seed, 0)[n % 8 // 2])
        r = ((word >> 16) if n % 2 else (word & 0xFFFF)) / 65536
        return min(max(math.floor(x * 2 ** (bits - 4) + r) * 2.0 ** -(bits - 4), -limit), limit)

    e, g = np.zeros((4, M1, 5, H)), np.zeros((4, M1, H))
    want = np.zeros((4, M1, 5, H))
    kap, rho, p_vi, p_vr, b, lc, k, skip = const
    for t in range(4):
        noise = np.array([1, seed, t, 4, first], np.uint64)
        dense_lines(e, g, u[t], hist[t], const, live, psp, False, False, table, noise, np.arange(M1))
        abar, c, psi, gd, x_new, z, _, f = hist[t]
        for port, line, i in np.ndindex(4, M1, H):
            if (port == 3 and line) or (port < 3 and not live[port, line, i]):
                continue
            w = want[port, line, :, i]
            if port < 2:
                drive = (1 - abar[i]) * u[t, line] if port == 0 else gd[i] * u[t, line]
                w[0] = rounded(abar[i] * w[0] + drive, t, line, port, 0, i)
                q = c[i] * w[0] + (skip[i] * u[t, line] if port == 0 else 0.0)
            else:
                q = x_new[i] * u[t, line] if port == 2 else z[i]
            if psp == ALPHA:
                rr, cur = w[1] + lc[i] * q, w[2]
                v = kap[i] * w[3] + p_vi[i] * cur + p_vr[i] * rr
                w[1] = rounded(rho[i] * rr, t, line, port, 1, i)
                w[2] = rounded(b[i] * rr + rho[i] * cur, t, line, port, 2, i)
            elif psp == EXP:
                cur = w[2] + lc[i] * q
                v = kap[i] * w[3] + p_vi[i] * cur
                w[2] = rounded(rho[i] * cur, t, line, port, 2, i)
            else:
                v = kap[i] * w[3] + lc[i] * q
            w[3] = rounded(f[i] * v, t, line, port, 3, i)
            w[4] = rounded(k[i] * w[4] + (1 - k[i]) * psi[i] * v, t, line, port, 4, i)
    assert np.array_equal(e, want)
    assert np.count_nonzero(want) > 20


@pytest.mark.parametrize("psp", [DELTA, EXP, ALPHA])
def test_lines_that_carried_nothing_may_be_left_out(psp):
    """Words of silent lines are 0 in any rounding, and the other lines keep the random numbers of their own place."""
    const, hist, u, live = random_net(np.random.default_rng(5), psp)
    u = u.copy()
    u[:, 1::2] = 0
    lines = np.flatnonzero(u.any(axis=0) | (np.arange(M1) == 0))
    fracs = {n: 20 if n.startswith("g_") else 4 for n in words.NAMES if n.startswith(("e_", "g_"))}
    one = words.narrow(fracs, dict.fromkeys(fracs, 8) | {n: 32 for n in fracs if n.startswith("g_")})
    other = one.copy()
    e, g, f, k = (
        np.zeros((4, M1, 5, H)),
        np.zeros((4, M1, H)),
        np.zeros((4, lines.size, 5, H)),
        np.zeros((4, lines.size, H)),
    )
    few = np.ascontiguousarray(live[:, lines])
    for t in range(T):
        noise = np.array([1, 7, t, 4, 0], np.uint64)
        dense_lines(e, g, u[t], hist[t], const, live, psp, False, True, one, noise, np.arange(M1))
        dense_lines(f, k, u[t, lines], hist[t], const, few, psp, False, True, other, noise, lines)
    assert lines.size < M1 and np.array_equal(e[:, lines], f) and np.array_equal(g[:, lines], k)
    assert np.array_equal(np.delete(e, lines, 1), np.zeros((4, M1 - lines.size, 5, H)))
    assert np.array_equal(one, other)

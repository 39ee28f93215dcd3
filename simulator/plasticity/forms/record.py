"""Record that learning reads of a neuron's update: its intermediates of one step as real numbers, and the history words of them.

psi = m surrogate(V- - theta);   g = -a Abar (x_old - z) sig(d),  sig(d) = 1 - Abar^(1/a)
f:  soft 1 (detached) or 1 - theta psi;   hard m (1 - s) (detached) or m (1 - s) - m V- psi;     m = [ref = 0]
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from simulator.neurons.bim_d import ABAR_FRAC, CONST_FRAC, D_FRAC, TABLE_ENTRIES, TABLE_FIRST, TABLE_FRAC
from simulator.plasticity.forms.base import ALPHA, EXP
from simulator.plasticity.words.words import H_ABAR, H_C, H_DELTA, H_F, H_G, H_PSI, H_X, H_Z, put

# Rows of a record [8, H].
R_Z, R_C, R_ABAR, R_X_OLD, R_X, R_V, R_M, R_S = range(8)
SURROGATES = {"fast_sigmoid": 0, "triangle": 1}
SHIFTS = ("mul_z", "sh_z", "b_z", "mul_d", "sh_d", "b_d", "mul_c", "sh_c", "b_c", "lut", "limit", "D", "sh_cx", "sh_dz",
          "gain", "sh_q", "kap", "p_vi", "sh_iv", "p_vr", "sh_rv", "theta")  # fmt: skip
(MUL_Z, SH_Z, B_Z, MUL_D, SH_D, B_D, MUL_C, SH_C, B_C, LUT, LIMIT, D, SH_CX, SH_DZ,
 GAIN, SH_Q, KAP, P_VI, SH_IV, P_VR, SH_RV, THETA) = range(22)  # fmt: skip
# Rows of `values`: state words before the step.
X_OLD, R_OLD, I_OLD, V_OLD, REF_OLD = range(5)


@numba.njit(cache=True, nogil=True)
def _shift(value: int, right: int) -> int:
    return value >> right if right >= 0 else value << -right


@numba.njit(cache=True, nogil=True)
def _clip(value: int, limit: int) -> int:
    return min(max(value, -limit - 1), limit)


@numba.njit(cache=True, nogil=True)
def integer_record(acc: Any, old: Any, par: Any, table: Any, units: Any, psp: int, out: Any) -> None:
    """Recompute an integer update's intermediates from what it started with (as `simulator.neurons.bim_d`).

    Args:
        acc: int64 [3, H], sums that arrive in the step at z, d, c.
        old: int64 [5, H], words x, r, I, V, ref before the step (0 where the model has none).
        par: int64 [22, H], parameters in the order of `SHIFTS`.
        table: int32, decay tables.
        units: float64 [3], value of one unit of x, c and V.
        psp: kernel.
        out: float64 [8, H], filled with z, c, Abar, x_old, x_new, V-, m, s.
    """
    for i in range(acc.shape[1]):
        limit = par[LIMIT, i]
        z = _clip(_shift(acc[0, i] * par[MUL_Z, i], par[SH_Z, i]) + par[B_Z, i], limit)
        d = _shift(acc[1, i] * par[MUL_D, i], par[SH_D, i]) + par[B_D, i]
        c = _clip(_shift(acc[2, i] * par[MUL_C, i], par[SH_C, i]) + par[B_C, i], limit)
        first = np.int64(TABLE_FIRST * 2**TABLE_FRAC)
        entry = min(max((d >> (D_FRAC - TABLE_FRAC)) - first, np.int64(0)), np.int64(TABLE_ENTRIES - 1))
        abar = np.int64(table[par[LUT, i] + entry])
        x = z + ((abar * (old[X_OLD, i] - z)) >> ABAR_FRAC)
        q = _clip(_shift(c * x, par[SH_CX, i]) + _shift(par[D, i] * z, par[SH_DZ, i]), limit)
        v = (par[KAP, i] * old[V_OLD, i]) >> CONST_FRAC
        drive = _shift(par[GAIN, i] * q, par[SH_Q, i])
        if psp == ALPHA:
            r = _clip(old[R_OLD, i] + drive, limit)
            v += _shift(par[P_VI, i] * old[I_OLD, i], par[SH_IV, i]) + _shift(par[P_VR, i] * r, par[SH_RV, i])
        elif psp == EXP:
            v += _shift(par[P_VI, i] * _clip(old[I_OLD, i] + drive, limit), par[SH_IV, i])
        else:
            v += drive
        free = old[REF_OLD, i] == 0
        out[R_Z, i], out[R_C, i], out[R_ABAR, i] = z * units[0], c * units[1], abar * 2.0**-ABAR_FRAC
        out[R_X_OLD, i], out[R_X, i], out[R_V, i] = old[X_OLD, i] * units[0], x * units[0], v * units[2]
        out[R_M, i] = 1.0 if free else 0.0
        out[R_S, i] = 1.0 if free and v >= par[THETA, i] else 0.0


@numba.njit(cache=True, nogil=True)
def slope_and_keep(v, m, s, theta, hard, detached, surrogate, width, words):  # type: ignore[no-untyped-def]
    """Return history words psi and f of a neuron from V-, m and s of a step; arguments as in `history_words`."""
    away = abs(v - theta) / width
    slope = max(0.0, 1.0 - away) if surrogate == 1 else 1.0 / ((1.0 + away) * (1.0 + away))
    psi = put(m * slope, H_PSI, words)
    f = m * (1.0 - s) if hard else 1.0
    if not detached:
        f -= m * v * psi if hard else theta * psi
    return psi, put(f, H_F, words)


@numba.njit(cache=True, nogil=True)
def history_words(rec, theta, a, hard, detached, surrogate, width, row, words):  # type: ignore[no-untyped-def]
    """Fill the history words of a step (all but delta) from its record.

    Args:
        rec: float64 [8, H].
        theta: float64 [H].
        a: float64 [H], a of the decay exp(-a Delta).
        hard, detached: the reset.
        surrogate, width: 0 fast sigmoid 1/(1 + |v|/w)^2, 1 triangle max(0, 1 - |v|/w).
        row: float64 [8, H], filled; delta becomes 0.
        words: word table.
    """
    for i in range(rec.shape[1]):
        v, m, s, abar = rec[R_V, i], rec[R_M, i], rec[R_S, i], rec[R_ABAR, i]
        psi, f = slope_and_keep(v, m, s, theta[i], hard, detached, surrogate, width, words)
        sig = 1.0 - abar if a[i] == 1.0 else 1.0 - abar ** (1.0 / a[i])
        row[H_ABAR, i] = put(abar, H_ABAR, words)
        row[H_C, i], row[H_PSI, i] = put(rec[R_C, i], H_C, words), psi
        row[H_G, i] = put(-a[i] * abar * (rec[R_X_OLD, i] - rec[R_Z, i]) * sig, H_G, words)
        row[H_X, i], row[H_Z, i] = put(rec[R_X, i], H_X, words), put(rec[R_Z, i], H_Z, words)
        row[H_F, i], row[H_DELTA, i] = f, 0.0

"""ODIN's phenomenological Izhikevich neuron, bit for bit as its published RTL.

Membrane, stimulus and threshold change are 4-bit two's complement words, kept as 0..15. An input moves an 11-bit accumulator
`inacc`; each toggle of its bit 3 + fi_sel is one excitatory (E), inhibitory (I) or leak (K) step of the membrane. T is a time
reference. Fifteen behaviours of Izhikevich's figure are switched by bits; docs/rtl.md names the source of the rules.
"""

from __future__ import annotations

import numba
import numpy as np

from simulator.base.arrays import I64
from simulator.neurons.odin_lif import calcium, flags, leak_of

PARAMS = (
    "leak_str", "leak_en", "fi_sel", "spk_ref", "isi_ref", "reson_sharp_en", "thr", "rfr", "dapdel", "spklat_en", "dap_en",
    "stim_thr", "phasic_en", "mixed_en", "class2_en", "neg_en", "rebound_en", "inhin_en", "bist_en", "reson_en", "thrvar_en",
    "thr_sel_of", "thrleak", "acc_en", "ca_en", "thetamem", "theta1", "theta2", "theta3", "caleak", "burst_incr",
    "reson_sharp_amt", "disable",
)  # fmt: skip
(
    LEAK_STR, LEAK_EN, FI_SEL, SPK_REF, ISI_REF, RESON_SHARP_EN, THR, RFR, DAPDEL, SPKLAT_EN, DAP_EN, STIM_THR, PHASIC_EN,
    MIXED_EN, CLASS2_EN, NEG_EN, REBOUND_EN, INHIN_EN, BIST_EN, RESON_EN, THRVAR_EN, THR_SEL_OF, THRLEAK, ACC_EN, CA_EN,
    THETAMEM, THETA1, THETA2, THETA3, CALEAK, BURST_INCR, RESON_SHARP_AMT, DISABLE,
) = range(33)  # fmt: skip
STATES = (
    "inacc", "refrac", "core", "dapdel_cnt", "stim_str", "stim_str_tmp", "phasic_lock", "mixed_lock", "spkout_done",
    "stim0_prev", "inhexc_prev", "bist_lock", "inhin_lock", "reson_sign", "thrmod", "thrleak_cnt", "ca", "cacnt",
    "burst_lock",
)  # fmt: skip
(
    INACC, REFRAC, CORE, DAPDEL_CNT, STIM_STR, STIM_STR_TMP, PHASIC_LOCK, MIXED_LOCK, SPKOUT_DONE, STIM0_PREV, INHEXC_PREV,
    BIST_LOCK, INHIN_LOCK, RESON_SIGN, THRMOD, THRLEAK_CNT, CA, CACNT, BURST_LOCK,
) = range(19)  # fmt: skip
POSITIVE, NEGATIVE, ZERO_TO_P, ZERO_TO_N = range(4)  # phases of a resonator
WORD, SIGN, TOP = 15, 8, 7  # of 4-bit words
# Places in the events of one update.
REFERENCE, EXC, INH, LEAK, STRONG, WAS_STRONG, LONE_EXC, LONE_INH, NO_STIMULUS, THRESHOLD, BURST = range(11)


@numba.njit(cache=True, nogil=True)
def _accumulate(p: I64, s: I64, weight: int, inhibitory: bool, reference: bool) -> bool:
    """Move the accumulator; returns whether its bit toggled."""
    before: int = s[INACC]
    after: int
    if reference:
        after = before - p[LEAK_STR] if p[LEAK_EN] else before
    else:
        after = before - weight if inhibitory else before + weight
    s[INACC] = after & 2047
    return bool(((before ^ after) >> (3 + p[FI_SEL])) & 1)


@numba.njit(cache=True, nogil=True)
def _strong(word: int, threshold: int) -> bool:
    return word < SIGN and word >= threshold


@numba.njit(cache=True, nogil=True)
def _strong_inhibition(word: int, threshold: int) -> bool:
    return word >= SIGN and (-word & WORD) >= threshold


@numba.njit(cache=True, nogil=True)
def _events(p: I64, s: I64, toggled: bool, inhibitory: bool, reference: bool, e: I64) -> None:
    """Name what this update is, from the states before it."""
    tmp = s[STIM_STR_TMP]
    e[REFERENCE] = reference
    e[EXC] = toggled and not reference and not inhibitory
    e[INH] = toggled and not reference and inhibitory
    e[LEAK] = toggled and reference
    e[STRONG] = _strong(tmp, p[STIM_THR])
    e[WAS_STRONG] = _strong(s[STIM_STR], p[STIM_THR])
    lone = reference and tmp == 0 and s[STIM0_PREV] & 2 == 0
    e[LONE_EXC] = lone and s[INHEXC_PREV] & 1 != 0
    e[LONE_INH] = lone and s[INHEXC_PREV] & 2 != 0
    e[NO_STIMULUS] = reference and tmp == 0
    e[THRESHOLD] = (p[THR] + s[THRMOD]) & WORD
    spikes = 0 if s[MIXED_LOCK] else p[SPK_REF]
    e[BURST] = spikes + (spikes != TOP)


@numba.njit(cache=True, nogil=True)
def _membrane_at_reference(p: I64, s: I64, e: I64) -> int:
    core: int = s[CORE]
    if p[RESON_EN]:
        return core - 1 if s[RESON_SIGN] == ZERO_TO_N else core
    if s[REFRAC]:
        return core if s[BURST_LOCK] else core + 1
    if p[ACC_EN]:
        return core if s[SPKOUT_DONE] else core - int(s[STIM_STR_TMP])
    if p[DAP_EN] and s[DAPDEL_CNT] == 1 and core != 0:
        return 0
    if e[LEAK] and core != 0:
        return core + 1 if core >= SIGN else core - 1
    return core


@numba.njit(cache=True, nogil=True)
def _membrane(p: I64, s: I64, e: I64) -> int:
    """Return the membrane before the spike is decided, 4 bits."""
    core: int = s[CORE]
    sign: int = s[RESON_SIGN]
    if (p[SPKLAT_EN] and s[DAPDEL_CNT]) or (s[PHASIC_LOCK] and core == 0):
        return core
    if e[REFERENCE]:
        return _membrane_at_reference(p, s, e) & WORD
    if not (e[INH] or e[EXC]):
        return core
    if p[RESON_EN]:
        up = (sign in (NEGATIVE, ZERO_TO_N)) == (e[INH] != 0)
        return core if core == (TOP if up else 0) else (core + 1 if up else core - 1) & WORD
    if s[REFRAC]:
        return core
    if e[INH]:
        return core if core == (SIGN if p[NEG_EN] else 0) else (core - 1) & WORD
    weak = p[CLASS2_EN] and not e[WAS_STRONG] and not e[STRONG]
    return core if weak or core == TOP else (core + 1) & WORD


@numba.njit(cache=True, nogil=True)
def _phase(p: I64, s: I64, e: I64, core: int) -> int:
    if not p[RESON_EN]:
        return POSITIVE
    sign: int = s[RESON_SIGN]
    if not e[REFERENCE]:
        return sign
    if s[CORE] == 0:
        return POSITIVE
    if sign == POSITIVE:
        return ZERO_TO_N
    if sign == NEGATIVE:
        return ZERO_TO_P
    if sign == ZERO_TO_P:
        return POSITIVE
    return POSITIVE if core == 0 else NEGATIVE


@numba.njit(cache=True, nogil=True)
def _fires(p: I64, s: I64, e: I64, core: int, phase: int) -> bool:
    reached = bool(core == e[THRESHOLD])
    if p[RESON_SHARP_EN]:
        return bool(e[EXC] != 0 and s[DAPDEL_CNT] == p[RESON_SHARP_AMT])
    if p[SPKLAT_EN]:
        return bool(e[REFERENCE] != 0 and s[DAPDEL_CNT] == 1)
    if p[REBOUND_EN]:
        return bool(e[LONE_INH] != 0) or reached
    if p[BIST_EN]:
        return bool(core == 0 if s[BIST_LOCK] else e[LONE_EXC] != 0) or reached
    if s[INHIN_LOCK]:
        return core == 0
    return reached and (not p[RESON_EN] or phase == POSITIVE)


@numba.njit(cache=True, nogil=True)
def _delays(p: I64, s: I64, e: I64, core: int, spike: bool) -> None:
    """Step the counter of after-potentials, of spike latency, and of sharp resonance."""
    count = s[DAPDEL_CNT]
    if p[RESON_SHARP_EN]:
        if e[REFERENCE] and count != TOP:
            s[DAPDEL_CNT] = count + 1
        elif e[EXC]:
            s[DAPDEL_CNT] = 0
        return
    latency = p[SPKLAT_EN] and core == e[THRESHOLD] and s[CORE] != e[THRESHOLD]
    if (p[DAP_EN] and spike) or latency:
        s[DAPDEL_CNT] = p[DAPDEL]
    elif e[REFERENCE] and count:
        s[DAPDEL_CNT] = count - 1


@numba.njit(cache=True, nogil=True)
def _locks(p: I64, s: I64, e: I64, spike: bool) -> None:
    quiet = s[CORE] == 0 or s[REFRAC] != 0
    locked = spike and (e[STRONG] or e[WAS_STRONG])
    if locked or (e[REFERENCE] and s[SPKOUT_DONE] and quiet and e[STRONG]):
        s[PHASIC_LOCK], s[MIXED_LOCK] = p[PHASIC_EN], p[MIXED_EN]
    elif not e[WAS_STRONG]:
        s[PHASIC_LOCK] = s[MIXED_LOCK] = 0
    if e[REFERENCE]:
        s[SPKOUT_DONE] = 0
    elif spike:
        s[SPKOUT_DONE] = 1
    if e[REFERENCE] and p[BIST_EN] and e[LONE_EXC]:
        s[BIST_LOCK] = 1 - s[BIST_LOCK]


@numba.njit(cache=True, nogil=True)
def _threshold(p: I64, s: I64, e: I64, spike: bool) -> None:
    """Change the threshold: accommodation, or variability with its leak."""
    change, tmp = s[THRMOD], s[STIM_STR_TMP]
    leaks = False
    if p[THRVAR_EN] and p[THRLEAK] and e[REFERENCE]:
        leaks = s[THRLEAK_CNT] == p[THRLEAK] - 1
        s[THRLEAK_CNT] = 0 if leaks else (s[THRLEAK_CNT] + 1) & WORD
    if p[ACC_EN]:
        if e[REFERENCE]:
            beyond = ((tmp + p[THR]) & WORD) >= SIGN
            change = tmp if not beyond else 7 - p[THR] if tmp < SIGN else 1 - p[THR]
    elif p[THRVAR_EN]:
        if spike if p[THR_SEL_OF] else e[EXC] != 0:
            if p[BURST_INCR]:
                change = TOP if ((TOP - e[THRESHOLD]) & WORD) < e[BURST] else change + e[BURST]
            elif e[THRESHOLD] != TOP:
                change += 1
        elif not p[THR_SEL_OF] and e[INH]:
            change -= e[THRESHOLD] != 1
        elif leaks and change:
            change += 1 if change >= SIGN else -1
    s[THRMOD] = change & WORD


@numba.njit(cache=True, nogil=True)
def _stimulus(p: I64, s: I64, e: I64) -> None:
    tmp = s[STIM_STR_TMP]
    if e[REFERENCE]:
        s[STIM0_PREV] = ((s[STIM0_PREV] & 1) << 1) | (tmp != 0)
        s[INHEXC_PREV] = (_strong_inhibition(tmp, p[STIM_THR]) << 1) | e[STRONG]
        s[STIM_STR], s[STIM_STR_TMP] = tmp, 0
    elif e[EXC] and tmp != TOP:
        s[STIM_STR_TMP] = (tmp + 1) & WORD
    elif e[INH] and tmp != SIGN + 1:
        s[STIM_STR_TMP] = (tmp - 1) & WORD


@numba.njit(cache=True, nogil=True)
def update(p: I64, s: I64, weight: int, inhibitory: bool, reference: bool) -> tuple[bool, int]:
    """Update a neuron by one event.

    Args:
        p: int64 [33], parameters in the order of `PARAMS`.
        s: int64 [19], states in the order of `STATES`, changed in place.
        weight: 0..7.
        inhibitory: sign of the event.
        reference: whether it is a time reference.

    Returns:
        Whether it fired, and its new SDSP flags.
    """
    e = np.zeros(11, np.int64)
    old = s.copy()  # every rule reads the states before the update
    toggled = _accumulate(p, s, weight, inhibitory, reference)
    _events(p, old, toggled, inhibitory, reference, e)
    core = _membrane(p, old, e)
    phase = _phase(p, old, e, core)
    spike = _fires(p, old, e, core, phase)
    _threshold(p, s, e, spike)
    _delays(p, s, e, core, spike)
    _locks(p, s, e, spike)
    _stimulus(p, s, e)
    if p[INHIN_EN] and not old[REFRAC] and (-old[CORE] & WORD) == e[THRESHOLD]:
        s[INHIN_LOCK] = 1
    elif old[INHIN_LOCK] and e[NO_STIMULUS]:
        s[INHIN_LOCK] = 0
    if spike or s[INHIN_LOCK]:
        s[REFRAC] = p[RFR] > 0 and not p[DAP_EN] and not p[RESON_EN]
    elif core == 0:
        s[REFRAC] = 0
    s[RESON_SIGN] = NEGATIVE if spike and p[RESON_EN] else phase
    if spike:
        core = p[RFR] if p[DAP_EN] or p[RESON_EN] else -p[RFR] & WORD
        if not old[MIXED_LOCK] and p[SPK_REF]:
            s[BURST_LOCK] = 1
    s[CORE] = core
    on = p[CA_EN] != 0
    s[CACNT], leaks = leak_of(s[CACNT], p[CALEAK], on and reference)
    if on:
        s[CA] = calcium(spike, leaks, s[CA], e[BURST] if p[BURST_INCR] else 1)
    if core >= SIGN:
        return spike, 0
    return spike, flags(on, core >= p[THETAMEM], s[CA], p[THETA1], p[THETA2], p[THETA3])

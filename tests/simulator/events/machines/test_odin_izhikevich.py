"""ODIN's Izhikevich neuron against a plain transcription of its description, in signed numbers and rule by rule."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.neurons.odin_izhikevich import PARAMS, STATES, update
from simulator.neurons.odin_lif import DOWN, UP

POSITIVE, NEGATIVE, ZERO_TO_P, ZERO_TO_N = range(4)
BITS = {"leak_str": 7, "fi_sel": 3, "spk_ref": 3, "isi_ref": 3, "thr": 3, "rfr": 3, "dapdel": 3, "stim_thr": 3, "thrleak": 4,
        "thetamem": 3, "theta1": 3, "theta2": 3, "theta3": 3, "caleak": 5, "reson_sharp_amt": 3}  # fmt: skip


def four(x: int) -> int:
    """Wrap to a 4-bit two's complement word, -8..7."""
    return (x + 8) % 16 - 8


class Twin:
    """One neuron; its words are signed."""

    def __init__(self, params: dict[str, int]) -> None:
        self.p = params
        self.s = dict.fromkeys(STATES, 0)

    def update(self, weight: int, inhibitory: bool, reference: bool) -> tuple[bool, int]:
        """Return whether it fires, and up + 2 down."""
        p, old = self.p, dict(self.s)
        self._inputs(weight, inhibitory, reference)
        core = self._membrane(old)
        phase = self._phase(old, core)
        spike = self._fires(old, core, phase)
        self._refractory(old, core, spike)
        self.s["reson_sign"] = NEGATIVE if p["reson_en"] and spike else phase
        self.s["core"] = core
        if spike:
            self.s["core"] = four(p["rfr"] if p["dap_en"] or p["reson_en"] else -p["rfr"])
        self._delay(old, core, spike)
        self._locks(old, spike)
        self._threshold(old, spike)
        self._stimulus(old)
        return spike, self._calcium(spike, reference)

    def _inputs(self, weight: int, inhibitory: bool, reference: bool) -> None:
        """Name the step (E, I, K, T) and its stimulus."""
        p, s = self.p, self.s
        before = s["inacc"]
        move = -p["leak_str"] * p["leak_en"] if reference else -weight if inhibitory else weight
        s["inacc"] = (before + move) % 2048
        bit = 1 << (3 + p["fi_sel"])
        toggled = (before & bit) != (before + move) % 2048 & bit
        self.t = reference
        self.e, self.i, self.k = (
            toggled and c for c in (not reference and not inhibitory, not reference and inhibitory, reference)
        )
        self.strong = s["stim_str_tmp"] >= max(p["stim_thr"], 0) and s["stim_str_tmp"] >= 0
        self.was_strong = s["stim_str"] >= p["stim_thr"] and s["stim_str"] >= 0
        lone = reference and s["stim_str_tmp"] == 0 and not s["stim0_prev"] & 2
        self.lone_e, self.lone_i = (bool(lone and s["inhexc_prev"] & side) for side in (1, 2))
        self.theta = four(p["thr"] + s["thrmod"])
        burst = 0 if s["mixed_lock"] else p["spk_ref"]
        self.burst = min(burst + 1, 7)

    def _membrane(self, s: dict[str, int]) -> int:
        p, core, phase = self.p, s["core"], s["reson_sign"]
        if (p["spklat_en"] and s["dapdel_cnt"] > 0) or (s["phasic_lock"] and core == 0):
            return core
        if self.t:
            if p["reson_en"]:
                return four(core - 1) if phase == ZERO_TO_N else core
            if s["refrac"]:
                return core if s["burst_lock"] else four(core + 1)
            if p["acc_en"]:
                return core if s["spkout_done"] else four(core - s["stim_str_tmp"])
            if p["dap_en"] and s["dapdel_cnt"] == 1 and core != 0:
                return 0
            return core - int(np.sign(core)) if self.k else core
        if self.i or self.e:
            if p["reson_en"]:
                up = (phase in (NEGATIVE, ZERO_TO_N)) == self.i
                return core if core == (7 if up else 0) else four(core + (1 if up else -1))
            if s["refrac"]:
                return core
            if self.i:
                return core if core == (-8 if p["neg_en"] else 0) else four(core - 1)
            drives = not p["class2_en"] or self.strong or self.was_strong
            return core + 1 if drives and core < 7 else core
        return core

    def _phase(self, s: dict[str, int], core: int) -> int:
        if not self.p["reson_en"]:
            return POSITIVE
        if not self.t:
            return s["reson_sign"]
        if s["core"] == 0:
            return POSITIVE
        after = {
            POSITIVE: ZERO_TO_N,
            ZERO_TO_N: POSITIVE if core == 0 else NEGATIVE,
            NEGATIVE: ZERO_TO_P,
            ZERO_TO_P: POSITIVE,
        }
        return after[s["reson_sign"]]

    def _fires(self, s: dict[str, int], core: int, phase: int) -> bool:
        p, reached = self.p, core == self.theta
        if p["reson_sharp_en"]:
            return self.e and s["dapdel_cnt"] == p["reson_sharp_amt"]
        if p["spklat_en"]:
            return self.t and s["dapdel_cnt"] == 1
        if p["rebound_en"]:
            return self.lone_i or reached
        if p["bist_en"]:
            return (core == 0 if s["bist_lock"] else self.lone_e) or reached
        if s["inhin_lock"]:
            return core == 0
        if p["reson_en"]:
            return phase == POSITIVE and reached
        return reached

    def _refractory(self, s: dict[str, int], core: int, spike: bool) -> None:
        p = self.p
        if p["inhin_en"] and not s["refrac"] and four(-s["core"]) == self.theta:
            self.s["inhin_lock"] = 1
        elif self.t and s["stim_str_tmp"] == 0:
            self.s["inhin_lock"] = 0
        if spike or self.s["inhin_lock"]:
            self.s["refrac"] = int(p["rfr"] > 0 and not p["dap_en"] and not p["reson_en"])
        elif core == 0:
            self.s["refrac"] = 0
        if spike and p["spk_ref"] and not s["mixed_lock"]:
            self.s["burst_lock"] = 1

    def _delay(self, s: dict[str, int], core: int, spike: bool) -> None:
        p, count = self.p, s["dapdel_cnt"]
        if p["reson_sharp_en"]:
            self.s["dapdel_cnt"] = min(count + 1, 7) if self.t else 0 if self.e else count
        elif (p["dap_en"] and spike) or (p["spklat_en"] and core == self.theta != s["core"]):
            self.s["dapdel_cnt"] = p["dapdel"]
        elif self.t:
            self.s["dapdel_cnt"] = max(count - 1, 0)

    def _locks(self, s: dict[str, int], spike: bool) -> None:
        p = self.p
        sets = spike and (self.strong or self.was_strong)
        sets = sets or (self.t and self.strong and s["spkout_done"] and (s["core"] == 0 or s["refrac"]))
        for lock, enable in (("phasic_lock", "phasic_en"), ("mixed_lock", "mixed_en")):
            self.s[lock] = p[enable] if sets else s[lock] if self.was_strong else 0
        self.s["spkout_done"] = 0 if self.t else 1 if spike else s["spkout_done"]
        if self.lone_e and p["bist_en"]:
            self.s["bist_lock"] = 1 - s["bist_lock"]

    def _threshold(self, s: dict[str, int], spike: bool) -> None:
        p, change, tmp = self.p, s["thrmod"], s["stim_str_tmp"]
        leaks = False
        if p["thrvar_en"] and p["thrleak"] and self.t:
            leaks = s["thrleak_cnt"] == p["thrleak"] - 1
            self.s["thrleak_cnt"] = 0 if leaks else (s["thrleak_cnt"] + 1) % 16
        if p["acc_en"]:
            if self.t:
                change = 7 - p["thr"] if p["thr"] + tmp > 7 else 1 - p["thr"] if p["thr"] + tmp < 0 else tmp
        elif p["thrvar_en"]:
            if spike if p["thr_sel_of"] else self.e:
                if p["burst_incr"]:
                    change = 7 if (7 - self.theta) % 16 < self.burst else change + self.burst
                elif self.theta != 7:
                    change += 1
            elif self.i and not p["thr_sel_of"]:
                change -= self.theta != 1
            elif leaks:
                change -= int(np.sign(change))
        self.s["thrmod"] = four(change)

    def _stimulus(self, s: dict[str, int]) -> None:
        tmp, stim_thr = s["stim_str_tmp"], self.p["stim_thr"]
        if self.t:
            self.s["stim_str"], self.s["stim_str_tmp"] = tmp, 0
            self.s["stim0_prev"] = s["stim0_prev"] % 2 * 2 + (tmp != 0)
            self.s["inhexc_prev"] = 2 * (tmp < 0 and -tmp >= stim_thr) + (tmp >= 0 and tmp >= stim_thr)
        else:
            self.s["stim_str_tmp"] = max(-7, min(7, tmp + self.e - self.i))

    def _calcium(self, spike: bool, reference: bool) -> int:
        p, s = self.p, self.s
        if not p["ca_en"]:
            return 0
        leaks = False
        if reference and p["caleak"]:
            leaks = s["cacnt"] == p["caleak"] - 1
            s["cacnt"] = 0 if leaks else (s["cacnt"] + 1) % 32
        if spike != leaks:
            s["ca"] = min(7, s["ca"] + (self.burst if p["burst_incr"] else 1)) if spike else max(0, s["ca"] - 1)
        if s["core"] < 0 or s["ca"] < p["theta1"]:
            return 0
        above = s["core"] >= p["thetamem"]
        return UP * (above and s["ca"] < p["theta3"]) + DOWN * (not above and s["ca"] < p["theta2"])


SIGNED = {"core", "stim_str", "stim_str_tmp", "thrmod"}


def compare(params: dict[str, int], events: list[tuple[int, bool, bool]]) -> int:
    """Run both; return the spikes."""
    twin, words, state = Twin(params), np.array([params[n] for n in PARAMS], np.int64), np.zeros(len(STATES), np.int64)
    fired = 0
    for k, event in enumerate(events):
        spike, flags = update(words, state, *event)
        assert (bool(spike), int(flags)) == twin.update(*event), k
        got = {n: four(int(v)) if n in SIGNED else int(v) for n, v in zip(STATES, state, strict=True)}
        assert got == twin.s, k
        fired += bool(spike)
    return fired


def drawn(rng: np.random.Generator, recorded: bool) -> dict[str, int]:
    """Draw parameters of their whole range, or of the part that recordings have; few behaviours at a time."""
    out = {n: int(rng.integers(0, 1 << BITS[n])) if n in BITS else int(rng.random() < 0.2) for n in PARAMS}
    if recorded:
        out |= {"fi_sel": int(rng.integers(0, 3)), "thr": int(rng.integers(1, 8)), "stim_thr": int(rng.integers(1, 5))}
    return out | {"disable": 0}


def stream(rng: np.random.Generator, n: int) -> list[tuple[int, bool, bool]]:
    """Draw events whose drive changes sign in long runs, so that membranes travel."""
    references, inhibition = (
        rng.random(n) < rng.uniform(0.05, 0.6),
        rng.random(n) < np.repeat(rng.random(-(-n // 20)), 20)[:n],
    )
    weights = rng.integers(0, 8, n)
    return [(int(w), bool(i), bool(t)) for w, i, t in zip(weights, inhibition, references, strict=True)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_equals_its_description(seed: int, recorded: bool) -> None:
    rng = np.random.default_rng(seed)
    compare(drawn(rng, recorded), stream(rng, 150))

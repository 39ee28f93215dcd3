"""ReckOn against a plain transcription of its arithmetic: random nets over all modes that are modelled."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.events.machines.reckon.run import run_sample
from simulator.events.machines.reckon.state import Registers, program_net

ONE, LOW15 = 1 << 15, (1 << 15) - 1


class Bits:
    """bit t = bit t - a xor bit t - b, one bit at a time."""

    def __init__(self, seed: int, a: int, b: int, interleaved: bool = False) -> None:
        self.a, self.b, self.t = a, b, 0
        number = {i: i if i < a else i - b for i in range(b)}
        if interleaved:
            number = {0: 0} | {2 * j + 1: j - 14 for j in range(7)} | {2 * j + 2: j - 7 for j in range(7)}
        self.bits = {number[i]: seed >> i & 1 for i in range(b)}

    def word(self, k: int) -> int:
        out = 0
        for i in range(k):
            if self.t not in self.bits:
                self.bits[self.t] = self.bits[self.t - self.a] ^ self.bits[self.t - self.b]
            out |= self.bits[self.t] << i
            self.t += 1
        return out


def sat16(x: int) -> int:
    return max(-32768, min(32767, x))


class Twin:
    """The words of docs/rtl.md, one after another."""

    def __init__(self, c: dict[str, int], alpha: list[int], thr: list[int], w_in: Any, w_rec: Any, w_out: Any) -> None:
        self.c, self.alpha, self.thr = c, alpha, thr
        self.w_in, self.w_rec, self.w_out = (w.astype(int).tolist() for w in (w_in, w_rec, w_out))
        self.inputs, self.neurons, self.outputs = len(self.w_in), len(self.w_rec), len(self.w_out[0])
        most = max(self.inputs, self.neurons, self.outputs)
        self.units = 2 * ((most + 1) // 2)
        self.gen = {
            "in": Bits(c["SEED_INP"], 3, 25),
            "rec": Bits(c["SEED_REC"], 3, 25),
            "out": Bits(c["SEED_OUT"], 1, 22),
        }
        for name in ("NEUR", "TINP", "TREC"):
            for odd in range(2):
                self.gen[f"{name}{odd}"] = Bits(c[f"SEED_STRND_{name}"] >> 15 * odd & LOW15, 1, 15)
        for odd in range(2):
            self.gen[f"TOUT{odd}"] = Bits(c["SEED_STRND_TOUT"] >> 15 * odd & LOW15, 1, 15, True)
        self.gen["ONEUR"] = Bits(c["SEED_STRND_ONEUR"], 1, 15, True)
        self.rest()

    def rest(self) -> None:
        self.u, self.tin, self.trec, self.tout = ([0] * self.units for _ in range(4))
        self.y, self.z = [0] * self.outputs, [0] * self.units

    def leaked(self, x: int, factor: int, frac: int, word: int, bits: int) -> int:
        p = x * factor
        out = p >> frac
        up = self.c["EN_STOCH_ROUND"] and factor != 1 << frac and p & (1 << frac) - 1 >= word and out % (1 << bits)
        return out + bool(up)

    def phase_one(self) -> int:
        c, stochastic = self.c, self.c["EN_STOCH_ROUND"]
        cycles = max(self.inputs, self.neurons, self.outputs)
        for k in range(min(16, cycles)):
            word = self.gen["ONEUR"].word(7) if stochastic else 0
            if k < self.outputs:
                self.y[k] = self.leaked(self.y[k], c["KAPPA"], 7, word, 16)
        for j in range(2 * (cycles // 2)):
            alpha, odd = self.alpha[j // 2], j % 2
            word = [self.gen[f"NEUR{odd}"].word(15) if stochastic and alpha != ONE else 0]
            word += [self.gen[f"{name}{odd}"].word(15 if name != "TOUT" else 7) if stochastic else 0
                     for name in ("TINP", "TREC", "TOUT")]  # fmt: skip
            fires, after = self.u[j] >= self.thr[j // 2], self.leaked(self.u[j], alpha, 15, word[0], 16)
            self.z[j] = int(fires)
            less = (0 if c["RST_MODE"] else after - self.thr[j // 2]) if fires else after
            self.u[j] = (less + 32768) % 65536 - 32768  # alpha above 1 leaves the word
            self.tin[j] = self.leaked(self.tin[j], alpha, 15, word[1], 12) % 4096
            self.trec[j] = self.leaked(self.trec[j], alpha, 15, word[2], 12) % 4096
            self.tout[j] = self.leaked(self.tout[j], c["KAPPA"], 7, word[3], 10) % 1024
        return cycles

    def error(self, k: int, label: int) -> int:
        y = self.y[k]
        if not self.c["NO_OUT_ACT"]:
            y = 0 if y < -2048 else 2048 if y > 2047 else (y + 2048) >> 1
        return sat16((2048 if k == label else 0) - y)

    def moved(self, w: int, prob: int, width: int, up: int, down: int, word: int) -> int:
        """Return the step of a weight: -1, 0 or 1."""
        size = min(abs(prob) << up, (1 << width) - 1) >> down
        return 0 if prob == 0 or (prob != -(1 << (width - 1)) and size < word) else 1 if prob > 0 else -1

    def eprop(self, label: int) -> int:
        c, on = self.c, self.c["DO_EPROP"]
        for first in range(0, self.neurons, 16):
            learning, h, regular = [0] * 16, [0] * 16, [0] * 16
            for n in range(16):
                j = first + n
                total = sum(self.error(k, label) * self.w_out[j][k] for k in range(self.outputs)) if on & 3 else 0
                learning[n] = max(-(1 << 27), min((1 << 27) - 1, total << c["LEARN_SIG_SCALE"])) >> 12
                level = sum(self.u[j] >= c[f"THR_H_{q}"] for q in range(4))
                h[n] = (c[f"H_{level}"] + 16) % 32 - 16
                if c["REGUL_MODE"]:
                    regular[n] = max(0, (self.trec[j] >> c["FP_LOC_TREC"]) - c["REGUL_F0"])
                trace = self.tout[j] >> c["FP_LOC_TOUT"]
                if on & 4 and trace:
                    for k in range(16):
                        word = self.gen["out"].word(28)
                        if k < self.outputs:
                            prob = self.error(k, label) * trace
                            w = self.w_out[j][k]
                            step = self.moved(w, prob, 28, c["LR_P_WOUT"], c["LR_R_WOUT"], word)
                            self.w_out[j][k] = max(-128, min(127, w + step))
            for i in range(max(self.inputs, self.neurons)):
                for name, bit, count, traces in (
                    ("INP", 1, self.inputs, self.tin),
                    ("REC", 2, self.neurons, self.trec),
                ):
                    if not on & bit or i >= count:
                        continue
                    trace = traces[i] >> c[f"FP_LOC_T{name}"]
                    if trace == 0 and not any(regular):
                        continue
                    for n in range(16):
                        word = self.gen["in" if name == "INP" else "rec"].word(32)
                        self.synapse(name, i, first + n, learning[n] * trace * h[n], regular[n], word)
        if on == 4:  # no source is visited
            return 2 * self.neurons
        return self.neurons // 16 * (32 + 2 * max(self.inputs, self.neurons))

    def synapse(self, name: str, i: int, j: int, wanted: int, regular: int, word: int) -> None:
        c, table = self.c, self.w_in if name == "INP" else self.w_rec
        sixteenths = 16 * wanted
        if c["REGUL_MODE"] & 1 and wanted > 0:  # an increase shrinks by the rate above its target
            sixteenths = wanted * max(0, 16 - (regular >> c["REGUL_K_MUL"]))
        less = regular << c[f"REGUL_K_{name}_P"] >> c[f"REGUL_K_{name}_R"] if c["REGUL_MODE"] & 2 else 0
        prob = (sixteenths >> 4) - less
        if prob > 0 and sixteenths >> 31 & 1:
            prob = -(1 << 31)
        step = self.moved(table[i][j], prob, 32, c[f"LR_P_W{name}"], c[f"LR_R_W{name}"], word)
        table[i][j] = max(-128, min(127, table[i][j] + step))
        if name == "REC" and i == j and step:
            table[i][j] = 0

    def events(self, driven: set[int]) -> int:
        c, on, cycles = self.c, self.c["DO_EPROP"], 0
        for i in range(max(self.inputs, self.neurons)):
            cycles += 1
            if not self.z[i] and i not in driven:
                continue
            fired = (
                self.z[i] and i < self.neurons
            )  # a unit beyond that fires, at a threshold of 0 or less, takes time alone
            cycles += self.neurons // 2 * 2 + 2 * (i in driven and i >= self.neurons and on & 1)
            for k in range(self.outputs if fired else 0):
                self.y[k] = sat16(self.y[k] + (self.w_out[i][k] << c["FP_LOC_WOUT"]))
            for j in range(self.neurons):
                x = self.w_in[i][j] << c["FP_LOC_WINP"] if i in driven else 0
                x += self.w_rec[i][j] << c["FP_LOC_WREC"] if fired else 0
                self.u[j] = sat16(self.u[j] + sat16(x))
            if i in driven and on & 1:
                self.tin[i] = min(4095, self.tin[i] + (8 << c["FP_LOC_TINP"]))
            if fired and on & 2:
                self.trec[i] = min(4095, self.trec[i] + (8 << c["FP_LOC_TREC"]))
            if fired and on & 4:
                self.tout[i] = min(1023, self.tout[i] + (2 << c["FP_LOC_TOUT"]))
        return cycles


def compared(twin: Twin, registers: Registers, net: Any, ticks: int, label: int, valid: int, inputs: Any) -> None:
    """Run one sample on both; every state after every tick, weights, answer and cycles are the same."""
    sample = run_sample(registers, net, ticks, label, valid, inputs)
    points, spikes = [0] * twin.outputs, []
    for t in range(ticks + 1):
        cycle = 3
        if t:
            cycle += twin.phase_one() + 1
            spikes += [[t, j] for j in range(twin.units) if twin.z[j]]
            if t >= valid:
                points[twin.y.index(max(twin.y))] += 1
        if t < ticks:
            if t and t >= valid and twin.c["DO_EPROP"]:
                cycle += twin.eprop(label)
            cycle += twin.events({int(i) for tick, i in inputs if tick == t})
        assert int(sample.phases[sample.phases[:, 0] == t][-1, 1]) == cycle, t
        assert sample.out[t].tolist() == twin.y, t
        if t:
            for name, own in (
                ("u", twin.u),
                ("trace_in", twin.tin),
                ("trace_rec", twin.trec),
                ("trace_out", twin.tout),
            ):
                assert getattr(sample, name)[t - 1].tolist() == own, (name, t)
    assert sample.spikes.tolist() == spikes and sample.answer == points.index(max(points))
    for name in ("w_in", "w_rec", "w_out"):
        assert getattr(net, name).tolist() == getattr(twin, name), name
    twin.rest()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_nets_are_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    inputs, neurons, outputs = pick(1, 36), 16 * pick(1, 2), pick(1, 16)
    c = {name.upper(): 0 for name in Registers._fields}
    c |= {"NUM_INP_NEUR": inputs - 1, "NUM_REC_NEUR": neurons - 1, "NUM_OUT_NEUR": outputs - 1}
    c |= {"DO_EPROP": int(rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 7, 7])), "RST_MODE": pick(0, 1), "NO_OUT_ACT": pick(0, 1)}
    c |= {
        "EN_STOCH_ROUND": pick(0, 1),
        "REGUL_MODE": pick(0, 3),
        "REGUL_K_MUL": pick(0, 4),
        "REGUL_W": 3,
        "KAPPA": pick(0, 127),
    }
    c |= {
        name: pick(0, 4)
        for name in ("FP_LOC_WINP", "FP_LOC_WREC", "FP_LOC_WOUT", "FP_LOC_TINP", "FP_LOC_TREC", "FP_LOC_TOUT")
    }
    c |= {"LEARN_SIG_SCALE": pick(0, 12), "REGUL_F0": pick(0, 40)}
    c |= {f"REGUL_K_{name}_{way}": pick(0, 6) for name in ("INP", "REC") for way in "PR"}
    c |= {f"LR_{way}_W{name}": pick(0, 31 if way == "P" else 6) for name in ("INP", "REC", "OUT") for way in "PR"}
    c |= {f"THR_H_{q}": t for q, t in enumerate(sorted(pick(-800, 800) for _ in range(4)))}
    c |= {f"H_{q}": pick(0, 31) for q in range(5)}
    c |= {f"SEED_{name}": pick(1, 2**22 - 1) for name in ("INP", "REC", "OUT")}
    c |= {f"SEED_STRND_{name}": pick(1, 2**30 - 1) for name in ("NEUR", "TINP", "TREC", "TOUT")}
    c["SEED_STRND_ONEUR"] = pick(1, 2**15 - 1)
    most = max(inputs, neurons, outputs) // 2 + 1
    alpha = np.where(rng.random(most) < 0.2, ONE, (rng.choice([7, 7, 7, 8], most) << 12) | rng.integers(0, 4096, most))
    threshold = rng.integers(int(rng.choice([1, 1, -300])), 600, most)
    tables = [rng.integers(-128, 128, shape) for shape in ((inputs, neurons), (neurons, neurons), (neurons, outputs))]
    np.fill_diagonal(tables[1], rng.integers(-120, 121, neurons))
    twin = Twin(c, alpha.tolist(), threshold.tolist(), *tables)
    registers, net = program_net(c, alpha, threshold, *tables)
    for _ in range(2):
        ticks = pick(1, 7)
        given_ = np.unique(np.stack([rng.integers(0, ticks + 1, 30), rng.integers(0, inputs, 30)], axis=1), axis=0)
        compared(twin, registers, net, ticks, pick(0, outputs - 1), pick(1, ticks), given_)

"""Checks against what others wrote: Brian2, the frameworks behind .nir files, published RTL, published silicon."""

from __future__ import annotations

from bimhw.evidence.verify.check import Setting, Skip
from simulator.base.reading import read_object


def brian2(setting: Setting) -> float:
    """Count values sent that differ from Brian2's, on random networks of all neuron models."""
    from bimhw.evidence.crosscheck.cases import random_inputs, random_network
    from bimhw.evidence.crosscheck.check import crosscheck_float

    wrong, steps = 0, 200 if setting.full else 40
    for seed in setting.cases(2, 40):
        network = random_network(seed, 200 if setting.full else 30)
        wrong += crosscheck_float(network, random_inputs(network, steps, seed), steps).differ
    return float(wrong)


def brian2_learning(setting: Setting) -> float:
    """Return a weight's largest difference from Brian2's, on random pairings of 1,000 steps by STDP and hybrid rules."""
    from bimhw.evidence.crosscheck.plasticity import cross_check_learning

    return max(c.difference for seed in setting.cases(1, 10) for c in cross_check_learning(seed=seed))


def nir(setting: Setting) -> float:
    """Count the recorded values of .nir files' own frameworks that differ."""
    if setting.nir is None:
        raise Skip("no folder of .nir files with recorded spikes was given (--nir DIR)")
    from bimhw.frontends.nir import check

    wrong = files = 0
    profiles = setting.nir / "profiles.json"
    given = read_object(profiles) if profiles.is_file() else {}
    for model in sorted(setting.nir.glob("*.nir")):
        data = model.with_suffix(".npz")
        if data.is_file():
            files += 1
            wrong += check(model, data, str(profiles) if model.stem in given else None).differ
    if not files:
        raise Skip(f"{setting.nir} holds no .nir file with a .npz beside it")
    return float(wrong)


def rtl(setting: Setting) -> float:
    """Count the bits and cycles by which the chip models differ from recorded runs; a case that breaks counts as one more."""
    if setting.rtl is None:
        raise Skip("no folder of recorded RTL runs was given (--rtl DIR)")
    from bimhw.evidence.verify.rtl.check import replay_rtl

    rows = replay_rtl(setting.rtl, setting.rtl_row)
    return float(sum(r.comparison.bits_off + r.comparison.cycles_off + bool(r.error) for r in rows))


def silicon(setting: Setting) -> float:
    """Return the mean over the sets of the folder and of the published tables of the error of the dynamic energy, in percent."""
    if setting.silicon is None:
        raise Skip("no folder of published measurements was given (--silicon DIR)")
    from bimhw.evidence.silicon.compare import compare_silicon, together

    mean = together(compare_silicon(setting.silicon), compare_silicon()).mean("dynamic energy")
    if mean is None:
        raise Skip(f"{setting.silicon} holds no measurement that judges energy")
    return 100 * mean

"""The list of checks. Each is an independent comparison; none has our own output as its expectation but the saved hash."""

from __future__ import annotations

from bimhw.evidence.verify import chip, learning, others, own
from bimhw.evidence.verify.check import Check

CHECKS = (
    Check("RTRL gradient", "autograd (BPTT), float64", "largest relative error", 1e-10, learning.rtrl),
    Check(
        "event-driven learning (SEQ, BLK)", "autograd (BPTT), float64", "largest relative error", 1e-10, learning.forms
    ),
    Check("STDP traces", "double sum over spike pairs", "largest difference", 1e-9, learning.stdp),
    Check("PSP recurrence", "matrix exponential", "largest difference", 1e-12, learning.psp),
    Check("pruning controller", "the target", "largest distance of the mean sparsity", 0.005, learning.pruning),
    Check("timing engines", "clocked definition", "messages or cores that differ", 0, chip.engines),
    Check("lower bound of time", "clocked definition", "ticks above it", 0, chip.bound),
    Check("Loihi CUBA-LIF", "published rules in plain integers", "words that differ", 0, chip.loihi),
    Check("spikes of a saved network", "hash saved with it", "1 if it differs", 0, chip.spike_hash),
    Check("mapping and chunks", "one core map, one run", "runs that differ", 0, chip.mapping),
    Check("threads", "one thread", "steps that differ", 0, chip.threads),
    Check("checkpoint", "unbroken run", "runs that differ", 0, chip.checkpoint),
    Check("energy items", "closed form", "largest relative error", 1e-9, chip.energy_closed_form),
    Check("networks in Brian2", "Brian2", "values that differ", 0, others.brian2),
    Check("STDP and hybrid weights in Brian2", "Brian2 synapses", "largest difference", 1e-9, others.brian2_learning),
    Check(".nir files", "their frameworks' recorded spikes", "values that differ", 0, others.nir),
    Check("own network: framework", "recorded outputs of its own framework", "values that differ", 0, own.framework),
    Check("own network: Brian2", "Brian2", "values that differ", 0, own.brian2),
    Check("own network: chip", "another mapping, another engine", "outputs that differ", 0, own.chip),
    Check("published RTL", "recorded runs of hardware descriptions", "bits and cycles off", 0, others.rtl),
    Check("dynamic energy of real chips", "published measurements", "mean error over the sets, %", 10, others.silicon),
)

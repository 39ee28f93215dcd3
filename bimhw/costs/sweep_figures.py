"""`SweepFigures`: all figures of one point of a sweep; the names are those of the table, the store and ``--json``."""

from __future__ import annotations

import msgspec


class SweepFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a point; energies and times are of one sample, with the axis ``copies`` of one beside the others.

    Attributes:
        accuracy: None without labels.
        spike_rate: spikes over neuron updates of the hidden layers.
        density: synapses over those of dense projections.
        synaptic_events_per_sample: synapses met by spikes.
        total_uj, total_low_uj, total_high_uj: energy on the chip, and its range; None where the chip has no published energy.
        dynamic_uj, synapse_uj, soma_uj: parts of it.
        learning_uj, learning_form: of a sample that is learnt from, in the cheapest form that computes the gradient.
        learning_low_uj, learning_high_uj: its range.
        learners_uj: the same on as many separate learners as copies fit, each with a network of its own.
        copies, full_uj: copies of the network that fit, and the energy of a sample with them.
        latency_us, edp_js: None where the chip has no published times; of a round, where copies run together.
        cores, neurons, weight_bytes: what the network takes.
        unknown: items without a published energy.
        saturations: values that left their word.
        faults: what the faults did, by counter.
        latency_low_us, latency_high_us: its range.
        trust, time_trust: words of the energy and of the time (docs/energy.md).
        full_low_uj, full_high_uj, learners_low_uj, learners_high_uj, card_low_uj, card_high_uj, card_full_low_uj,
            card_full_high_uj: ranges.
        full_trust, learning_trust, card_trust: words; that of learning is of many learners, too.
        fidelity: how far the program is its network, with reasons.
        card: that the sweep names; card_uj, card_full_uj: its fused bound of a sample, one at a time and at the best batch.
        samples_per_s: with all copies of the point, one after the other.
        synapse_uj_fixed_activity, pruned_synops_fixed_activity: under the spikes of the least sparse point, see docs/energy.md.
    """

    accuracy: float | None
    spike_rate: float
    density: float
    synaptic_events_per_sample: float
    total_uj: float | None
    total_low_uj: float | None
    total_high_uj: float | None
    dynamic_uj: float | None
    synapse_uj: float
    soma_uj: float
    learning_uj: float | None
    learning_form: str | None
    copies: int
    full_uj: float | None
    latency_us: float | None
    edp_js: float | None
    cores: int
    neurons: int
    weight_bytes: float
    unknown: tuple[str, ...]
    saturations: int
    faults: dict[str, int]
    learning_low_uj: float | None = None
    learning_high_uj: float | None = None
    learners_uj: float | None = None
    latency_low_us: float | None = None
    latency_high_us: float | None = None
    trust: str | None = None
    time_trust: str | None = None
    fidelity: str | None = None
    card: str | None = None
    card_uj: float | None = None
    card_full_uj: float | None = None
    full_low_uj: float | None = None
    full_high_uj: float | None = None
    full_trust: str | None = None
    learning_trust: str | None = None
    learners_low_uj: float | None = None
    learners_high_uj: float | None = None
    card_low_uj: float | None = None
    card_high_uj: float | None = None
    card_full_low_uj: float | None = None
    card_full_high_uj: float | None = None
    card_trust: str | None = None
    samples_per_s: float | None = None
    synapse_uj_fixed_activity: float | None = None
    pruned_synops_fixed_activity: float | None = None

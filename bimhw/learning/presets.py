"""Tested settings by name."""

from __future__ import annotations

from bimhw.models.training import Preset

# The setting whose accuracy is known from elsewhere: one layer of 64, 8 epochs, Adam at .006.
LEVEL = Preset(config={"hidden": (64,)})

# What digits takes by default: the same net and updates, the rate chosen on 129 held-out training images.
DIGITS = Preset(config={"hidden": (64,)}, settings={"lr": 0.02, "lr_end": 0.1})

# The demonstration's network: some 15 s of one core.
DEMO = Preset(
    config={"hidden": (128,), "psp": "delta", "surrogate_width": 1.5},
    settings={"epochs": 25, "lr": 0.012, "lr_end": 0.02},
)

# Spoken digits: graded log-mel frames, 50 steps.
FSDD = Preset(
    config={"hidden": (128,), "psp": "delta", "tau_m": 3.0},
    settings={"epochs": 4, "batch": 32, "lr": 0.004, "lr_end": 0.02},
)

# The same for speakers that were not trained on: one pass over warped copies (`warped=10 colour=0.3`), one update a batch.
SPEAKERS = Preset(config=FSDD.config, settings=FSDD.settings | {"rule": "seq", "epochs": 1, "lr": 0.01})

# The best for speakers that were not trained on: two blocks with a norm, offline, three passes over the warped copies.
SPEAKERS_BLOCKS = Preset(
    config=FSDD.config
    | {"hidden": (60, 41), "kind": "complex", "rotate": False, "norm": "batch", "state_gain": "variance"}
    | {"learn_a_log": True, "dense_readout": True, "k_o": 0.9},
    settings=FSDD.settings
    | {"rule": "bptt", "epochs": 3, "batch": 8, "lr": 0.005, "lr_end": 0.2, "average": 0.4, "dropout": 0.25},
)

# Two layers that learn online: the readout reads both, the error goes down by the averaged slope, half the rate of one layer.
ONLINE_STACK = Preset(
    config=FSDD.config | {"hidden": (64, 64), "dense_readout": True},
    settings=FSDD.settings | {"lr": 0.002, "credit": "filt-avg", "k_credit": 0.95},
)

# Short real recordings (speakers, EEG, heart beats).
SERIES = Preset(config={"hidden": (64,)}, settings={"epochs": 8, "batch": 16, "lr": 0.004, "lr_end": 0.02})

PRESETS = {
    "digits": DIGITS,
    "level": LEVEL,
    "demo": DEMO,
    "fsdd": FSDD,
    "speakers": SPEAKERS,
    "speakers-blocks": SPEAKERS_BLOCKS,
    "series": SERIES,
    "online-stack": ONLINE_STACK,
}

# P-SpikeSSM: trained by BPTT, one update a batch of sequences.
P_SPIKESSM_PRESETS = {
    "default": Preset(
        config={"hidden": (64, 64)},
        settings={"rule": "bptt", "epochs": 8, "batch": 50, "lr": 0.01, "lr_end": 0.02},
    )
}

# Leaky networks: online by a local rule, an update at every labelled step.
LEAKY_PRESETS = {"default": Preset(config={"hidden": (64,)}, settings={"rule": "e-prop", "epochs": 8, "lr_end": 0.02})}

# Networks learnt by spike times: by EventProp, one update a batch of sequences.
EVENT_PRESETS = {
    "default": Preset(
        config={"hidden": (64,)},
        settings={"rule": "eventprop", "epochs": 8, "batch": 20, "lr": 0.02, "lr_end": 0.02},
    )
}

# Meta-neurons: by BPTT, the constants of the neurons beside the weights.
META_PRESETS = {
    "default": Preset(
        config={"hidden": (32,)}, settings={"rule": "bptt", "epochs": 8, "batch": 20, "lr": 0.02, "lr_end": 0.02}
    )
}

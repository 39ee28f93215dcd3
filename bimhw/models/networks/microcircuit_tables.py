"""Published numbers of the Potjans-Diesmann microcircuit: sizes, probabilities, cells, synapses, inputs, rates.

Source: Potjans and Diesmann 2014, Cereb. Cortex 24(3):785-806, doi:10.1093/cercor/bhs358, tables 1, 4 and 5. Initial potentials
and `RATES` are those of the reference implementation (INM-6/microcircuit-PD14-model, full scale, without thalamic input).
"""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64, Floats

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20_683, 5_834, 21_915, 5_479, 4_850, 1_065, 14_395, 2_948])
# probability that a pair is connected at all, [target, source]
PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
)
THALAMUS = 902  # neurons
THALAMIC_PROBABILITIES = np.array([0.0, 0.0, 0.0983, 0.0619, 0.0, 0.0, 0.0512, 0.0196])
THALAMIC_RATE_HZ = 120.0  # while the stimulus lasts

TAU_MEMBRANE_MS, TAU_SYNAPSE_MS, REFRACTORY_MS = 10.0, 0.5, 2.0
THRESHOLD_MV = 15.0  # above rest, which is also the reset
REST_MV = -65.0
INITIAL_MV = np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43])
INITIAL_SPREAD_MV = np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])

WEIGHT_SPREAD = 0.1  # standard deviation over mean
EXCITATORY_PSP_MV = 0.15  # peak of one postsynaptic potential; 87.8 pA with 250 pF
INHIBITION = -4.0  # inhibitory weight over excitatory weight
L4E_TO_L23E = 2.0  # that weight over the other excitatory ones
DELAY_MS = {"E": 1.5, "I": 0.75}
DELAY_SPREAD = 0.5

EXTERNAL_SYNAPSES = np.array(
    [1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100]
)  # each at EXTERNAL_RATE_HZ, all excitatory
EXTERNAL_RATE_HZ = 8.0
RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])  # spikes a second and neuron


def synapse_numbers() -> I64:
    """Return the synapses of each pair of populations, [target, source]; two neurons may share several.

    K = log(1 - p) / log(1 - 1 / (n_target n_source)) random pairs connect two given neurons with the probability p.
    """
    pairs = SIZES[:, None] * SIZES.astype(np.float64)
    numbers: Floats = np.log1p(-PROBABILITIES) / np.log1p(-1 / pairs)
    return numbers.astype(np.int64)

"""The Potjans-Diesmann cortical microcircuit at a tenth of its size: rates beside the published ones, energy on SpiNNaker 1."""

import bimhw
from bimhw.models.networks import microcircuit_tables as published
from bimhw.models.networks import rates_hz

STEPS = 3000  # of 0.1 ms

network = bimhw.potjans_diesmann(scale=0.1, steps=STEPS)
compiled = bimhw.compile(network, "spinnaker1-x2", mapping="blocks", neurons_per_core=80)
result = bimhw.run(compiled.program, network.inputs, STEPS, seed=1)

print(f"{network.n_neurons:,} neurons, {network.n_synapses:,} synapses, {compiled.report['cores']} cores")
for (name, rate), full in zip(rates_hz(network, result.spikes, skip_ms=100).items(), published.RATES, strict=True):
    print(f"{name:5s} {rate:6.2f} spikes/s (full scale, published: {full:.2f})")
energy = bimhw.chip_energy(result.activity, bimhw.load_chip("spinnaker1-x2"), compiled.program)
events = result.activity.total("synaptic_events")
print(f"{events:,} synaptic events, {energy.energy_pj('dynamic') / events / 1e3:,.0f} nJ of dynamic energy each")

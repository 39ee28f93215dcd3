"""Compile a trained network, run it on a simulated chip, and ask what an inference costs there and on a GPU."""

import tempfile
from pathlib import Path

import bimhw

model = Path(__file__).parent / "digits.safetensors"  # trained online: bimhw train digits --preset demo

compiled = bimhw.compile(model, chip="loihi2")
with tempfile.TemporaryDirectory() as folder:
    run = bimhw.simulate(compiled.program, samples=20, model=model, output=Path(folder) / "run")
    costs = bimhw.energy(run.folder, gpu="h100")

r = compiled.report
print(f"{r['neurons']} neurons, {r['synapses']} synapses on {r['cores']} of {r['cores_of_chip']} cores")
print(f"accuracy: chip {run.result['accuracy']:.0%}, float model {run.result['float_accuracy']:.0%}")
print(f"latency of a sample: {run.result['mean_latency_us']:.1f} us")
for row in costs.compare()[:8]:
    print(f"{row['who']:>7} {row['what']:<49} {row['uj']:>10,.1f} uJ")

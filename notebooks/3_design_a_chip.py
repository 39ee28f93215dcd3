# %% [markdown]
# # 3. Design a chip
# A chip is a YAML file; every number has a source. Start from an existing chip, change it, and sweep.

# %%
from pathlib import Path

import bimhw

MODEL = "examples/digits.safetensors"
if not Path("mychip.yaml").exists():
    bimhw.chips_new("mychip.yaml", like="loihi2")
print("mychip has", len(bimhw.chips_check("mychip.yaml").unknown), "unpublished numbers")

# %% [markdown]
# ## Sweep
# Accuracy, energy and latency over chips and bits. Finished points are stored; running the cell again computes nothing.

# %%
table = bimhw.sweep(MODEL, {"chip": ("loihi2", "mychip.yaml"), "bits": (8, 4)}, samples=20, db="design.sqlite")
table.plot()
table

# %% [markdown]
# ## What to change
# The constants that dominate the energy, and the terms that bind the steps.

# %%
compiled = bimhw.compile(MODEL, chip="mychip.yaml")
run = bimhw.simulate(compiled.program, samples=10, output="design-run")
answers = bimhw.codesign(run.folder)
for row in answers.energy_sensitivity[:3]:
    print(row)
for row in answers.floorline[:2]:
    print(row)

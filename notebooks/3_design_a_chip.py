# %% [markdown]
# # 3. Design a chip
# A chip is a YAML file whose numbers have sources. Start from one, change it, and sweep what matters.

# %%
from pathlib import Path

import bimhw

MODEL = "examples/digits.safetensors"
chip = bimhw.chips_new("mychip.yaml", like="loihi2")
text = Path("mychip.yaml").read_text()
print(chip.name, "has", len(bimhw.chips_check("mychip.yaml").unknown), "numbers that nobody published")

# %% [markdown]
# Accuracy, energy and latency over chips and bits. Points are stored: run the cell again and nothing is computed twice.

# %%
table = bimhw.sweep(MODEL, {"chip": ("loihi2", "mychip.yaml"), "bits": (8, 4)}, samples=20, db="design.sqlite")
table.plot()
table.to_frame()[["chip", "bits", "accuracy", "total_uj", "latency_us", "pareto"]]

# %% [markdown]
# Which constant dominates, and what binds the steps.

# %%
compiled = bimhw.compile(MODEL, chip="mychip.yaml")
run = bimhw.simulate(compiled.program, samples=10, output="design-run")
answers = bimhw.codesign(run.folder)
for row in answers.energy_sensitivity[:3]:
    print(row)
for row in answers.floorline[:2]:
    print(row)

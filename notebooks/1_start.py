# %% [markdown]
# # 1. Start
# A trained network on a Loihi-2-like chip: does it fit, what does it compute, when, at what energy.
# These notebooks are Python files in jupytext's percent format: open them in Jupyter with jupytext, or run them with Python.

# %%
import bimhw

MODEL = "examples/digits.safetensors"
bimhw.fit(MODEL, chip="loihi2")

# %% [markdown]
# `compile` calibrates, quantises and maps. A result has a short text, a table, `.to_frame()` and `.plot()`.

# %%
compiled = bimhw.compile(MODEL, chip="loihi2")
compiled.plot()
compiled.to_frame()

# %%
run = bimhw.simulate(compiled.program, model=MODEL, samples=20, output="start-run")
print(run)
run.plot()

# %% [markdown]
# Every joule is a count times a sourced constant; the rows that lose against a GPU are in the table too.

# %%
costs = bimhw.energy(run.folder, gpu="h100")
print(costs)
costs.plot()
costs.to_frame()[["who", "work", "how", "batch", "low_uj", "uj", "high_uj"]]

# %%
print("open", bimhw.report(run.folder))

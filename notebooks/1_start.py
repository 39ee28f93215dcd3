# %% [markdown]
# # 1. Start
# A trained network on a Loihi-2-like chip: fit, function, time and energy.
#
# These notebooks are Python files in jupytext's percent format. Open them in Jupyter with jupytext
# (`jupytext --to ipynb 1_start.py` converts one), or run them with Python. They expect the folder `examples/`;
# `bimhw examples` makes it.

# %%
import bimhw

MODEL = "examples/digits.safetensors"
bimhw.fit(MODEL, chip="loihi2")

# %% [markdown]
# ## Compile
# `compile` calibrates, quantises and maps. Every result prints as a short text, shows as a table in Jupyter, and has
# `.plot()`. With pandas (`pip install 'bimhw[frame]'`), `.to_frame()` gives it as a table to compute with.

# %%
compiled = bimhw.compile(MODEL, chip="loihi2")
compiled.plot()
compiled

# %% [markdown]
# ## Simulate
# The run folder `start-run` keeps spikes, times and counters. `model` adds the comparison with the float model.

# %%
run = bimhw.simulate(compiled.program, model=MODEL, samples=20, output="start-run")
print(run)
run.plot()

# %% [markdown]
# ## Energy
# Every joule is a count times a constant with a source. The table includes the GPU rows that beat the chip.

# %%
costs = bimhw.energy(run.folder, gpu="h100")
print(costs)
costs.plot()
costs

# %% [markdown]
# ## Report
# One HTML page; open it in a browser.

# %%
print("open", bimhw.report(run.folder))

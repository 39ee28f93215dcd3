# %% [markdown]
# # 4. Learning on the chip
# A small network learns on the simulated chip, one sample at a time, in integer words.

# %%
from dataclasses import replace

import numpy as np

import bimhw

task = bimhw.load_task("digits")
task = replace(task, train=task.train.take(np.arange(100)), test=task.test.take(np.arange(100)))  # enough to see it
trained = bimhw.train(task, hidden=16, epochs=1, seed=0)
bimhw.save_model(trained.model, "small.pt")
compiled = bimhw.compile("small.pt", chip="loihi2")
print(compiled)

# %% [markdown]
# ## Learn
# The run folder `learnt-run` has operations, spikes, times and energy of learning.

# %%
learnt = bimhw.learn(compiled.program, task, epochs=1, form="seq", run="learnt-run")
print(learnt)
learnt.plot()
learnt

# %% [markdown]
# ## Cost
# Energy and time, compared with backpropagation through time on a GPU.

# %%
costs = bimhw.energy("learnt-run", gpu="h100")
for line in costs.verdict():
    print(line)
print("open", bimhw.report("learnt-run"))

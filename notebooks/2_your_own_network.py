# %% [markdown]
# # 2. Your own network
# A torch module with spiking layers: train it in your own loop, then compile the module itself.
#
# Layers of `bimhw.nn` take a sequence [T, B, n]. The task is 8 x 8 digits, one row every two steps.

# %%
import torch

import bimhw
import bimhw.nn as bnn

torch.manual_seed(0)
net = torch.nn.Sequential(bnn.BIM(8, 32, output="filtered"), torch.nn.Linear(32, 10))
task = bimhw.load_task("digits")
x = torch.as_tensor(task.train.x[:256], dtype=torch.float32).transpose(0, 1)  # [T, B, n]
y = torch.as_tensor(task.train.y[:256])

# %% [markdown]
# ## Train
# An ordinary torch loop; the last four steps decide.

# %%
optimiser = torch.optim.Adam(net.parameters(), 1e-2)
for _ in range(20):
    optimiser.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(x)[-4:].mean(0), y)
    loss.backward()
    optimiser.step()
print(f"loss {loss.item():.3f}")

# %% [markdown]
# ## Compile
# The report names cores, synapses and memory.

# %%
compiled = bimhw.compile(net, chip="loihi2")
print(compiled)

# %% [markdown]
# ## Placement
# A darker core is fuller. The picture is also in `own-mesh.png`.

# %%
placement = bimhw.map(compiled.program, output="own-mesh.png")
print(sum(placement.view.neurons), "neurons on", sum(placement.view.neurons > 0), "cores")

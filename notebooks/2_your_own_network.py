# %% [markdown]
# # 2. Your own network
# A torch module with spiking layers, trained by your own loop, then compiled as it is.

# %%
import torch

import bimhw
import bimhw.nn as bnn

torch.manual_seed(0)
net = torch.nn.Sequential(bnn.BIM(8, 32, output="filtered"), torch.nn.Linear(32, 10))
task = bimhw.load_task("digits")
x = torch.as_tensor(task.train.x[:256], dtype=torch.float32).transpose(0, 1)  # [T, B, n]
y = torch.as_tensor(task.train.y[:256])

# %%
optimiser = torch.optim.Adam(net.parameters(), 1e-2)
for _ in range(20):
    optimiser.zero_grad()
    loss = torch.nn.functional.cross_entropy(net(x)[-4:].mean(0), y)
    loss.backward()
    optimiser.step()
print(f"loss {loss.item():.3f}")

# %%
compiled = bimhw.compile(net, chip="loihi2")
print(compiled)

# %% [markdown]
# Where the neurons are; a darker core is fuller.

# %%
placement = bimhw.map(compiled.program, output="own-mesh.png")
print(sum(placement.view.neurons), "neurons on", sum(placement.view.neurons > 0), "cores")

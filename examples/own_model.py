"""A torch model of one's own with a BIM layer: trained online and offline, then compiled, simulated and costed."""

import torch

import bimhw
import bimhw.nn as bnn

torch.manual_seed(0)
task = bimhw.load_task("digits")
x = torch.from_numpy(task.train.x).transpose(0, 1) * task.input_scale  # [steps, samples, channels]
y = torch.from_numpy(task.train.y)
core = bnn.BIM(x.shape[2], 64, psp="delta", output="filtered")
net = torch.nn.Sequential(core, torch.nn.Linear(64, 10))
loss = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
optimiser = torch.optim.AdamW(net.parameters(), lr=0.02)
for batch in torch.arange(len(y)).split(32):  # online: exact traces, an update at every step of the second half
    core.reset()
    for t, step in enumerate(x[:, batch]):
        value = loss(net[1](core.observe(step)), y[batch])
        if t >= len(x) // 2:
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
for batch in torch.cat([torch.randperm(len(y)) for _ in range(5)]).split(32):  # offline: backpropagation through time
    optimiser.zero_grad()
    loss(net(x[:, batch])[-4:].mean(0), y[batch]).backward()
    optimiser.step()
compiled = bimhw.compile(net, chip="loihi2", task=task, reading={"input_scale": task.input_scale})
run = bimhw.simulate(compiled.program, task, samples=50)
print(f"accuracy {run.result['accuracy']:.0%}, {bimhw.energy(run.folder).compare()[0]['uj']:.1f} uJ an inference")

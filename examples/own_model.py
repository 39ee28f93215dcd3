"""A torch model of one's own with a BIM layer: trained online and offline, then compiled, simulated and costed."""

import tempfile
from pathlib import Path

import torch

import bimhw
import bimhw.nn as bnn

torch.manual_seed(0)
task = bimhw.load_task("digits")
x = torch.from_numpy(task.train.x).transpose(0, 1) * task.input_scale  # [steps, samples, channels]
y = torch.from_numpy(task.train.y)

net = torch.nn.Sequential(bnn.BIM(x.shape[2], 64, psp="delta", output="filtered"), torch.nn.Linear(64, 10))
core, head = net
loss = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
optimiser = torch.optim.AdamW(net.parameters(), lr=0.02)

for batch in torch.arange(len(y)).split(32):  # online: exact traces, an update at every step of the second half
    core.reset()
    for t, step in enumerate(x[:, batch]):
        value = loss(head(core.observe(step)), y[batch])
        if t >= len(x) // 2:
            optimiser.zero_grad()
            value.backward()
            optimiser.step()

for _ in range(10):  # offline: backpropagation through time
    for batch in torch.randperm(len(y)).split(32):
        optimiser.zero_grad()
        loss(net(x[:, batch])[-4:].mean(0), y[batch]).backward()
        optimiser.step()

compiled = bimhw.compile(net, chip="loihi2", task=task, reading={"input_scale": task.input_scale})
with tempfile.TemporaryDirectory() as folder:
    run = bimhw.simulate(compiled.program, task, samples=50, output=Path(folder) / "run")
    costs = bimhw.energy(run.folder)
with torch.no_grad():
    test = torch.from_numpy(task.test.x[:50]).transpose(0, 1) * task.input_scale
    decided = net(test)[torch.from_numpy(task.decision_steps)].mean(0).argmax(1)
print(f"accuracy in torch {(decided.numpy() == task.test.y[:50]).mean():.0%}, on the chip {run.result['accuracy']:.0%}")
print(f"energy of an inference: {costs.compare()[0]['uj']:.1f} uJ")

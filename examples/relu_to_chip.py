"""A ReLU network with BatchNorm and MaxPool, trained by torch: as spiking neurons on a chip, beside itself on a GPU."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import bimhw

torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.images[:, None] / 16).float(), torch.tensor(digits.target)  # [B, 1, 8, 8], [B]
train, test = torch.randperm(len(y)).split([1297, 500])
net = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10),
)  # fmt: skip
optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
for batch in torch.cat([train[torch.randperm(len(train))] for _ in range(15)]).split(32):
    optimiser.zero_grad()
    nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
    optimiser.step()
for code, steps in (("sigma-delta", 1), ("rate", 32)):
    done = bimhw.convert(net.eval(), x[test], y[test], calibration=x[train], code=code, steps=steps)
    run = bimhw.run_converted(done, done.dataset(x[test], y[test]), "loihi2", gpu=["h100"])
    print(f"{code}: ReLU network {done.ann_accuracy:.1%}, spiking {done.curve[steps]:.1%}, "
          f"on the chip {run.result.accuracy:.1%}")  # fmt: skip
    for row in run.energy.compare():
        if row["batch"] == 1:
            print(f"  {row['who']}, {row['what']}: {row['uj']:.3g} uJ, {row['us']:.3g} us")

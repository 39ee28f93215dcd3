"""A snnTorch network on a chip: train it your way, then compile the module as it is (needs: pip install snntorch)."""

import snntorch as snn
import torch

import bimhw

torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Linear(16, 32), snn.Leaky(beta=0.9, init_hidden=True),
    torch.nn.Linear(32, 4), snn.Leaky(beta=0.9, init_hidden=True, output=True),
)  # fmt: skip
x = (torch.rand(50, 8, 16) < 0.3).float()  # [T, B, inputs]
compiled = bimhw.compile(net, chip="loihi2", sample=x)
run = bimhw.simulate(compiled.program, data=bimhw.Dataset(x.numpy()), output="snntorch-run")
print(f"{compiled.report['cores']} cores, {run.result['mean_latency_us']:.1f} us and "
      f"{bimhw.energy(run.folder).rows()[0].uj:.3g} uJ per sample")  # fmt: skip

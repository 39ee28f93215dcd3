"""Write networks of other frameworks as NAME.nir with x and the framework's own out as NAME.npz, and cases.json.

    python -m benchmarks.frameworks.make FOLDER [--only PREFIX]

Needs torch, nir and those of snntorch, spikingjelly, norse, sinabs and rockpool that are to be made; nothing of bimhw.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np

MAKERS = ("snntorch_nets", "spikingjelly_nets", "norse_nets", "sinabs_nets", "rockpool_nets")


def _write(path: Path, graph: Any) -> None:
    """Write a graph; what exporters left open (the size of a convolution's input) is filled in first, as their users must."""
    try:
        nir.write(path, graph)
        return
    except TypeError:
        path.unlink(missing_ok=True)
    try:
        copy.deepcopy(graph).infer_types()
        graph.infer_types()
    except (ValueError, IndexError):  # nir takes a kernel's height for its width, and a batch for a channel
        pass
    for node in graph.nodes.values():
        if getattr(node, "input_shape", ()) is None:
            node.input_shape = 0 if isinstance(node, nir.Conv1d) else (0, 0)
        if isinstance(node, nir.Flatten) and node.input_type["input"] is None:
            node.input_type["input"] = np.zeros(0, np.int64)
    nir.write(path, graph)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, dict[str, Any]] = {}
    for maker in MAKERS:
        try:
            cases = importlib.import_module(f"benchmarks.frameworks.{maker}").cases()
        except ImportError as error:
            print(f"{maker}: left out ({error})")
            continue
        for name, make in cases.items():
            if not name.startswith(arguments.only):
                continue
            made = make()
            x, out = made.x.detach().numpy(), made.out.detach().numpy()
            _write(arguments.folder / f"{name}.nir", made.graph)
            np.savez_compressed(arguments.folder / f"{name}.npz", x=x, out=out)
            report[name] = {"profile": made.profile, "dt": made.dt, "mean": float(out.mean())}
    (arguments.folder / "cases.json").write_text(json.dumps(report, indent=1))
    print(f"{len(report)} networks in {arguments.folder}")


if __name__ == "__main__":
    main()

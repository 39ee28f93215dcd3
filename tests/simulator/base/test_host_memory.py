"""Memory under a limit of the process: products of matrices are refused before the work, and do not hang in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMITED = """
import resource
import numpy as np
from pathlib import Path
from simulator.base.host_memory import reserve_blas
left_mb = {left_mb}
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (used + (left_mb << 20), hard))
reserve_blas()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), hard))
print(np.ones((300, 300)).dot(np.ones((300, 300)))[0, 0])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize(("left_mb", "said"), [(24, "leaves less than 67 MB"), (200, "300.0")])
def test_matrix_products_never_wait_for_memory(left_mb: int, said: str) -> None:
    # without it, the product hangs
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(left_mb=left_mb)], capture_output=True, text=True, timeout=60
    )
    assert said in (done.stdout if left_mb == 200 else done.stderr)

"""docs/validation.md from the outcomes of `bimhw verify`."""

from __future__ import annotations

from collections.abc import Sequence

from bimhw.evidence.verify.check import Outcome, Setting
from bimhw.evidence.verify.rtl.check import Row

_HEAD = """# Validation

Written by `bimhw verify --full --nir DIR --silicon DIR --rtl DIR --write docs/validation.md` (seed {seed}, {size} cases). Run
`bimhw verify` on your machine: each run draws new random cases and prints their seed.

| check | compared with | figure | value | limit | result |
|---|---|---|---|---|---|
"""

_TAIL = """
Each check can fail: the tests in `tests/bimhw/evidence/verify` break what it covers and confirm the failure.

## Data
- Learning, engines, mapping, checkpoints, Brian2: random networks, workloads and inputs, drawn from the seed.
- `.nir` files: networks trained in snnTorch, SpikingJelly, Norse and sinabs, with the spikes recorded there.
- Silicon: published measurements in DIR and in the tables that come with bimhw ([silicon.md](silicon.md)). `bimhw silicon DIR`
  prints every row, the rows that each fit used, and the leave-one-out error of the fit.

## Never compared
- No time stamp was compared with silicon cycle by cycle. Timing is cycle-level for a stated model.
- No energy of a single operation of Loihi 2 was ever published. Its constants are assumed, with ranges.
- No GPU figure was measured here. `bimhw energy RUN --measure MODEL` measures on your own card.
- Learning energy on Loihi was not compared with a measurement. On SENECA and SpiNNaker 1 it was ([silicon.md](silicon.md)).
- Virtual channels are not modelled.
"""


def markdown(outcomes: Sequence[Outcome], setting: Setting, replayed: Sequence[Row] = ()) -> str:
    """Return the page as text."""
    rows = [
        f"| {o.check.name} | {o.check.against} | {o.check.figure} | "
        f"{'' if o.value is None else format(o.value, '.3g')} | {o.check.limit:g} | {o.status}"
        f"{': ' + o.note if o.note else ''} |"
        for o in outcomes
    ]
    head = _HEAD.format(seed=setting.seed, size="many" if setting.full else "few")
    return head + "\n".join(rows) + "\n" + _rtl(replayed) + _TAIL


_RTL_HEAD = """
## Published RTL
The chip models replay recorded runs of hardware descriptions ([rtl.md](rtl.md)): published RTL, not silicon.

| design | kind | cases | equal | words | bits off | stamps | cycles off |
|---|---|---|---|---|---|---|---|
"""


def _rtl(replayed: Sequence[Row]) -> str:
    """Count the cases of each design and kind."""
    if not replayed:
        return ""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in replayed:
        groups.setdefault((row.design, row.kind), []).append(row)
    lines = []
    for (design, kind), rows in (*groups.items(), (("all", ""), list(replayed))):
        sums = [sum(getattr(r.comparison, k) for r in rows) for k in ("words", "bits_off", "stamps", "cycles_off")]
        counts = [len(rows), sum(r.equal for r in rows), *sums]
        lines.append(f"| {design} | {kind} | " + " | ".join(f"{n:,}" for n in counts) + " |")
    return _RTL_HEAD + "\n".join(lines) + "\n"

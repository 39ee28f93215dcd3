"""docs/validation.md from the outcomes of `bimhw verify`."""

from __future__ import annotations

from collections.abc import Sequence

from bimhw.evidence.verify.check import Outcome, Setting
from bimhw.evidence.verify.rtl.check import Row

_HEAD = """# Validation

Written by `bimhw verify --full --nir DIR --silicon DIR --rtl DIR --write docs/validation.md` (seed {seed}, {size} cases). Run
`bimhw verify` to see it on your machine: each time on new random cases, whose seed it prints.

| check | compared with | figure | value | limit | result |
|---|---|---|---|---|---|
"""

_TAIL = """
Each check can fail: `tests/bimhw/evidence/verify` breaks what each one checks and sees it fail.

## On which data
- Learning, engines, mapping, checkpoints, Brian2: random networks, workloads and inputs, drawn from the seed.
- `.nir` files: nets trained in snnTorch, SpikingJelly, Norse and sinabs with the spikes that those frameworks computed.
- Silicon: published measurements in DIR and in the tables that come with bimhw ([silicon.md](silicon.md)); `bimhw silicon DIR`
  prints every row, what was fitted on which rows, and the leave-one-out error of each fit.

## Never compared
- No time stamp was compared with silicon cycle by cycle: the timing model is cycle-level of a stated model.
- No energy of a single operation of Loihi 2 was ever published; its constants are assumed, with ranges.
- No figure of a GPU was measured here, unless you ran with a card of your own.
- The energy of learning on Loihi was compared with no measurement; on SENECA and SpiNNaker 1 it was ([silicon.md](silicon.md)).
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
Recorded runs of hardware descriptions, replayed by the chip models ([rtl.md](rtl.md)): equal to published RTL, not to silicon.

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

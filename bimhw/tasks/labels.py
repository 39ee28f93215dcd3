"""Labels as data files hold them: whole numbers of any type, a column, names of classes, or one-hot rows."""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64, Array
from simulator.base.errors import InputError

Labels = I64


def as_labels(y: Array, where: str, outputs: int | None = None) -> Labels | None:
    """Return labels [B]; None where y holds real targets.

    Args:
        y: whole numbers [B] or [B, 1], names [B] (numbered in their order), or one-hot rows [B, C] of whole numbers.
        where: of y, for messages.
        outputs: C of the network, which labels stay below; with one output y is a target. None: not known.

    Raises:
        InputError: a label that no output has.
    """
    if y.dtype.kind in "US":
        return np.asarray(np.unique(y.reshape(-1), return_inverse=True)[1], np.int64)
    if outputs == 1 or y.dtype.kind not in "iubf":
        return None
    flat = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim == 1 and (flat.dtype.kind != "f" or bool((flat == np.rint(flat)).all())):
        return _checked(flat, where, outputs)
    one_hot = y.ndim == 2 and y.dtype.kind != "f" and outputs in (None, y.shape[1])
    if one_hot and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()):
        return np.asarray(y.argmax(axis=1), np.int64)
    return None


def _checked(labels: Array, where: str, outputs: int | None) -> Labels:
    most = 2**31 if outputs is None else outputs
    wrong = (labels < 0) | (labels >= most)
    if wrong.any():
        rule = "labels start at 0" if outputs is None else f"the outputs are 0..{outputs - 1}"
        raise InputError(where, f"has the label {labels[wrong][0]}, and {rule}", "Number the classes from 0")
    return labels.astype(np.int64)

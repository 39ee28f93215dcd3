"""Interpolated Witten-Bell n-grams: the language model every trained one is held against.

p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h)), h' = h without its oldest symbol, T(h) = number of different symbols seen
after h, p(w | nothing) interpolated with 1 / V. Source: I. Witten, T. Bell, IEEE Trans. Inf. Theory 37 (1991) 1085; S. Chen,
J. Goodman, Computer Speech & Language 13 (1999) 359.
"""

from __future__ import annotations

import numpy as np

from simulator.base.arrays import I64, AnyInts, Floats
from simulator.base.errors import InputError

Ids = AnyInts


def witten_bell_nll(train: Ids, test: Ids, n_symbols: int, order: int) -> Floats:
    """Return the nats of every test symbol under the n-gram of `order` (order n looks at n - 1 symbols).

    Args:
        train: [n] symbol indices the counts are taken from.
        test: [m] symbol indices, scored from the first one on (with the context that is there).
        n_symbols: V, size of the alphabet.
        order: 1 for unigrams.

    Returns:
        [m] nats.

    Raises:
        InputError: an order below 1, an empty text, a symbol outside the alphabet.
    """
    if order < 1:
        raise InputError("n-gram", f"order {order} is below 1", "Order 1 is the unigram")
    for name, ids in (("train", train), ("test", test)):
        if len(ids) == 0 or ids.min() < 0 or ids.max() >= n_symbols:
            raise InputError(f"n-gram, {name} text", f"is empty or holds symbols outside 0 to {n_symbols - 1}")
    p = np.full(len(test), 1.0 / n_symbols)
    train_context, test_context = np.zeros(len(train), np.int64), np.zeros(len(test), np.int64)
    for _ in range(order):
        p, train_context, test_context = _deepen(train, test, n_symbols, p, train_context, test_context)
    return np.asarray(-np.log(p))


def _deepen(
    train: Ids,
    test: Ids,
    n_symbols: int,
    p: Floats,
    train_context: I64,
    test_context: I64,
) -> tuple[Floats, I64, I64]:
    """Add one symbol of context. A context is an index into the grams of one length below; -1 = not seen or not there."""
    there = train_context >= 0
    if not there.any():  # the train text is shorter than the context
        return p, train_context, test_context
    grams, gram_of, counts = np.unique(
        train_context[there] * n_symbols + train[there], return_inverse=True, return_counts=True
    )
    contexts = grams // n_symbols
    size = int(contexts.max(initial=0)) + 1
    total = np.bincount(contexts, weights=counts, minlength=size)
    types = np.bincount(contexts, minlength=size).astype(np.float64)
    gram = _find(grams, test_context, test, n_symbols)
    known = (test_context >= 0) & (test_context < size)
    inside = np.where(known, test_context, 0)
    c_h, t_h = np.where(known, total[inside], 0.0), np.where(known, types[inside], 0.0)
    c_hw = np.where(gram >= 0, counts[np.maximum(gram, 0)], 0.0)
    seen = c_h > 0
    p = np.where(seen, (c_hw + t_h * p) / np.where(seen, c_h + t_h, 1.0), p)
    train_gram = np.full(len(train), -1, np.int64)
    train_gram[there] = gram_of
    return p, _shift(train_gram), _shift(gram)


def _find(grams: I64, context: I64, symbol: Ids, n_symbols: int) -> I64:
    key = context * n_symbols + symbol
    at = np.minimum(np.searchsorted(grams, key), len(grams) - 1)
    return np.where((context >= 0) & (grams[at] == key), at, -1).astype(np.int64)


def _shift(gram: I64) -> I64:
    return np.concatenate([np.full(1, -1, np.int64), gram[:-1]])

"""Machine instructions that numba does not offer: prefetch, a 64-byte non-zero mask, trailing zeros, eight sums at once.

They are plain LLVM and compile on every target (SSE2, AVX2, AVX-512, NEON); without them the plain kernel would be the same
but slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def _prefetch(typingctx, address):  # type: ignore[no-untyped-def]
    """Ask for the cache line at an address (uint64); never faults."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        i32 = ir.IntType(32)
        pointer = builder.inttoptr(args[0], cgutils.voidptr_t)
        signature_ = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], signature_)
        builder.call(function, [pointer, i32(0), i32(3), i32(1)])  # read, keep in all levels, data
        return context.get_dummy_value()

    return types.none(types.uint64), codegen


def _mask64(typingctx, address):  # type: ignore[no-untyped-def]
    """Return the mask whose bit i is set where byte i of the 64 bytes at an address (uint64) is not 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(ir.IntType(8), 64)
        pointer = builder.inttoptr(args[0], vector.as_pointer())
        value = builder.load(pointer)
        value.align = 1
        bits = builder.icmp_unsigned("!=", value, ir.Constant(vector, None))
        return builder.bitcast(bits, ir.IntType(64))

    return types.uint64(types.uint64), codegen


def _add_eight(typingctx, sums, offset, targets, weights, at, factor):  # type: ignore[no-untyped-def]
    """Do sums[targets[j] + offset] += weights[j] * factor for the eight j from `at` on; nothing checks the bounds.

    Targets are read 8 bytes at a time. Eight sums are eight instructions, not one in a loop: a processor that foresees by
    instruction which loads wait for stores then makes few of them wait.
    """
    if any(kind.layout != "C" for kind in (sums, targets, weights)):
        return None

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = [signature.args[k] for k in (0, 2, 3)]
        to, of, by = (
            context.make_array(k)(context, builder, args[i]).data for k, i in zip(kinds, (0, 2, 3), strict=True)
        )
        word, bits, sum_type = ir.IntType(64), kinds[1].dtype.bitwidth, kinds[0].dtype
        to, scale = builder.gep(to, [args[1]]), context.cast(builder, args[5], types.int64, sum_type)
        words = builder.bitcast(builder.gep(of, [args[4]]), word.as_pointer())
        for lane in range(8):
            if lane * bits % 64 == 0:
                packed = builder.load(builder.gep(words, [word(lane * bits // 64)]))
                packed.align = bits // 8
            target = builder.and_(builder.lshr(packed, word(lane * bits % 64)), word((1 << bits) - 1))
            weight = builder.load(builder.gep(by, [builder.add(args[4], word(lane))]))
            addend = builder.mul(context.cast(builder, weight, kinds[2].dtype, sum_type), scale)
            place = builder.gep(to, [target])
            builder.store(builder.add(builder.load(place), addend), place)
        return context.get_dummy_value()

    return types.none(sums, types.uint64, targets, weights, types.uint64, types.int64), codegen


def _trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
    """Return the number of zero bits below the lowest set bit of a uint64 that is not 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


def _add_eight_plain(sums, offset, targets, weights, at, factor):  # type: ignore[no-untyped-def]
    for j in range(int(at), int(at) + 8):
        sums[int(targets[j]) + int(offset)] += int(weights[j]) * int(factor)


def _prefetch_plain(address):  # type: ignore[no-untyped-def]
    """Do nothing."""


def _trailing_zeros_plain(word):  # type: ignore[no-untyped-def]
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


_PLAIN = getattr(config, "DISABLE_JIT", False)
add_eight: Any = _add_eight_plain if _PLAIN else intrinsic(_add_eight)
prefetch: Any = _prefetch_plain if _PLAIN else intrinsic(_prefetch)
trailing_zeros: Any = _trailing_zeros_plain if _PLAIN else intrinsic(_trailing_zeros)
mask64: Any = intrinsic(_mask64)  # only the fast loop's, which exists compiled alone

"""Machine instructions that numba does not offer: prefetch, a 64-byte mask, trailing zeros, eight or 32 sums at once.

They are plain LLVM and compile on every target (SSE2, AVX2, AVX-512, NEON); without them the plain kernel would be the same
but slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

_LANES = [1 << i for i in range(32)]

# Processors with AVX-512 are of a generation that foresees well which loads wait for a store, also where one instruction
# in a loop makes all of them: there a plain loop over synapses is the fastest.
LOOPS_WELL = bool(binding.get_host_cpu_features().get("avx512f", False))


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


def _sum_where_set(typingctx, sums, of, start, stop, words, stride, i, weights):  # type: ignore[no-untyped-def]
    """Set sums[32 i + b] to the sum of weights[of[j]], start <= j < stop, where bit b of words[of[j], i] is set.

    `words` has `stride` columns; all values have 32 bits, and nothing checks the bounds. The 32 sums stay in registers.
    """
    if any(kind.layout != "C" or kind.dtype.bitwidth != 32 for kind in (sums, of, words, weights)):
        return None
    i32, i64 = ir.IntType(32), ir.IntType(64)
    lanes = ir.VectorType(i32, 32)
    none, unset, bits = ir.Constant(lanes, None), ir.Constant(lanes, ir.Undefined), ir.Constant(lanes, _LANES)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        to, nets, table, by = (
            context.make_array(signature.args[k])(context, builder, args[k]).data for k in (0, 1, 4, 7)
        )

        def spread(value: Any) -> Any:
            return builder.shuffle_vector(builder.insert_element(unset, value, i32(0)), unset, none)

        total = cgutils.alloca_once_value(builder, none)  # type: ignore[no-untyped-call]
        with cgutils.for_range_slice(builder, args[2], args[3], i64(1), i64) as (j, _):
            net = builder.zext(builder.load(builder.gep(nets, [j])), i64)
            word = builder.load(builder.gep(table, [builder.add(builder.mul(net, args[5]), args[6])]))
            is_set = builder.icmp_unsigned("!=", builder.and_(spread(word), bits), none)
            addend = builder.select(is_set, spread(builder.load(builder.gep(by, [net]))), none)
            builder.store(builder.add(builder.load(total), addend), total)
        place = builder.bitcast(builder.gep(to, [builder.mul(args[6], i64(32))]), lanes.as_pointer())
        builder.store(builder.load(total), place).align = 4
        return context.get_dummy_value()

    size = types.uint64
    return types.none(sums, of, size, size, words, size, size, weights), codegen


def _trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
    """Return the number of zero bits below the lowest set bit of a uint64 that is not 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


def _add_eight_plain(sums, offset, targets, weights, at, factor):  # type: ignore[no-untyped-def]
    for j in range(int(at), int(at) + 8):
        sums[(int(targets[j]) + int(offset)) % 2**64] += int(weights[j]) * int(factor)


def _prefetch_plain(address):  # type: ignore[no-untyped-def]
    """Do nothing."""


def _sum_where_set_plain(sums, of, start, stop, words, stride, i, weights):  # type: ignore[no-untyped-def]
    nets = of[int(start) : int(stop)]
    hit = (words[nets, int(i)][:, None] & np.array(_LANES, np.uint32)) != 0
    sums[32 * int(i) : 32 * int(i) + 32] = weights[nets] @ hit


def _trailing_zeros_plain(word):  # type: ignore[no-untyped-def]
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


_PLAIN = getattr(config, "DISABLE_JIT", False)
sum_where_set: Any = _sum_where_set_plain if _PLAIN else intrinsic(_sum_where_set)
add_eight: Any = _add_eight_plain if _PLAIN else intrinsic(_add_eight)
prefetch: Any = _prefetch_plain if _PLAIN else intrinsic(_prefetch)
trailing_zeros: Any = _trailing_zeros_plain if _PLAIN else intrinsic(_trailing_zeros)
mask64: Any = intrinsic(_mask64)  # only the fast loop's, which exists compiled alone

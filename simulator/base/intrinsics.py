"""Machine instructions that numba does not offer: prefetch, a 64-byte non-zero mask, count trailing zeros.

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


@intrinsic
def mask64(typingctx, address):  # type: ignore[no-untyped-def]
    """Return the mask whose bit i is set where byte i of the 64 bytes at an address (uint64) is not 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(ir.IntType(8), 64)
        pointer = builder.inttoptr(args[0], vector.as_pointer())
        value = builder.load(pointer)
        value.align = 1
        bits = builder.icmp_unsigned("!=", value, ir.Constant(vector, None))
        return builder.bitcast(bits, ir.IntType(64))

    return types.uint64(types.uint64), codegen


def _trailing_zeros(typingctx, word):  # type: ignore[no-untyped-def]
    """Return the number of zero bits below the lowest set bit of a uint64 that is not 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


def _prefetch_plain(address):  # type: ignore[no-untyped-def]
    """Do nothing."""


def _trailing_zeros_plain(word):  # type: ignore[no-untyped-def]
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


_PLAIN = getattr(config, "DISABLE_JIT", False)
prefetch: Any = _prefetch_plain if _PLAIN else intrinsic(_prefetch)
trailing_zeros: Any = _trailing_zeros_plain if _PLAIN else intrinsic(_trailing_zeros)

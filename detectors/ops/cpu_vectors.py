"""Arithmetic on LANES float32 numbers at once, for numba's compiled loops.

Spelled out as vectors, so that speed does not hang on what LLVM can prove about loops. Arrays here are
float32, lie in memory without gaps and are changed in place.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Numbers side by side: one register of AVX-512, two of AVX2, four of NEON.
LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
#: Cephes's polynomial of 2 ** x for x in [-1/2, 1/2] (Moshier, 1989).
_POWERS = (
    1.535336188319500e-4,
    1.339887440266574e-3,
    9.618437357674640e-3,
    5.550332471162809e-2,
    2.402264791363012e-1,
    6.931472028550421e-1,
    1.0,
)


def _all(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [ir.Constant(ir.FloatType(), value)] * LANES)


def _spread(builder: ir.IRBuilder, number: Any) -> Any:
    """One number in every lane."""
    first = ir.Constant(ir.IntType(32), 0)
    vector = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, first)
    return builder.shuffle_vector(vector, vector, ir.Constant(_INTEGERS, [0] * LANES))


def _times_plus(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once where the processor can."""
    fused = ("contract",)
    return builder.fadd(builder.fmul(a, b, flags=fused), c, flags=fused)


def _power(builder: ir.IRBuilder, x: Any) -> Any:
    """2 ** x within 1e-7 of its size for x in [-126, 127], held at the ends beyond: the whole part goes into
    the exponent's bits, the rest into the polynomial."""
    lowest, highest, bias = _all(-126.0), _all(127.0), _all(127.0)
    x = builder.select(builder.fcmp_ordered("<", x, lowest), lowest, x)
    x = builder.select(builder.fcmp_ordered(">", x, highest), highest, x)
    exponent = builder.fptosi(builder.fadd(x, _all(127.5)), _INTEGERS)
    rest = builder.fsub(x, builder.fsub(builder.sitofp(exponent, _FLOATS), bias))
    power = _all(_POWERS[0])
    for coefficient in _POWERS[1:]:
        power = _times_plus(builder, power, rest, _all(coefficient))
    bits = builder.shl(exponent, ir.Constant(_INTEGERS, [23] * LANES))
    return builder.fmul(power, builder.bitcast(bits, _FLOATS))


def _load(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.load(builder.bitcast(address, _FLOATS.as_pointer()), align=4)


def _store(builder: ir.IRBuilder, vector: Any, address: Any) -> None:
    builder.store(vector, builder.bitcast(address, _FLOATS.as_pointer()), align=4)


def _addresses(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, count: int) -> list[Any]:
    """Where the first `count` arguments, arrays, have their numbers."""
    return [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in range(count)]


@intrinsic
def exp2(typing_context, x):
    """x [LANES] becomes 2 ** x; see `_power`."""

    def generate(context, builder, signature, arguments):
        (address,) = _addresses(context, builder, signature, arguments, 1)
        _store(builder, _power(builder, _load(builder, address)), address)
        return context.get_dummy_value()

    return types.void(x), generate


@intrinsic
def advance(typing_context, states, rates, step, drive, y, told, writes, reads, size):
    """One frame of a scan: h = 2 ** (step rates) h + B drive, and y += C . h.

    states h, rates [size, LANES]; step, drive, y [LANES]; B and C are `size` numbers of `told`, from the
    places `writes` and `reads` on.
    """
    wanted = types.void(states, rates, step, drive, y, told, writes, reads, size)

    def generate(context, builder, signature, arguments):
        h, a, step, drive, y, told = _addresses(context, builder, signature, arguments, 6)
        writes, reads, size = arguments[6:]
        step, drive = _load(builder, step), _load(builder, drive)
        total = cgutils.alloca_once(builder, _FLOATS)  # LLVM keeps it in a register
        builder.store(_load(builder, y), total)
        with cgutils.for_range(builder, size) as loop:
            row = builder.mul(loop.index, ir.Constant(loop.index.type, LANES))
            here = builder.gep(h, [row])
            decay = _power(builder, builder.fmul(step, _load(builder, builder.gep(a, [row]))))
            write, read = (
                _spread(builder, builder.load(builder.gep(told, [builder.add(place, loop.index)])))
                for place in (writes, reads)
            )
            state = _times_plus(builder, decay, _load(builder, here), builder.fmul(write, drive))
            _store(builder, state, here)
            builder.store(_times_plus(builder, read, state, builder.load(total)), total)
        _store(builder, builder.load(total), y)
        return context.get_dummy_value()

    return wanted, generate

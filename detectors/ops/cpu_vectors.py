"""A type for numba's compiled loops: LANES float32 numbers at once, in a register.

Spelled out as vectors, so that speed does not hang on what LLVM can prove about loops. Arrays here are
float32 and lie in memory without gaps; a place in one counts its numbers, whatever its shape.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

#: Numbers side by side: one register of AVX-512, two of AVX2, four of NEON.
LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
#: 2 ** x for x in [-1/2, 1/2] within 1e-7 of its size, the last coefficient held at 1 so that 2 ** 0 is 1.
_POWERS = (
    1.326472730665e-3,
    9.671512991190e-3,
    5.550733581185e-2,
    2.402224242687e-1,
    6.931470036507e-1,
    1.0,
)
#: Added to a number below 2 ** 22, leaves its whole part in the last bits.
_ROUND = 1.5 * 2.0**23


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"{LANES} x float32")


VECTOR = _Vector()


@register_model(_Vector)
class _InARegister(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, _FLOATS)


def _all(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [ir.Constant(ir.FloatType(), value)] * LANES)


def _at(context: Any, builder: ir.IRBuilder, type_: Any, array: Any, place: Any) -> Any:
    """The address of an array's number."""
    return builder.gep(context.make_array(type_)(context, builder, array).data, [place])


@intrinsic
def load(typing_context, array, place):
    """LANES numbers of an array, from `place` on."""

    def generate(context, builder, signature, arguments):
        address = _at(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(address, _FLOATS.as_pointer()), align=4)

    return VECTOR(array, place), generate


@intrinsic
def store(typing_context, vector, array, place):
    """LANES numbers of an array, from `place` on, become the vector's."""

    def generate(context, builder, signature, arguments):
        address = _at(context, builder, signature.args[1], *arguments[1:])
        builder.store(arguments[0], builder.bitcast(address, _FLOATS.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(vector, array, place), generate


def _spread(builder: ir.IRBuilder, number: Any) -> Any:
    first = ir.Constant(ir.IntType(32), 0)
    vector = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, first)
    return builder.shuffle_vector(vector, vector, ir.Constant(_INTEGERS, [0] * LANES))


@intrinsic
def spread(typing_context, array, place):
    """One number of an array, in every lane."""

    def generate(context, builder, signature, arguments):
        return _spread(builder, builder.load(_at(context, builder, signature.args[0], *arguments)))

    return VECTOR(array, place), generate


@intrinsic
def constant(typing_context, number):
    """One float32, in every lane."""

    def generate(context, builder, signature, arguments):
        return _spread(builder, arguments[0])

    return VECTOR(types.float32), generate


@intrinsic
def larger(typing_context, a, b):
    """Of each pair the larger number; b where a is not a number."""

    def generate(context, builder, signature, arguments):
        a, b = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    return VECTOR(VECTOR, VECTOR), generate


def _times_plus(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once where the processor can."""
    fused = ("contract",)
    return builder.fadd(builder.fmul(a, b, flags=fused), c, flags=fused)


@intrinsic
def exp2(typing_context, x):
    """2 ** x within 2e-7 of its size for x in [-126, 127.5], 2 ** -126 below; x must not be larger.

    The whole part is added to the exponent's bits of the polynomial of the rest.
    """

    def generate(context, builder, signature, arguments):
        (x,) = arguments
        lowest = _all(-126.0)
        x = builder.select(builder.fcmp_ordered("<", x, lowest), lowest, x)
        rounded = builder.fadd(x, _all(_ROUND))
        rest = builder.fsub(x, builder.fsub(rounded, _all(_ROUND)))
        power = _all(_POWERS[0])
        for coefficient in _POWERS[1:]:
            power = _times_plus(builder, power, rest, _all(coefficient))
        exponent = builder.shl(builder.bitcast(rounded, _INTEGERS), ir.Constant(_INTEGERS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(power, _INTEGERS), exponent), _FLOATS)

    return VECTOR(VECTOR), generate


def _operation(sign: Callable[[Any, Any], Any], instruction: str) -> None:
    """Make numba understand a sign between two vectors. A sum of a product may round once."""

    @intrinsic
    def compute(typing_context, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments, flags=("contract",))

        return VECTOR(VECTOR, VECTOR), generate

    @overload(sign)
    def choose(a, b):
        if a == VECTOR and b == VECTOR:
            return lambda a, b: compute(a, b)


_operation(operator.add, "fadd")
_operation(operator.sub, "fsub")
_operation(operator.mul, "fmul")
_operation(operator.truediv, "fdiv")

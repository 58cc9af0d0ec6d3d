"""Mamba's convolution and selective scan for a CPU, compiled by numba: importing this compiles or loads them.

A kernel is a C function of one argument, the address of a row of 64-bit numbers: the number of the next
unit of work, the sizes, and the addresses of float32 arrays that lie in memory row by row. Any number of
threads may run it on one such row; each takes units until none is left. No thread holds Python's lock,
nothing is shared but the row, and the states never leave a processor's cache.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from detectors.ops.cpu_vectors import LANES, advance, exp2

# Every number is spelled as float32, as Python's own would turn all arithmetic into float64.
_F = np.float32
_ZERO, _ONE, _TWO, _LOG2_E = _F(0), _F(1), _F(2), _F(1.4426950408889634)
_OPTIONS: dict[str, Any] = {"fastmath": {"contract", "nsz"}, "error_model": "numpy"}


@intrinsic
def _floats_at(typing_context, address):
    """An address as a pointer."""
    signature = types.CPointer(types.float32)(types.intp)

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, generate


@intrinsic
def _take(typing_context, counter):
    """The number that a counter shows; it is set to the next one, for all threads at once."""

    def generate(context, builder, signature, arguments):
        one = ir.Constant(ir.IntType(types.intp.bitwidth), 1)
        return builder.atomic_rmw("add", arguments[0], one, "monotonic")

    return types.intp(types.CPointer(types.intp)), generate


@njit(**_OPTIONS)
def _silu(x, e):
    """x [LANES] becomes x / (1 + e ** -x). e [LANES]: a place to compute in."""
    for k in range(LANES):
        e[k] = -x[k] * _LOG2_E
    exp2(e)
    for k in range(LANES):
        x[k] /= _ONE + e[k]


@njit(**_OPTIONS)
def _softplus(x, e):
    """x [LANES] becomes log(1 + e ** x) = max(x, 0) + log(1 + u), u = e ** -|x|, the logarithm by the series
    of 2 artanh(u / (2 + u)). e [LANES]: a place to compute in."""
    for k in range(LANES):
        e[k] = -abs(x[k]) * _LOG2_E
    exp2(e)
    for k in range(LANES):
        s = e[k] / (_TWO + e[k])
        z = s * s
        series = _F(1 / 7) + z * (_F(1 / 9) + z * (_F(1 / 11) + z * _F(1 / 13)))
        series = _ONE + z * (_F(1 / 3) + z * (_F(1 / 5) + z * series))
        x[k] = max(x[k], _ZERO) + _TWO * s * series


@njit(**_OPTIONS)
def _by_lane(values, scale):
    """scale * values, [channels, n] of at most LANES channels as [n, LANES]; zero in lanes without one."""
    turned = np.zeros((values.shape[1], LANES), np.float32)
    for n in range(values.shape[1]):
        for k in range(values.shape[0]):
            turned[n, k] = values[k, n] * scale
    return turned


@njit(**_OPTIONS)
def _scan(job, x, dt, A, BC, D, y):
    """As `scan_reference`; a unit is LANES channels of one clip. BC: B and C, one after the other, flat."""
    clips, frames, channels = x.shape
    size = A.shape[1]
    blocks = (channels + LANES - 1) // LANES
    step, drive, sums = np.zeros(LANES, _F), np.zeros(LANES, _F), np.zeros(LANES, _F)
    unit = _take(job)
    while unit < clips * blocks:
        clip, first = unit // blocks, unit % blocks * LANES
        here = slice(first, min(first + LANES, channels))
        rates = _by_lane(A[here], _LOG2_E)
        states = np.zeros_like(rates)
        skip = D[here]
        drive[:] = 0
        for t in range(frames):
            values, steps, out = x[clip, t, here], dt[clip, t, here], y[clip, t, here]
            for k in range(len(skip)):
                step[k] = steps[k]
                drive[k] = steps[k] * values[k]
                sums[k] = skip[k] * values[k]
            place = (clip * frames + t) * size
            advance(states, rates, step, drive, sums, BC, place, clips * frames * size + place, size)
            for k in range(len(skip)):
                out[k] = sums[k]
        unit = _take(job)


@njit(**_OPTIONS)
def _convolve(job, x, weight, bias, u):
    """Causal convolution of each channel, then SiLU; a unit is LANES channels of one clip in one direction.

    x [b, t, 2 d], of which the first half is read; weight [d, k]; u [ways, b, t, d]. The second way looks
    from the end to the beginning; its frames keep their places.
    """
    ways, clips, frames, channels = u.shape
    taps = weight.shape[1]
    blocks = (channels + LANES - 1) // LANES
    sums, room = np.zeros(LANES, _F), np.zeros(LANES, _F)
    unit = _take(job)
    while unit < ways * clips * blocks:
        way, clip, first = unit // (clips * blocks), unit // blocks % clips, unit % blocks * LANES
        here = slice(first, min(first + LANES, channels))
        by_tap, shift = _by_lane(weight[here], _ONE), bias[here]
        for t in range(frames):
            for k in range(len(shift)):
                sums[k] = shift[k]
            for tap in range(taps):
                ago = taps - 1 - tap
                seen = t + ago if way else t - ago
                if 0 <= seen < frames:
                    values = x[clip, seen, here]
                    for k in range(len(shift)):
                        sums[k] += by_tap[tap, k] * values[k]
            _silu(sums, room)
            out = u[way, clip, t, here]
            for k in range(len(shift)):
                out[k] = sums[k]
        unit = _take(job)


@njit(**_OPTIONS)
def _mix(job, u, low, gates, weight, bias, A, D, y):
    """The scan of every way, their sum and the gate; a unit is LANES channels of one clip.

    u [ways, b, t, d]; low, flat, [ways, b, t, r + 2 n], the low-rank time steps, B and C; gates [b, t, 2 d],
    of which the second half is read; weight [d, r] and bias [d] of the time steps; A [d, n]; D [d];
    y [b, t, d].
    """
    ways, clips, frames, channels = u.shape
    rank, size = weight.shape[1], A.shape[1]
    blocks = (channels + LANES - 1) // LANES
    step, drive = np.zeros(LANES, _F), np.zeros(LANES, _F)
    sums, room = np.zeros(LANES, _F), np.zeros(LANES, _F)
    unit = _take(job)
    while unit < clips * blocks:
        clip, first = unit // blocks, unit % blocks * LANES
        here = slice(first, min(first + LANES, channels))
        rates, by_rank = _by_lane(A[here], _LOG2_E), _by_lane(weight[here], _ONE)
        states = np.zeros_like(rates)
        shift, skip = bias[here], D[here]
        drive[:] = 0
        for way in range(ways):
            states[:] = 0
            for i in range(frames):
                t = frames - 1 - i if way else i
                place = ((way * clips + clip) * frames + t) * (rank + 2 * size)
                values, out = u[way, clip, t, here], y[clip, t, here]
                for k in range(len(skip)):
                    step[k] = shift[k]
                for r in range(rank):
                    told = low[place + r]
                    for k in range(LANES):
                        step[k] += told * by_rank[r, k]
                _softplus(step, room)
                for k in range(len(skip)):
                    drive[k] = step[k] * values[k]
                    sums[k] = skip[k] * values[k]
                    if way:
                        sums[k] += out[k]
                advance(states, rates, step, drive, sums, low, place + rank, place + rank + size, size)
                for k in range(len(skip)):
                    out[k] = sums[k]
        for t in range(frames):
            opening = gates[clip, t, channels + first : channels + first + len(skip)]
            out = y[clip, t, here]
            for k in range(len(skip)):
                step[k] = opening[k]
            _silu(step, room)
            for k in range(len(skip)):
                out[k] *= step[k]
        unit = _take(job)


def _kernel(function):
    """Compiled now, or loaded from numba's cache, where there is a folder to keep one in."""
    signature = types.void(types.CPointer(types.intp))
    try:
        return cfunc(signature, cache=True, **_OPTIONS)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache folder can be written
        return cfunc(signature, **_OPTIONS)(function)


@_kernel
def scan(job):
    """b, t, d, n, x, dt, A, BC, D, y: see `_scan`."""
    _, b, t, d, n, x, dt, A, BC, D, y = carray(job, (11,))
    _scan(
        job,
        carray(_floats_at(x), (b, t, d)),
        carray(_floats_at(dt), (b, t, d)),
        carray(_floats_at(A), (d, n)),
        carray(_floats_at(BC), (2 * b * t * n,)),
        carray(_floats_at(D), (d,)),
        carray(_floats_at(y), (b, t, d)),
    )


@_kernel
def convolve(job):
    """ways, b, t, d, taps, x, weight, bias, u: see `_convolve`."""
    _, ways, b, t, d, taps, x, weight, bias, u = carray(job, (10,))
    _convolve(
        job,
        carray(_floats_at(x), (b, t, 2 * d)),
        carray(_floats_at(weight), (d, taps)),
        carray(_floats_at(bias), (d,)),
        carray(_floats_at(u), (ways, b, t, d)),
    )


@_kernel
def mix(job):
    """ways, b, t, d, n, r, u, low, gates, weight, bias, A, D, y: see `_mix`."""
    _, ways, b, t, d, n, r, u, low, gates, weight, bias, A, D, y = carray(job, (15,))
    _mix(
        job,
        carray(_floats_at(u), (ways, b, t, d)),
        carray(_floats_at(low), (ways * b * t * (r + 2 * n),)),
        carray(_floats_at(gates), (b, t, 2 * d)),
        carray(_floats_at(weight), (d, r)),
        carray(_floats_at(bias), (d,)),
        carray(_floats_at(A), (d, n)),
        carray(_floats_at(D), (d,)),
        carray(_floats_at(y), (b, t, d)),
    )

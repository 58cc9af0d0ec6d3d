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

from detectors.ops.cpu_vectors import LANES, constant, exp2, larger, load, spread, store

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
def _silu(x):
    """x / (1 + e ** -x)."""
    one = constant(_ONE)
    # Below -87 it is nearly 0, and e ** -x soon too large for float32.
    return x / (one + exp2(constant(-_LOG2_E) * larger(x, constant(_F(-87)))))


@njit(**_OPTIONS)
def _softplus(x):
    """log(1 + e ** x) = max(x, 0) + log(1 + u), u = e ** -|x|, the logarithm by the series of
    2 artanh(u / (2 + u))."""
    positive = larger(x, constant(_ZERO))
    u = exp2(constant(_LOG2_E) * (x - positive - positive))  # x - 2 max(x, 0) = -|x|
    s = u / (u + constant(_TWO))
    z = s * s
    series = constant(_F(1 / 11)) + z * constant(_F(1 / 13))
    series = constant(_F(1 / 7)) + z * (constant(_F(1 / 9)) + z * series)
    series = constant(_ONE) + z * (constant(_F(1 / 3)) + z * (constant(_F(1 / 5)) + z * series))
    return positive + (s + s) * series


@njit(**_OPTIONS)
def _blocks(channels):
    """How many times LANES channels it takes to have them all."""
    return (channels + LANES - 1) // LANES


@njit(**_OPTIONS)
def _first(block, channels):
    """Where a block of LANES channels begins. The last one ends with the last channel: what it shares with
    the one before is computed twice, to the same numbers."""
    return min(block * LANES, channels - LANES)


@njit(**_OPTIONS)
def _by_lane(values, first):
    """LANES channels of [channels, n], from `first` on, as [n, LANES]."""
    turned = np.empty((values.shape[1], LANES), _F)
    for n in range(values.shape[1]):
        for k in range(LANES):
            turned[n, k] = values[first + k, n]
    return turned


@njit(**_OPTIONS)
def _advance(states, rates, step, drive, told, writes, reads, apart):
    """One frame of a scan: h = 2 ** (step rates) h + B drive; gives C . h.

    states h, rates [n, LANES]; B and C are n numbers of `told` each, so far apart, from the places `writes`
    and `reads` on.
    """
    seen = constant(_ZERO)
    for n in range(len(rates)):
        decay = exp2(step * load(rates, n * LANES))
        state = decay * load(states, n * LANES) + spread(told, writes + n * apart) * drive
        store(state, states, n * LANES)
        seen = seen + spread(told, reads + n * apart) * state
    return seen


@njit(**_OPTIONS)
def _scan(job, x, dt, A, BC, D, y, clips, frames):
    """As `scan_reference`; a unit is LANES channels of one clip. All flat but A. BC: B, then C."""
    channels, size = A.shape
    blocks = _blocks(channels)
    unit = _take(job)
    while unit < clips * blocks:
        clip, first = unit // blocks, _first(unit % blocks, channels)
        rates = _by_lane(A, first)
        rates *= _LOG2_E
        states = np.zeros_like(rates)
        skip = load(D, first)
        for frame in range(clip * frames, (clip + 1) * frames):
            here = frame * channels + first
            values, step = load(x, here), load(dt, here)
            writes, reads = frame * size, (clips * frames + frame) * size
            seen = _advance(states, rates, step, step * values, BC, writes, reads, 1)
            store(seen + skip * values, y, here)
        unit = _take(job)


@njit(**_OPTIONS)
def _convolve(job, x, weight, bias, u, ways, clips, frames):
    """Causal convolution of each channel, then SiLU; a unit is LANES channels of one clip in one direction.

    Flat: x [b, t, 2 d], of which the first half is read; u [ways, b, t, d]. weight [d, k]; bias [d]. The
    second way looks from the end to the beginning; its frames keep their places.
    """
    channels, taps = weight.shape
    blocks = _blocks(channels)
    unit = _take(job)
    while unit < ways * clips * blocks:
        row, first = unit // blocks, _first(unit % blocks, channels)
        way, clip = row // clips, row % clips
        by_tap, shift = _by_lane(weight, first), load(bias, first)
        for t in range(frames):
            total = shift
            for tap in range(taps):
                ago = taps - 1 - tap
                seen = t + ago if way else t - ago
                if 0 <= seen < frames:
                    values = load(x, (clip * frames + seen) * 2 * channels + first)
                    total = total + load(by_tap, tap * LANES) * values
            store(_silu(total), u, (row * frames + t) * channels + first)
        unit = _take(job)


@njit(**_OPTIONS)
def _rates(A_log, first):
    """What time steps are multiplied by for exponents of 2, [n, LANES]: -e ** A_log log2(e)."""
    rates = _by_lane(A_log, first)
    for n in range(len(rates)):
        power = exp2(constant(_LOG2_E) * load(rates, n * LANES))
        store(constant(-_LOG2_E) * power, rates, n * LANES)
    return rates


@njit(**_OPTIONS)
def _time_step(by_rank, shift, low, place, apart):
    """softplus of a linear map of `len(by_rank)` numbers of `low`, so far apart, from `place` on."""
    step = shift
    for r in range(len(by_rank)):
        step = step + spread(low, place + r * apart) * load(by_rank, r * LANES)
    return _softplus(step)


@njit(**_OPTIONS)
def _mix(job, u, low, gated, weight, bias, A_log, D, y, ways, clips, frames):
    """The scan of every way, their sum and the gate; a unit is LANES channels of one clip.

    Flat: u [ways, b, t, d]; low [r + 2 n, ways, b, t], the low-rank time steps, B and C; gated [b, t, 2 d],
    of which the second half is read; y [b, t, d]. weight [d, r] and bias [d] of the time steps; A_log [d, n];
    D [d].
    """
    channels, rank = weight.shape
    size = A_log.shape[1]
    blocks, rows = _blocks(channels), ways * clips * frames
    unit = _take(job)
    while unit < clips * blocks:
        clip, first = unit // blocks, _first(unit % blocks, channels)
        rates, by_rank = _rates(A_log, first), _by_lane(weight, first)
        states, onward = np.empty_like(rates), np.empty((frames, LANES), _F)
        shift, skip = load(bias, first), load(D, first)
        for way in range(ways):
            states[:] = 0
            for i in range(frames):
                t = frames - 1 - i if way else i
                row, here = (way * clips + clip) * frames + t, clip * frames + t
                values, step = load(u, row * channels + first), _time_step(by_rank, shift, low, row, rows)
                writes, reads = rank * rows + row, (rank + size) * rows + row
                out = _advance(states, rates, step, step * values, low, writes, reads, rows) + skip * values
                if way < ways - 1:
                    store(out, onward, t * LANES)
                    continue
                if way:
                    out = out + load(onward, t * LANES)
                opening = _silu(load(gated, (2 * here + 1) * channels + first))
                store(out * opening, y, here * channels + first)
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
        carray(_floats_at(x), (b * t * d,)),
        carray(_floats_at(dt), (b * t * d,)),
        carray(_floats_at(A), (d, n)),
        carray(_floats_at(BC), (2 * b * t * n,)),
        carray(_floats_at(D), (d,)),
        carray(_floats_at(y), (b * t * d,)),
        b,
        t,
    )


@_kernel
def convolve(job):
    """ways, b, t, d, taps, x, weight, bias, u: see `_convolve`."""
    _, ways, b, t, d, taps, x, weight, bias, u = carray(job, (10,))
    _convolve(
        job,
        carray(_floats_at(x), (b * t * 2 * d,)),
        carray(_floats_at(weight), (d, taps)),
        carray(_floats_at(bias), (d,)),
        carray(_floats_at(u), (ways * b * t * d,)),
        ways,
        b,
        t,
    )


@_kernel
def mix(job):
    """ways, b, t, d, n, r, u, low, gated, weight, bias, A_log, D, y: see `_mix`."""
    _, ways, b, t, d, n, r, u, low, gated, weight, bias, A_log, D, y = carray(job, (15,))
    _mix(
        job,
        carray(_floats_at(u), (ways * b * t * d,)),
        carray(_floats_at(low), (ways * b * t * (r + 2 * n),)),
        carray(_floats_at(gated), (b * t * 2 * d,)),
        carray(_floats_at(weight), (d, r)),
        carray(_floats_at(bias), (d,)),
        carray(_floats_at(A_log), (d, n)),
        carray(_floats_at(D), (d,)),
        carray(_floats_at(y), (b * t * d,)),
        ways,
        b,
        t,
    )

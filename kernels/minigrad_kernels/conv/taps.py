"""Register tiles of a convolution's gradient by its weight: taps by filters, summed over outputs.

A tile reads its taps where they lie in the padded image, each from an offset of its own, element
after element along a row of outputs; beside them lies dy, packed once for all taps.  So no patches
are formed.

Shapes: image: what the taps' offsets count from, dy: strips (outputs, STRIP_BYTES) -> c: (TAPS,
    filters), whole strips.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

from minigrad_kernels.matmul.register_tile import HEIGHT, VECTORS, WIDE, hide_value
from minigrad_kernels.simd.registers import (
    BYTE_POINTER,
    INDEX,
    Vector,
    number,
    private_function,
    vector_of,
)

# Six taps by four vectors where there are 32 registers, by two where there are 16.
TAPS = HEIGHT // 2 if WIDE else HEIGHT
STRIPS = 2 if WIDE else 1  # of dy, side by side in a tile


def _tile_function(outer: Vector, strips: int) -> Any:
    """Return the function of one shape: c[TAPS, filters] += taps @ dy, by rows of outputs."""
    name = f"minigrad_taps_{outer.suffix}_{strips}"
    function, builder = private_function(outer.builder, name, 9)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    image, offsets, row_step, rows, columns, dy, beside, c, ldc = function.args
    image, dy, c = (builder.inttoptr(x, BYTE_POINTER) for x in (image, dy, c))
    offsets = builder.inttoptr(offsets, INDEX.as_pointer())
    size = number(v.each)
    taps = []
    for t in range(TAPS):
        offset = builder.load(builder.gep(offsets, [number(t)]))
        taps.append(v.at(image, builder.mul(offset, size)))
    vectors = strips * VECTORS
    back = builder.sub(row_step, builder.mul(columns, size))
    entry = builder.block
    row, loop, after, done = map(builder.append_basic_block, ("row", "loop", "after", "done"))
    builder.branch(row)

    builder.position_at_end(row)
    zeros = [v.zero] * (TAPS * vectors)
    outside = [v.phi(x, entry) for x in (rows, number(0), dy, *zeros)]
    left, *state = outside
    builder.branch(loop)

    builder.position_at_end(loop)
    k = v.phi(columns, row)
    inside = [v.phi(x, row) for x in state]
    at, at_dy, *sums = inside
    hidden = hide_value(builder, at)
    right = []
    for i in range(strips):
        strip = v.at(at_dy, beside) if i else at_dy
        right += [v.load(v.at(strip, j * v.bytes)) for j in range(VECTORS)]
    new = []
    for t, tap in enumerate(taps):
        value = v.broadcast(v.at(tap, hidden))
        for x, total in zip(right, sums[t * vectors :]):
            new.append(v.multiply_add(value, x, total))
    state = [builder.add(at, size), v.at(at_dy, VECTORS * v.bytes), *new]
    fewer = builder.sub(k, number(1))
    for phi, value in zip([k, *inside], [fewer, *state]):
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed(">", fewer, number(0)), loop, after)

    builder.position_at_end(after)
    rest = builder.sub(left, number(1))
    state[0] = builder.add(state[0], back)
    for phi, value in zip(outside, [rest, *state]):
        phi.add_incoming(value, after)
    builder.cbranch(builder.icmp_signed(">", rest, number(0)), row, done)

    builder.position_at_end(done)
    for t in range(TAPS):
        to_row = v.at(c, builder.mul(ldc, number(t)))
        for j in range(vectors):
            to = v.at(to_row, j * v.bytes)
            v.store(builder.fadd(v.load(to), new[t * vectors + j]), to)
    builder.ret_void()
    return function


@intrinsic
def lay_taps(typingctx, dtype, strips, image, offsets, row_step, rows, columns, dy, beside, c, ldc):
    """Add to c[TAPS, filters] the sums over rows x columns outputs, at least one, of taps times dy.

    Addresses and byte strides are int64.  strips: of dy, 1 to STRIPS, `beside` bytes apart.
    offsets: of TAPS taps in the image, int64, in elements.  row_step: from a row of outputs to the
    next.
    """
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emit calls of the functions for each number of strips."""
        v = vector_of(context, builder, element)
        count, *values = [
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(args[1:], signature.args[1:])
        ]
        for strips in range(1, STRIPS + 1):
            with builder.if_then(builder.icmp_signed("==", count, number(strips))):
                builder.call(_tile_function(v, strips), values)
        return context.get_dummy_value()

    kinds = (dtype, strips, image, offsets, row_step, rows, columns, dy, beside, c, ldc)
    return types.void(*kinds), codegen

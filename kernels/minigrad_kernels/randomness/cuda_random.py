"""CUDA kernels of the random draws: a thread makes the four words of a Philox block and uses them.

The words, and so raw bits and uniforms, are the CPU's bit by bit.  Normals are Box and Muller's by
the CPU's logarithm, with sine and cosine of whole turns, which need no reduction of large angles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, counter, flat, run, word
from minigrad_kernels.math.logarithm import vector_log
from minigrad_kernels.math.philox import halves, philox4x32
from minigrad_kernels.math.scalar import like, multiply_add, polynomial

THREADS = 128
# sin x = x + x^3 s(x^2), cos x = 1 + x^2 c(x^2) for |x| <= pi / 4.
# Source: FreeBSD msun, k_sinf.c and k_cosf.c (errors 2^-37, 2^-34), k_sin.c and k_cos.c (2^-58).
SINE32 = (2.7183114939898219064e-6, -1.98393348360966317347e-4, 8.3333293858894631756e-3,
          -1.66666666416265235595e-1)  # fmt: skip
SINE64 = (1.58969099521155010221e-10, -2.50507602534068634195e-8, 2.75573137070700676789e-6,
          -1.98412698298579493134e-4, 8.33333333332248946124e-3,
          -1.66666666666666324348e-1)  # fmt: skip
COSINE32 = (2.43904487962774090654e-5, -1.38867637746099294692e-3, 4.16666233237390631894e-2,
            -4.99999997251031003120e-1)  # fmt: skip
COSINE64 = (-1.13596475577881948265e-11, 2.08757232129817482790e-9, -2.75573143513906633035e-7,
            2.48015872894767294178e-5, -1.38888888888741095749e-3, 4.16666666666666019037e-2,
            -0.5)  # fmt: skip


# ---------------------------------------------------------------- what is made of four words
@cuda.jit(device=True)
def unit(word):
    """Return a float32 in [0, 1) from 24 bits of a word."""
    return float32(word >> uint32(8)) * float32(2.0**-24)


@cuda.jit(device=True)
def double_unit(high, low):
    """Return a float64 in [0, 1) from 53 bits of two words."""
    top = float64(high >> uint32(5))
    return (top * float64(2.0**26) + float64(low >> uint32(6))) * float64(2.0**-53)


@cuda.jit(device=True)
def cosine_and_sine(v):
    """Return the cosine and the sine of 2 pi v, v in [0, 1)."""
    quarters = v * like(v, 4)
    whole = int32(quarters + like(v, 0.5))
    x = (quarters - like(v, whole)) * like(v, math.pi / 2)
    z = x * x
    sine = multiply_add(x * z, polynomial(z, SINE32, SINE64), x)
    cosine = multiply_add(z, polynomial(z, COSINE32, COSINE64), like(v, 1))
    odd = whole == 1 or whole == 3
    a = sine if odd else cosine
    b = cosine if odd else sine
    return -a if whole == 1 or whole == 2 else a, -b if whole == 2 or whole == 3 else b


@cuda.jit(device=True)
def two_normals(u, v):
    """Return two normal numbers from two uniform ones, by Box and Muller."""
    radius = math.sqrt(like(u, -2) * vector_log(like(u, 1) - u))
    cosine, sine = cosine_and_sine(v)
    return radius * cosine, radius * sine


@cuda.jit(device=True)
def words(w):
    """Return a block's four words as they are."""
    return w


@cuda.jit(device=True)
def uniforms(w):
    """Return four float32 of [0, 1) from a block's words."""
    return unit(w[0]), unit(w[1]), unit(w[2]), unit(w[3])


@cuda.jit(device=True)
def double_uniforms(w):
    """Return two float64 of [0, 1) from a block's words."""
    return double_unit(w[0], w[1]), double_unit(w[2], w[3])


@cuda.jit(device=True)
def normals(w):
    """Return four normal float32 from a block's words."""
    a, b = two_normals(unit(w[0]), unit(w[1]))
    c, d = two_normals(unit(w[2]), unit(w[3]))
    return a, b, c, d


@cuda.jit(device=True)
def double_normals(w):
    """Return two normal float64 from a block's words."""
    return two_normals(double_unit(w[0], w[1]), double_unit(w[2], w[3]))


# ---------------------------------------------------------------- kernels
def drawing(made_of: Any, each: int) -> Any:
    """Return the kernel that writes the `each` values of a block's words, 16 bytes, at once."""

    @cuda.jit
    def draw(low, high, stream, call, aligned, y):
        """Write the numbers of each Philox block to y, with 128-bit stores where it is aligned."""
        n = uint32(y.size)
        step = uint32(cuda.gridDim.x * cuda.blockDim.x)
        block = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        index = uint32(block * uint32(each))
        while index < n:
            made = made_of(philox4x32(block, uint32(0), call, stream, low, high))
            if aligned and uint32(index + uint32(each)) <= n:
                ptx.store128(y, index, made)
            else:
                for k in range(each):
                    if uint32(index + uint32(k)) < n:
                        y[uint32(index + uint32(k))] = made[k]
            block = uint32(block + step)
            index = uint32(block * uint32(each))

    return draw


draw_words = drawing(words, 4)
draw_uniforms, draw_double_uniforms = drawing(uniforms, 4), drawing(double_uniforms, 2)
draw_normals, draw_double_normals = drawing(normals, 4), drawing(double_normals, 2)


def drawn(kernel: Any, seed: int, stream: int, call: Array, y: DeviceArray) -> None:
    """Launch a kernel that fills y with numbers of a seed, stream and call."""
    if not y.size:
        return
    words = (*map(word, (*halves(seed), stream)), counter(call, word))
    work = blocks(blocks(y.nbytes, 16), THREADS)
    run(kernel, work, THREADS, *words, np.uint32(not y.address % 16), flat(y))


def uniform(seed: int, stream: int, call: Array, y: DeviceArray) -> None:
    """Fill y with numbers of [0, 1): see randomness/random.py."""
    drawn(draw_uniforms if y.itemsize == 4 else draw_double_uniforms, seed, stream, call, y)


def normal(seed: int, stream: int, call: Array, y: DeviceArray) -> None:
    """Fill y with normal numbers: see randomness/random.py."""
    drawn(draw_normals if y.itemsize == 4 else draw_double_normals, seed, stream, call, y)


def random_bits(seed: int, stream: int, call: Array, y: DeviceArray) -> None:
    """Fill y: uint32 with random words."""
    drawn(draw_words, seed, stream, call, y)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "uniform": uniform,
    "normal": normal,
    "random_bits": random_bits,
}

CHECKS: tuple[Check, ...] = tuple(
    Check(name, kernel, (*(uint32,) * 5, kind[::1]), ("STG.E.128",), most, kind == float64)
    for name, kernel, kind, most in (
        ("random_bits", draw_words, uint32, 32),
        ("uniform/float32", draw_uniforms, float32, 32),
        ("uniform/float64", draw_double_uniforms, float64, 32),
        ("normal/float32", draw_normals, float32, 40),
        ("normal/float64", draw_double_normals, float64, 64),
    )
)

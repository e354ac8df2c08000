"""`vmap`: a function of one example as one of a batch."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.engine import random
from minigrad.func import lane_functions as lane_functions
from minigrad.func import lane_rules as lane_rules
from minigrad.func import trees
from minigrad.func.lane_ops import FromLanes, ToLanes, levels
from minigrad.func.lanes import levels_that_differ, sizes_in
from minigrad.ops.shape import cat, stack
from minigrad.tensors.tensor import Tensor

next_level = itertools.count(1).__next__
RANDOMNESS = ("error", "different", "same")


class Refusal(RuntimeError):
    """What `vmap` refuses, as it would be wrong example by example, too."""


class Level:
    """A context in which a function computes with lanes: `number` tells them from others'."""

    def __init__(self, size: int) -> None:
        self.number, self.size = next_level(), size

    def __enter__(self) -> Level:
        self.was = levels.sizes
        levels.sizes = (*levels.sizes, (self.number, self.size))
        return self

    def __exit__(self, *_: Any) -> None:
        levels.sizes = self.was


def dims_of(in_dims: Any, args: tuple[Any, ...]) -> tuple[list[Any], trees.Shape, list[Any]]:
    """Return the leaves of the arguments, how they are nested, and the dimension that is mapped of
    each, None for none.

    Raises: ValueError where `in_dims` does not fit the arguments.
    """
    if not isinstance(in_dims, int | tuple | list):
        raise ValueError(
            f"vmap: expected in_dims to be an int or a tuple, nested as the arguments, got "
            f"{type(in_dims).__name__}"
        )
    if not args:
        raise ValueError("vmap: the function is called without arguments: nothing to map over")
    leaves, shape = trees.flatten(args)
    dims = trees.spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, shape)
    if dims is None:
        raise ValueError(
            f"vmap: in_dims {in_dims!r} is not nested as the {len(args)} arguments are; use an int,"
            " or one entry an argument"
        )
    found = [checked_dim(leaf, dim) for leaf, dim in zip(leaves, dims, strict=True)]
    return leaves, shape, found


def checked_dim(leaf: Any, dim: Any) -> int | None:
    """Return the dimension of a leaf that is mapped, counted from the left.

    Raises: ValueError.
    """
    if dim is None:
        return None
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise ValueError(f"vmap: an entry of in_dims must be an int or None, got {dim!r}")
    if not isinstance(leaf, Tensor):
        raise ValueError(
            f"vmap: in_dims has {dim} for an input that is no tensor but {type(leaf).__name__}; "
            "use None for it"
        )
    if not -leaf.ndim <= dim < leaf.ndim:
        raise ValueError(
            f"vmap: in_dims has {dim} for an input of {leaf.ndim} dimensions, shape {leaf.shape}"
        )
    return dim % leaf.ndim


def size_of(leaves: Sequence[Any], dims: Sequence[int | None]) -> int:
    """Return the number of examples.

    Raises: ValueError where nothing is mapped, or sizes differ.
    """
    sizes = [t.shape[d] for t, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: no input is mapped: in_dims must name a dimension of at least one")
    if len(set(sizes)) > 1:
        raise ValueError(f"vmap: expected one size of all mapped dimensions, got {sizes}")
    if not sizes[0]:
        raise ValueError("vmap: the mapped dimension has size 0: there is no example to run on")
    return int(sizes[0])


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Return a function that maps `func`, written for one example, over a batch of them.

    Ops compute all examples at once; what cannot be (a number that is read by `item()` or an `if`,
    say) is computed example by example, with the same results: slower, **ours** where PyTorch
    refuses.

    in_dims: the dimension of each argument that is mapped, None for none: an int for all, or nested
        as the arguments.  Keyword arguments are not mapped.
    out_dims: where that dimension is put in each output.
    randomness: what random numbers do: "error" refuses them; "different" draws anew for each
        example; "same" draws the same.
    chunk_size: how many examples are computed at once; None is all.

    >>> import minigrad as mg
    >>> dot = mg.func.vmap(lambda x, y: (x * y).sum(), in_dims=(0, None))
    >>> dot(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if randomness not in RANDOMNESS:
        raise RuntimeError(
            f"vmap: randomness must be one of {', '.join(RANDOMNESS)}, got {randomness!r}"
        )
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"vmap: chunk_size must be at least 1, got {chunk_size}")
    in_dims, out_dims = plain_dims(in_dims), plain_dims(out_dims)
    chunk_size = None if chunk_size is None else int(chunk_size)

    @functools.wraps(func)
    def mapped(*args: Any, **options: Any) -> Any:
        leaves, shape, dims = dims_of(in_dims, args)
        named, named_shape = trees.flatten(options)
        call = Call(func, shape, named_shape, out_dims, randomness)
        every = [*leaves, *named]
        places = [*dims, *[None] * len(named)]
        return call.chunked(every, places, size_of(every, places), chunk_size)

    return mapped


def plain_dims(dims: Any) -> Any:
    """Return dimensions with Python's ints for those of NumPy and of tensors."""
    return trees.mapped(
        lambda d: operator.index(d) if d is not None and hasattr(d, "__index__") else d, dims
    )


class Call:
    """One call of a mapped function."""

    def __init__(
        self,
        func: Callable[..., Any],
        shape: trees.Shape,
        named: trees.Shape,
        out_dims: Any,
        randomness: str,
    ) -> None:
        self.func, self.shape, self.named = func, shape, named
        self.out_dims, self.randomness = out_dims, randomness

    def chunked(
        self, leaves: list[Any], dims: list[int | None], size: int, chunk: int | None
    ) -> Any:
        """Run on some examples at a time, and join the results."""
        if chunk is None or chunk >= size:
            return self.run(leaves, dims, size)
        results = []
        for start in range(0, size, chunk):
            n = min(chunk, size - start)
            part = [
                t if d is None else t[(slice(None),) * d + (slice(start, start + n),)]
                for t, d in zip(leaves, dims, strict=True)
            ]
            results.append(trees.flatten(self.run(part, dims, n)))
        shape = results[0][1]
        places = self.places(shape)
        columns = zip(*[found for found, _ in results], strict=True)
        joined = [
            column[0] if dim is None else cat(list(column), dim)
            for column, dim in zip(columns, places, strict=True)
        ]
        return trees.unflatten(shape, joined)

    def run(self, leaves: list[Any], dims: list[int | None], size: int) -> Any:
        """Run on all examples at once, or else one by one."""
        if self.randomness != "error":
            with drawing(True):
                return self.one_by_one(leaves, dims, size)
        try:
            with drawing(False):
                return self.at_once(leaves, dims, size)
        except (Refusal, ValueError) as error:
            if isinstance(error, Refusal) or str(error).startswith("vmap:"):
                raise
        except Exception:
            pass
        with drawing(False):
            return self.one_by_one(leaves, dims, size)

    def call(self, leaves: Sequence[Any]) -> tuple[list[Any], trees.Shape, list[Any]]:
        """Call the function; return its outputs, how they are nested, and where lanes go."""
        args = trees.unflatten(self.shape, leaves[: self.shape.count])
        options = trees.unflatten(self.named, leaves[self.shape.count :])
        found, shape = trees.flatten(self.func(*args, **options))
        for y in found:
            if not isinstance(y, Tensor):
                raise ValueError(
                    f"vmap: expected the function to return tensors only, got {type(y).__name__}"
                )
        return found, shape, self.places(shape)

    def places(self, shape: trees.Shape) -> list[Any]:
        """Return the dimension of each output that counts examples."""
        dims = self.out_dims
        found = trees.spread(tuple(dims) if isinstance(dims, list) else dims, shape)
        if found is None and isinstance(dims, tuple) and len(dims) == 1 and not shape.kind:
            found = [dims[0]]
        if found is None or not all(d is None or isinstance(d, int) for d in found):
            raise ValueError(f"vmap: out_dims {dims!r} is not nested as the output is")
        return found

    def at_once(self, leaves: list[Any], dims: list[int | None], size: int) -> Any:
        """Run with lanes."""
        with Level(size) as level:
            given = [
                t if d is None else ToLanes.apply(t, dim=d, level=level.number)
                for t, d in zip(leaves, dims, strict=True)
            ]
            outputs, shape, places = self.call(given)
            results = [left(y, d, level) for y, d in zip(outputs, places, strict=True)]
        return trees.unflatten(shape, results)

    def one_by_one(self, leaves: list[Any], dims: list[int | None], size: int) -> Any:
        """Run example by example."""
        rewind = random.snapshot() if self.randomness == "same" else None
        columns: list[Any] = []
        shape, places = trees.LEAF, [0]
        for i in range(size):
            if rewind is not None:
                rewind()
            given = [
                t if d is None else t[(slice(None),) * d + (i,)]
                for t, d in zip(leaves, dims, strict=True)
            ]
            found, shape, places = self.call(given)
            columns.append(found)
        results = [
            column[0] if d is None else stack(list(column), output_dim(d, column[0].ndim))
            for column, d in zip(zip(*columns, strict=True), places, strict=True)
        ]
        return trees.unflatten(shape, results)


def output_dim(dim: int, ndim: int) -> int:
    """Return where examples are counted in an output of `ndim` dimensions, from the left."""
    if not -ndim - 1 <= dim <= ndim:
        raise ValueError(f"vmap: out_dims has {dim} for an output of {ndim} dimensions")
    return dim % (ndim + 1)


def left(y: Tensor, dim: int | None, level: Level) -> Any:
    """Return a result as a tensor of all examples."""
    if dim is None:
        if level.number not in dict(sizes_in(y.array)):
            return y
        if level.number in levels_that_differ(y.array):
            raise ValueError(
                "vmap: out_dims has None for an output that differs from example to example; give "
                "the dimension that counts them"
            )
        return FromLanes.apply(y, dim=0, level=level.number, size=level.size)[0]
    place = output_dim(dim, y.ndim)
    return FromLanes.apply(y, dim=place, level=level.number, size=level.size)


class drawing:
    """A context in which random numbers are drawn, or refused."""

    def __init__(self, allowed: bool) -> None:
        self.refused = None if allowed else refuse

    def __enter__(self) -> None:
        self.was = random.watch.refused
        random.watch.refused = self.refused

    def __exit__(self, *_: Any) -> None:
        random.watch.refused = self.was


def refuse() -> None:
    """Refuse a draw."""
    raise Refusal(
        "vmap: random numbers are drawn inside of vmap, by default an error: pass "
        "randomness='different' to draw anew for each example, or 'same'"
    )

"""Functions with a gradient of one's own: `autograd.Function`, as PyTorch has it.

A call of `apply` is one node of the tape, and the user's `backward` its rule.  What the user puts
on `ctx` lies beside the node, so that no name of theirs collides with one of the engine's.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import hooks
from minigrad.engine.grad_mode import mode, no_grad
from minigrad.engine.op import Op, Slot, cell_of, name_of
from minigrad.tensors.tensor import Tensor, new

# While arrays with lanes live: (function, arguments) -> its outputs by `vmap`, or None.
VMAPS: list[Callable[..., Any]] = []


class Context:
    """What `forward` keeps for `backward`: `ctx`.

    needs_input_grad: for each argument of `apply`, whether a gradient is asked for.
    """

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._saved: Any = ()
        self._forward: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._constant: tuple[Any, ...] = ()
        self._materialize = True
        self._node: weakref.ref[FunctionNode] | None = None  # which owns this context

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors, inputs and outputs among them, for `saved_tensors`; None is kept as None.

        Raises: TypeError for anything else: put it on `ctx` as an attribute.
        """
        for i, t in enumerate(tensors):
            if not (t is None or isinstance(t, Tensor)):
                raise TypeError(
                    f"save_for_backward: expected tensors, got {type(t).__name__} for argument {i};"
                    " keep other values as attributes of ctx"
                )
        self._saved = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`."""
        self._forward = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs `forward` changed in place; it must return them."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether `backward` gets zeros, the default, or None where no gradient comes."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept.

        Raises: RuntimeError for a tensor that was changed in place since, or after the graph was
            freed.
        """
        node = None if self._node is None else self._node()
        if node is None:
            return self._forward or tuple(self._saved)
        return tuple([None if s is None else s.get(node) for s in self._saved])


FunctionCtx = Context  # PyTorch's name of it


class Saved:
    """A saved tensor: an input, an output of the node, or another; `get` returns it as it was."""

    def __init__(self, tensor: Any, node: FunctionNode, output: int | None) -> None:
        self.output = output
        self.cell = cell_of(tensor)
        self.version = self.cell[0]
        self.tracked = tensor.tracked
        self.node = None if output is not None else tensor.node
        self.leaf = tensor if output is None and tensor.tracked and tensor.node is None else None
        self.kept = hooks.packed(tensor if output is None else new(tensor.array))

    def get(self, node: FunctionNode) -> Any:
        """Return the tensor; one that is an output leads to its node again."""
        if self.cell[0] != self.version:
            raise RuntimeError(
                f"{name_of(node)}: one of its saved tensors, version {self.version}, was changed in"
                f" place {self.cell[1] or 'since'}; save a clone(), or make the change out of place"
            )
        found = hooks.unpacked(self.kept)
        if self.output is None and not hooks.is_packed(self.kept):
            return found
        t = new(found.array)
        t.cell, t.tracked = self.cell, self.tracked
        if self.output is not None and self.tracked:
            t.node = Slot(node, self.output, t.array)
        elif self.leaf is not None:
            return self.leaf
        else:
            t.node = self.node
        return t


class FunctionNode(Op):
    """One call of a Function on the tape.

    wanted: the positions, among the arguments of `apply`, of its tensors.
    """

    several = True
    keeps = False
    function: type[Function]
    ctx: Context
    wanted: tuple[int, ...]
    count: int
    outputs_like: list[tuple[tuple[int, ...], Any, Any]]

    def __getattr__(self, name: str) -> Any:
        """Return what the user put on `ctx`, as PyTorch's `grad_fn` does."""
        ctx = self.__dict__.get("ctx")
        if ctx is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(ctx, name)

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        given = list(grads)
        if self.ctx._materialize:
            for i, g in enumerate(given):
                if g is None:
                    given[i] = zeros_of(self.outputs_like[i])
        found = self.function.backward(self.ctx, *given)
        parts = found if isinstance(found, tuple) else (found,)
        if len(parts) > self.count and all(p is None for p in parts[self.count :]):
            parts = parts[: self.count]
        if len(parts) != self.count:
            raise RuntimeError(
                f"{name_of(self)}: its backward returned {len(parts)} gradients for {self.count} "
                "arguments of apply: return one each, None for what has none"
            )
        self.check(parts)
        return tuple([parts[i] for i in self.wanted])

    def check(self, parts: Sequence[Any]) -> None:
        """Refuse gradients that are no tensors, and those for arguments that are none."""
        for i, part in enumerate(parts):
            if part is None:
                continue
            if not isinstance(part, Tensor):
                raise TypeError(
                    f"{name_of(self)}: its backward returned {type(part).__name__} for argument {i}"
                    ": expected a tensor or None"
                )
            if i not in self.wanted:
                raise RuntimeError(
                    f"{name_of(self)}: its backward returned a gradient for argument {i}, which is "
                    "no tensor: return None for it"
                )


def zeros_of(like: tuple[tuple[int, ...], Any, Any]) -> Tensor:
    """Return zeros of a shape and dtype, where an array lies."""
    shape, dtype, where = like
    y = np.zeros(shape, dtype) if where is None else where(shape, dtype)
    return new(y)


class Function:
    """A function with a gradient of one's own.

    A subclass has `forward(ctx, *args)`, or `forward(*args)` with `setup_context(ctx, inputs,
    output)`, and `backward(ctx, *grads)`, all static; call it by `apply`.  `forward` runs
    unrecorded; `backward` gets a gradient for each output and returns one for each argument, None
    for what has none.  Written in tensor operations it can be differentiated again.
    `jvp(ctx, *tangents)` is used by forward mode where it is given, and derived from `backward`
    where it is not.

    Under `mg.func.vmap` it is mapped as it is; a static `vmap` says how, where that is quicker.
    **Ours:** no `generate_vmap_rule` is needed.

    >>> import minigrad as mg
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    generate_vmap_rule = False
    node_type: type[FunctionNode]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        attributes = {"function": cls, "__module__": cls.__module__}
        cls.node_type = type(f"{cls.__name__}Backward", (FunctionNode,), attributes)

    def __init__(self, *args: Any, **options: Any) -> None:
        raise TypeError(
            f"{type(self).__name__}: a Function is not instantiated; call "
            f"{type(self).__name__}.apply(...), with static forward and backward"
        )

    @staticmethod
    def forward(*args: Any, **options: Any) -> Any:
        """Compute the outputs: a tensor, or a tuple of them."""
        raise NotImplementedError("a Function needs a static method forward")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep on `ctx` what `backward` needs, where `forward` does not take it."""
        raise NotImplementedError("setup_context is not given")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return a gradient for each argument of `apply`."""
        raise NotImplementedError(
            "a Function needs a static method backward(ctx, *grads) to be differentiated"
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Return the tangents of the outputs; None stands for one that is zero."""
        raise NotImplementedError("jvp is not given")

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        """Return the outputs for all examples at once, and the dimension of each that counts them.

        info: `batch_size` and `randomness`.  in_dims: the dimension of each argument that counts
        examples, None for one that is the same in all.
        """
        raise NotImplementedError("vmap is not given")

    @classmethod
    def apply(cls, *args: Any, **options: Any) -> Any:
        """Compute the function and record it, where a gradient may be asked for."""
        if VMAPS and cls.vmap is not Function.vmap:
            mapped = VMAPS[0](cls, args)
            if mapped is not None:
                return mapped
        ctx = Context()
        ctx.needs_input_grad = tuple(
            [isinstance(a, Tensor) and a.tracked and bool(mode.recording) for a in args]
        )
        wanted = tuple([i for i, a in enumerate(args) if isinstance(a, Tensor)])
        inputs = tuple([args[i] for i in wanted])
        node = cls.node_type()
        node.ctx, node.wanted, node.count = ctx, wanted, len(args)
        tracked = bool(mode.recording) and any(t.tracked for t in inputs)
        edges = [(t.node or t) if t.tracked else None for t in inputs]
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args, **options)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **options)
        given = result if isinstance(result, tuple) else (result,)
        outputs = [made(cls.__name__, ctx, y, inputs) for y in given]
        if tracked:
            recorded(node, inputs, edges, given, outputs)
        if mode.recording and mode.tape is not None:
            mode.tape.add(node, inputs, tuple([y for y in outputs if isinstance(y, Tensor)]))
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]


class InplaceFunction(Function):
    """The base that functions which write into their input once had; `mark_dirty` says it now."""


def made(name: str, ctx: Context, y: Any, inputs: Sequence[Any]) -> Any:
    """Return an output as a tensor of its own: `forward` may have returned an input."""
    if y is None or not isinstance(y, Tensor):
        return y
    if any(y is d for d in ctx._dirty):
        if not any(y is t for t in inputs):
            raise RuntimeError(f"{name}: mark_dirty got a tensor that is no input")
        return y
    t = new(y.array)
    t.cell, t.base = y.cell, y.base
    if any(y is i for i in inputs):
        t.cell = cell_of(y)
    return t


def recorded(
    node: FunctionNode,
    inputs: tuple[Any, ...],
    edges: list[Any],
    given: Sequence[Any],
    outputs: list[Any],
) -> None:
    """Put a call on the tape: its outputs lead to the node from here on."""
    ctx = node.ctx
    kept = {id(t): t for t in ctx._constant}
    heads = [y if isinstance(y, Tensor) else new(np.zeros(0)) for y in outputs]
    fresh = [new(y.array) for y in heads]
    node.record(inputs, {}, fresh)
    node.edges = edges
    node.outputs_like = [(y.array.shape, y.array.dtype, placed(y.array)) for y in heads]
    places: dict[int, int] = {}
    for i, (was, y, t) in enumerate(zip(given, outputs, fresh, strict=True)):
        if not isinstance(y, Tensor):
            continue
        places[id(was)] = i
        if id(was) in kept or not t.tracked:
            continue
        if any(y is d for d in ctx._dirty):
            written(type(node).function.__name__, y, t)
        else:
            y.tracked, y.node = True, t.node
    saved = []
    for s in ctx._saved:
        at = None if s is None else places.get(id(s))
        if at is not None and id(s) not in {id(t) for t in inputs}:
            s = outputs[at]
        elif at is not None and not any(s is d for d in ctx._dirty):
            at = None
        saved.append(None if s is None else Saved(s, node, at))
    ctx._saved = saved
    ctx._node = weakref.ref(node)


def written(name: str, y: Any, result: Any) -> None:
    """Give an input that `forward` changed in place its place on the tape."""
    y._check_recorded(name)
    y._put(result)


def placed(array: Any) -> Any:
    """Return how to make zeros where an array lies; None for the host."""
    if isinstance(array, np.ndarray):
        return None
    target = array.target

    def zeros(shape: Any, dtype: Any) -> Any:
        y = target.empty(shape, dtype)
        y.fill(0)
        return y

    return zeros


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that cannot be differentiated again: its gradients then raise.

    It runs unrecorded, and may use NumPy.
    """

    @functools.wraps(function)
    def backward(ctx: Any, *grads: Any) -> Any:
        was = bool(mode.recording)
        with no_grad():
            found = function(ctx, *grads)
        if not was or not any(isinstance(g, Tensor) and g.tracked for g in grads):
            return found
        parts = found if isinstance(found, tuple) else (found,)
        barred = tuple([refusing(function, p) if isinstance(p, Tensor) else p for p in parts])
        return barred if isinstance(found, tuple) else barred[0]

    return backward


class Once(Op):
    """The place on the tape of a gradient that cannot be differentiated again."""

    keeps = False
    name = ""

    def forward(self, a: Any) -> Any:
        return a

    def backward(self, g: Any) -> tuple[Any, ...]:
        raise RuntimeError(
            f"{self.name} is marked once_differentiable, and is differentiated twice"
        )


def refusing(function: Callable[..., Any], t: Tensor) -> Tensor:
    """Return a gradient that may be used, and raises where it is differentiated."""
    out, op = new(t.array), Once()
    op.name = getattr(function, "__qualname__", "backward")
    source = new(t.array)
    source.tracked = True
    op.record((source,), {}, (out,))
    return out

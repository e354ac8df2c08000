"""Looking into the graph: hooks on what is saved, hooks on several gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad.autograd.hooks import active, is_packed, packed, unpacked
from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import Handle
from minigrad.engine.op import LEAF, Op
from minigrad.ops.memory import Identity
from minigrad.tensors.tensor import Tensor, new

__all__ = [
    "Node",
    "disable_saved_tensors_hooks",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

Node = Op


class PackedInputs(Sequence[Any]):
    """The inputs that an op keeps, as hooks keep them; each is unpacked when it is used."""

    def __init__(self, op: Op, inputs: Sequence[Any]) -> None:
        self.edges = list(op.edges or [None] * len(inputs))
        self.cells = [t.cell for t in inputs]
        self.kept = [packed(t) for t in inputs]

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, i: Any) -> Any:
        kept = self.kept[i]
        if not is_packed(kept):
            return kept
        t = new(unpacked(kept).array)
        t.cell = self.cells[i]
        edge = self.edges[i]
        if edge is None:
            return t
        t.tracked = True
        if edge.kind == LEAF:  # a place of its own that leads to the leaf
            op = Identity()
            op.record((t,), {}, (new(t.array),))
            op.edges = [edge]
            t.node = op
        else:
            t.node = edge
        return t


class Listener:
    """Told of each op that is recorded: packs what it keeps."""

    def __init__(self, outer: Any) -> None:
        self.outer = outer

    def add(self, op: Op, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Pack the inputs and the output that an op keeps."""
        if self.outer is not None:
            self.outer.add(op, inputs, outputs)
        if op.edges is None or not active.pairs:
            return
        listening, mode.tape = mode.tape, None
        recording, mode.recording = mode.recording, False
        try:
            if op.inputs:
                op.inputs = PackedInputs(op, op.inputs)  # type: ignore[assignment]
            if "y" in op.__dict__ and len(outputs) == 1:
                pack_output(op, outputs[0])
        finally:
            mode.tape, mode.recording = listening, recording


def pack_output(op: Op, output: Any) -> None:
    """Keep an op's output as hooks do, where it is looked for."""
    kept = packed(new(op.y))
    if not is_packed(kept):
        return
    check = type(op).result

    def result() -> Any:
        op.y = unpacked(kept).array
        try:
            return check(op)
        finally:
            del op.y

    del op.y
    op.__dict__["result"] = result


class saved_tensors_hooks:
    """A context in which what ops and Functions save for backward goes through hooks.

    pack_hook: is given a tensor when it is saved, and returns anything.  unpack_hook: is given
    that when backward needs it, and returns the tensor.

    What an op keeps beside its inputs and its output (masks, sums of rows) does not go through.

    >>> import minigrad as mg
    >>> x = mg.tensor([2.0], requires_grad=True)
    >>> with saved_tensors_hooks(lambda t: t.tolist(), mg.tensor):
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor([4.])
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pair = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if active.refused is not None:
            raise RuntimeError(active.refused)
        active.pairs = [*active.pairs, self.pair]
        self.was = mode.tape
        mode.tape = Listener(mode.tape)
        mode.recording = mode.level(bool(mode.recording))

    def __exit__(self, *_: Any) -> None:
        active.pairs = active.pairs[:-1]
        mode.tape = self.was
        mode.recording = mode.level(bool(mode.recording))


class save_on_cpu(saved_tensors_hooks):
    """A context in which what is saved for backward on a GPU is kept on the CPU until it is needed.

    What lies on the CPU stays as it is.  pin_memory: keep it in pinned memory, for quicker copies.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Any) -> Any:
            if not t.is_cuda:
                return t.device, t
            return t.device, t.cpu().pin_memory() if pin_memory and t.is_cuda else t.cpu()

        def unpack(kept: Any) -> Any:
            device, t = kept
            return t.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks:
    """A context in which `saved_tensors_hooks` raises.

    error_message: what it then says.
    """

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        self.was = active.refused
        active.refused = self.message

    def __exit__(self, *_: Any) -> None:
        active.refused = self.was


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., Any], *, mode: str = "all"
) -> Handle:
    """Call `fn` when the gradients of several tensors have come.

    mode: "all" calls `fn(gradients)` when all have; "any" calls `fn(gradient)` with the first.

    >>> import minigrad as mg
    >>> a, b = (mg.ones(1, requires_grad=True) for _ in range(2))
    >>> handle = register_multi_grad_hook([a, b], lambda grads: print(len(grads)))
    >>> (a * b).backward()
    2
    """
    if mode not in ("all", "any"):
        raise ValueError(f"register_multi_grad_hook: mode must be 'all' or 'any', got {mode!r}")
    seen: dict[int, Any] = {}

    def listening(i: int) -> Callable[[Any], None]:
        def hook(g: Any) -> None:
            if mode == "any" and not seen:
                fn(g)
            seen[i] = g
            if len(seen) == len(tensors):
                grads = [seen[k] for k in range(len(tensors))]
                seen.clear()
                if mode == "all":
                    fn(grads)

        return hook

    handles = [t.register_hook(listening(i)) for i, t in enumerate(tensors)]

    def remove() -> None:
        for handle in handles:
            handle.remove()

    return Handle(remove)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Count a write to tensors that was made outside of the ops."""
    for t in [tensor] if isinstance(tensor, Tensor) else tensor:
        t.bump_version()

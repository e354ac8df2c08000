"""PyTorch's own samples of its modules (its module_db), run here and there from equal weights.

`python -m tests.peers.modules [NAME...]` prints a line a module, like `tests.peers.op_db`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import Any

import numpy as np

import minigrad as mg
from tests.peers.calls import Outcome, difference, leaves_of, mapped, plain, seed
from tests.peers.differences import PEERS_FLOAT32, WITHIN_SIMPLEX, within_simplex
from tests.peers.op_db import OURS, Unheld, argument


def module_entries(names: list[str]) -> list[Any]:
    """Return the modules of PyTorch's list that have these names, or all that are public."""
    from torch.testing._internal.common_modules import module_db  # noqa: PLC0415

    chosen = [m for m in module_db if not names or m.module_cls.__name__ in names]
    return [m for m in chosen if not m.name.startswith(("ao", "quant", "qat", "intrinsic"))]


def converted(tree: Any) -> Any:
    """Return arguments for us; one that is given twice stays one."""
    made: dict[int, Any] = {}

    def once(leaf: Any) -> Any:
        if id(leaf) not in made:
            made[id(leaf)] = OURS.argument(either(leaf))
        return made[id(leaf)]

    return mapped(tree, once)


def either(leaf: Any) -> Any:
    """Return an argument: of a function or of a module that is given, ours of that name."""
    import torch  # noqa: PLC0415

    if isinstance(leaf, torch.nn.Module):
        return ours_like(leaf)
    if callable(leaf) and hasattr(mg.nn.functional, getattr(leaf, "__name__", "")):
        return getattr(mg.nn.functional, leaf.__name__)
    return argument(leaf)


def ours_like(layer: Any) -> Any:
    """Return our transformer layer with the settings of PyTorch's.

    Raises: Unheld for another module.
    """
    if type(layer).__name__ != "TransformerEncoderLayer":
        raise Unheld(type(layer).__name__)
    return mg.nn.TransformerEncoderLayer(
        layer.self_attn.embed_dim,
        layer.self_attn.num_heads,
        layer.linear1.out_features,
        layer.dropout.p,
        either(layer.activation),
        layer.norm1.eps,
        layer.self_attn.batch_first,
        layer.norm_first,
        layer.linear1.bias is not None,
    )


def weights_of(module: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return a copy of a module's state."""
    return {name: np.array(t.detach().numpy()) for name, t in module.state_dict().items()}


def outcome(library: Any, module: Any, args: Any, options: Any, gradients: Any) -> Outcome:
    """Run a module forward and backward; its state afterwards is among the results."""
    result = module(*args, **options)
    found = Outcome()
    smooth = []
    for leaf in leaves_of(result):
        found.leaves.append(plain(library.array(leaf)))
        found.tracked.append(isinstance(leaf, library.tensor) and leaf.requires_grad)
        if found.tracked[-1]:
            smooth.append(leaf)
    found.leaves += list(weights_of(module).values())
    inputs = [
        x
        for x in [*leaves_of([args, options]), *module.parameters()]
        if isinstance(x, library.tensor) and x.requires_grad
    ]
    if smooth and inputs:
        rng = np.random.default_rng(3)
        seeds = [library.make(seed(rng, library.array(y))) for y in smooth]
        for x, g in zip(inputs, gradients(smooth, inputs, seeds, allow_unused=True), strict=True):
            zero = np.zeros(tuple(x.shape), library.array(x).dtype)
            found.gradients.append(zero if g is None else library.array(g))
    return found


def compared(entry: Any, given: Any, dtype: Any, training: bool) -> str | None:
    """Return how our module differs on one sample, "" where it does not, None for no sample."""
    import torch  # noqa: PLC0415

    from tests.peers.op_db import torch_library  # noqa: PLC0415

    name = entry.module_cls.__name__
    made, called = given.constructor_input, given.forward_input
    if called is None:
        return None
    skipped = ("device",)
    options = {k: v for k, v in made.kwargs.items() if k not in skipped}
    try:
        ours_made = converted([list(made.args), options])
        ours_called = converted([list(called.args), dict(called.kwargs)])
    except Unheld:
        return None
    torch.manual_seed(0)
    peer = entry.module_cls(*made.args, **options).to(dtype).train(training)
    mg.manual_seed(0)
    try:
        ours = getattr(mg.nn, name)(*ours_made[0], **ours_made[1])
        ours = ours.to(getattr(mg, str(dtype).removeprefix("torch."))).train(training)
        if type(peer).__name__.startswith("Lazy"):  # has no weights before the first call
            peer(*called.args, **called.kwargs)
            ours(*ours_called[0], **ours_called[1])
        ours.load_state_dict({k: mg.tensor(v) for k, v in weights_of(peer).items()})
        try:
            expected = outcome(
                torch_library(), peer, called.args, called.kwargs, torch.autograd.grad
            )
        except Exception:
            return None
        expected.random = name.endswith("Dropout") or "Dropout" in name or name == "RReLU"
        found = outcome(OURS, ours, ours_called[0], ours_called[1], mg.grad)
    except Exception as e:
        return f"{type(e).__name__}: {e}"[:200]
    if list(weights_of(ours)) != list(weights_of(peer)):
        return f"state {list(weights_of(ours))}, expected {list(weights_of(peer))}"[:200]
    loss = FUNCTIONS.get(name, "")
    if loss in WITHIN_SIMPLEX:
        given = ours_called[0][0].detach().numpy()
        for each in (found, expected):
            each.gradients[:1] = [within_simplex(given, each.gradients[0])]
    return difference(found, expected, of_float32=PEERS_FLOAT32.get(loss))


FUNCTIONS = {"CTCLoss": "nn.functional.ctc_loss"}


def main(argv: list[str] | None = None) -> int:
    """Compare the modules that are named, or all; return 1 where one differs."""
    import torch  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m tests.peers.modules")
    parser.add_argument("names", nargs="*")
    parser.add_argument("-v", "--verbose", action="store_true", help="every sample that differs")
    given = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    right, total, missing = 0, 0, []
    for entry in module_entries(given.names):
        name = entry.module_cls.__name__
        if not hasattr(mg.nn, name):
            missing.append(name)
            continue
        lines, count, good = [], 0, 0
        for dtype in (torch.float64, torch.float32):
            for training in (True, False):
                torch.manual_seed(0)
                samples = entry.module_inputs_func(
                    entry, device="cpu", dtype=dtype, requires_grad=True, training=training
                )
                for sample in samples:
                    what = compared(entry, sample, dtype, training)
                    if what is None:
                        continue
                    count += 1
                    good += not what
                    if what:
                        made = sample.constructor_input
                        lines.append(f"    {name}{made.args}{made.kwargs}: {what}"[:260])
        right, total = right + good, total + count
        if lines or given.names:
            print(f"{name}: {good} of {count}")
            lines = list(dict.fromkeys(lines))
            print("\n".join(lines if given.verbose else lines[:1]), end="\n" if lines else "")
    print(f"missing ({len(missing)}): {' '.join(missing)}")
    print(f"{right} of {total} samples agree")
    return int(right < total)


if __name__ == "__main__":
    sys.exit(main())

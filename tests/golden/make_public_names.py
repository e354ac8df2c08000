"""Write public_names.txt, every public name: `python tests/golden/make_public_names.py`.

A name that appears or vanishes is a change of the public API and belongs in CHANGELOG.md.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

PATH = Path(__file__).with_name("public_names.txt")
MODULES = (
    "minigrad",
    "minigrad.autograd",
    "minigrad.autograd.checkpoint",
    "minigrad.autograd.forward_ad",
    "minigrad.autograd.functional",
    "minigrad.autograd.graph",
    "minigrad.compare",
    "minigrad.cuda",
    "minigrad.data",
    "minigrad.distributed",
    "minigrad.fft",
    "minigrad.linalg",
    "minigrad.func",
    "minigrad.masked",
    "minigrad.nn",
    "minigrad.nn.functional",
    "minigrad.nn.init",
    "minigrad.optim",
    "minigrad.optim.lr_scheduler",
    "minigrad.train",
)


def is_ours(value: object, name: str) -> bool:
    """Tell a name of the API from the helpers and inner modules that a namespace also holds."""
    if isinstance(value, ModuleType):
        return value.__name__ in MODULES
    return name != "annotations" and getattr(value, "__module__", "minigrad").startswith("minigrad")


def public_names(module: ModuleType) -> list[str]:
    """Return the sorted public names of a module: its __all__, else what a user sees in it."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    names = [(n, getattr(module, n)) for n in dir(module) if not n.startswith("_")]
    return sorted(n for n, value in names if is_ours(value, n))


def listing() -> list[str]:
    """Return one line a name, `module.name`, in the order of MODULES."""
    lines = []
    for name in MODULES:
        module = importlib.import_module(name)
        lines += [f"{name}.{public}" for public in public_names(module)]
    return lines


if __name__ == "__main__":
    PATH.write_text("\n".join(listing()) + "\n")
    print(f"{len(listing())} names in {PATH}")

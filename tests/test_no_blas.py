"""Training uses our kernels alone: NumPy's BLAS is for references."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import minigrad as mg

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("dot", "matmul", "einsum", "inner", "vdot", "tensordot")


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("NumPy's BLAS was called")


def test_training_runs_without_numpy_products(monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation, test = mg.data.load_iris().split(seed=0)
    built = mg.recipe(4, 3, hidden=(16, 8))
    for name in NAMES:
        monkeypatch.setattr(np, name, refuse)
    with pytest.raises(AssertionError, match="BLAS was called"):
        np.dot(np.ones(2), np.ones(2))
    built.fit(train, validation, epochs=2, batch_size=32)
    batched = mg.randn(2, 3, 4, requires_grad=True) @ mg.randn(4, 5)
    batched.sum().backward()
    assert set(built.evaluate(test)) >= {"loss", "accuracy"}


def products(tree: ast.AST) -> list[tuple[int, str]]:
    """Return (line, spelling) of every `a @ b` and np.dot-like call outside a reference.

    A product of integers may be NumPy's, who computes it without BLAS.
    """
    found: list[tuple[int, str]] = []

    def visit(node: ast.AST, inside: str) -> None:
        if isinstance(node, ast.FunctionDef):
            inside = node.name
        if "reference" not in inside and "of_integers" not in inside:
            if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult):
                found.append((node.lineno, "@"))
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if named and node.value.id == "np" and node.attr in NAMES:  # type: ignore[attr-defined]
                found.append((node.lineno, f"np.{node.attr}"))  # type: ignore[attr-defined]
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, "")
    return found


# Solutions and decompositions are NumPy's, products in them too.
LAPACK = {"baselines.py", "decompositions.py"}


@pytest.mark.parametrize("folder", ["minigrad", "kernels/minigrad_kernels"])
def test_sources_hold_no_product_outside_references(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name in LAPACK:
            continue
        held = products(ast.parse(path.read_text(encoding="utf-8")))
        assert not held, f"{path.name} computes with NumPy's BLAS at {held}: launch a kernel"


def test_a_planted_product_is_found() -> None:
    source = "import numpy as np\ndef f(a, b):\n    return a @ b + np.dot(a, b)\n"
    assert products(ast.parse(source)) == [(3, "@"), (3, "np.dot")]
    assert not products(ast.parse("def f_reference(a, b):\n    return a @ b\n"))

"""Imports go one way, files stay readable, the kernels know only numpy and numba."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    "minigrad": ROOT / "minigrad",
    "minigrad_kernels": ROOT / "kernels" / "minigrad_kernels",
    "minigrad_cudasim": ROOT / "kernels" / "minigrad_cudasim",
}
# A module imports only from its own line and the lines above it, and no two modules import each
# other.  A line is a module or a room, and holds for all in it that has no line of its own;
# "cuda_*" are the CUDA kernels that stand in their families' rooms.
LAYERS = (
    "minigrad_cudasim",
    "minigrad_kernels.example",
    "minigrad_kernels.kernel",
    "minigrad_kernels.jit",
    "minigrad_kernels.text",
    "minigrad_kernels.pages",
    "minigrad_kernels.scalar_program",
    "minigrad_kernels.simd",
    "minigrad_kernels.math",
    "minigrad_kernels.cuda",
    "minigrad_kernels.elementwise",
    "minigrad_kernels.matmul",
    "minigrad_kernels.conv",
    "minigrad_kernels.reduce",
    "minigrad_kernels.softmax",
    "minigrad_kernels.indexing",
    "minigrad_kernels.optim",
    "minigrad_kernels.randomness",
    "minigrad_kernels.norm",
    "minigrad_kernels.recurrent",
    "minigrad_kernels.table",
    "minigrad_kernels.checked",
    "minigrad_kernels.compare",
    "minigrad_kernels.cuda_*",
    "minigrad_kernels.cuda_table",
    "minigrad_kernels.warmup",
    "minigrad_kernels.cuda.warm_store",
    "minigrad_kernels",
    "minigrad_kernels.__main__",
    "minigrad.lazy",
    "minigrad.engine.errors",
    "minigrad.engine.arguments",
    "minigrad.engine.dtypes",
    "minigrad.engine.values",
    "minigrad.engine.allocator",
    "minigrad.engine.recording",
    "minigrad.engine.sharding",
    "minigrad.engine.device",
    "minigrad.engine.threads",
    "minigrad.engine.dispatch",
    "minigrad.engine.overwrite",
    "minigrad.engine.random",
    "minigrad.engine.mersenne",
    "minigrad.engine.decorators",
    "minigrad.engine.grad_mode",
    "minigrad.engine.op",
    "minigrad.engine.trace",
    "minigrad.engine.origins",
    "minigrad.engine.anomaly",
    "minigrad.engine.hooks",
    "minigrad.engine.routes",
    "minigrad.engine.backward",
    "minigrad.engine.early",
    "minigrad.engine.profiling",
    "minigrad.engine",
    "minigrad.cuda",
    "minigrad.compare",
    "minigrad.ops",
    "minigrad.tensors.copies",
    "minigrad.tensors.shapes",
    "minigrad.tensors.printing",
    "minigrad.tensors.inplace",
    "minigrad.tensors.keywords",
    "minigrad.tensors.tensor",
    "minigrad.engine.fast",
    "minigrad.tensors",
    "minigrad.linalg",
    "minigrad.special",
    "minigrad.masked",
    "minigrad.fft",
    "minigrad.scalar",
    "minigrad.checking",
    "minigrad.autograd.hooks",
    "minigrad.autograd.function",
    "minigrad.distributed.group",
    "minigrad.distributed.collectives",
    "minigrad.distributed.exchange",
    "minigrad.distributed.reducer",
    "minigrad.nn.parameter",
    "minigrad.nn.hooks",
    "minigrad.nn.state",
    "minigrad.nn.module",
    "minigrad.nn.functional",
    "minigrad.distributed.sync_norm",
    "minigrad.nn.init",
    "minigrad.nn.utils.rnn",
    "minigrad.nn.utils.clip_grad",
    "minigrad.nn.layers",
    "minigrad.nn.utils",
    "minigrad.nn",
    "minigrad.distributed.data_parallel",
    "minigrad.distributions",
    "minigrad.func",
    "minigrad.autograd",
    "minigrad.utils",
    "minigrad.optim.saved_state",
    "minigrad.optim.optimizer",
    "minigrad.optim.lr_scheduler",
    "minigrad.optim",
    "minigrad.distributed.zero",
    "minigrad.distributed",
    "minigrad.tables.text",
    "minigrad.tables.values",
    "minigrad.tables.quick",
    "minigrad.tables.frame",
    "minigrad.tables.columns",
    "minigrad.tables.targets",
    "minigrad.tables.preparation",
    "minigrad.data",
    "minigrad.capturing",
    "minigrad.sealed",
    "minigrad.trees",
    "minigrad.pytorch_files",
    "minigrad.serialization",
    "minigrad.train.direction",
    "minigrad.diagnosis",
    "minigrad.train",
    "minigrad.onnx",
    "minigrad.tables",
    "minigrad.sklearn",
    "minigrad",
    "minigrad.torch_programs",
    "minigrad.as_torch",
    "minigrad.cli",
    "minigrad.__main__",
)
MAX_LINES = 700
# A class is never cut: Tensor has all its methods in one file.
LONGER = {"minigrad.tensors.tensor": 1_400}
MAX_COLUMNS = 100
KERNELS_MAY_IMPORT = {"numpy", "numba", "llvmlite"} | sys.stdlib_module_names
# What is drawn in a terminal is drawn by rich.
KERNELS_THAT_PRINT = {
    "minigrad_kernels.__main__",
    "minigrad_kernels.compare.command",
    "minigrad_kernels.compare.report",
}
# The one way to the kernels, what looks at them from outside, and what reads bytes, no arrays.
DOORS = {
    "minigrad.engine.device",
    "minigrad.engine.dispatch",
    "minigrad.engine.fast",
    "minigrad.engine.threads",
    "minigrad.capturing.recorder",
    "minigrad.capturing.tables",
    "minigrad.compare",
    "minigrad.tables.quick",
    "minigrad.checking.oracle",  # which runs the references alone, at more digits
    "minigrad.train.pages",  # which draws charts with the kernels' pages
    "minigrad.checking.page",  # in the same style
    "minigrad.cli.train",  # which has another process compile what it will need
}
KERNELS_MAY_TRY = {"greenlet"}  # extras that a guarded import asks for
# What an argument looks like, no kernels: whoever builds such an argument may know its layout.
ARGUMENT_LAYOUTS = {
    "minigrad_kernels.jit.address_table",
    "minigrad_kernels.cuda.array",
    "minigrad_kernels.scalar_program.opcodes",
}
# Extras of pyproject.toml: imported inside the function that needs them, where they may be missing.
OPTIONAL = {"matplotlib", "pandas", "sklearn", "mpi4py", "greenlet", "onnx"}


@dataclass(frozen=True)
class Import:
    """One imported module, where it stands, and whether a type checker alone sees it."""

    target: str
    line: int
    typing_only: bool


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    for package, folder in SOURCES.items():
        if path.is_relative_to(folder):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    raise ValueError(f"{path} lies in no source folder")


def files(package: str) -> list[Path]:
    return sorted(SOURCES[package].rglob("*.py"))


MODULES = {module_name(path): path for package in SOURCES for path in files(package)}


def is_typing_block(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
        "_typing.TYPE_CHECKING",
        "_TYPE_CHECKING",
    )


def targets(node: ast.Import | ast.ImportFrom, name: str, is_package: bool) -> Iterator[str]:
    """Yield the modules that a statement imports; `from package import module` is that module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = name.split(".")
        kept = parts[: len(parts) - node.level + is_package]
        base = ".".join([*kept, base] if base else kept)
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in MODULES else base


def lazy_target(node: ast.AST) -> str | None:
    """Return the module of a call `lazy("module")`, which is an import at its first use."""
    match node:
        case ast.Call(func=ast.Name("lazy" | "_lazy"), args=[ast.Constant(str(module))]):
            return module
    return None


def imports(path: Path) -> list[Import]:
    """Return all imports of a file, those inside functions and those at first use too."""
    tree = ast.parse(path.read_text())
    hidden = {child for node in ast.walk(tree) if is_typing_block(node) for child in ast.walk(node)}
    name = module_name(path)
    stated = [
        Import(target, node.lineno, node in hidden)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in targets(node, name, path.name == "__init__.py")
    ]
    return stated + [
        Import(target, node.lineno, False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (target := lazy_target(node))
    ]


def layer(name: str) -> int:
    """Return the line of LAYERS on which a module stands: its own, or that of the nearest room."""
    parts = name.split(".")
    if name.startswith("minigrad_kernels.") and len(parts) == 3 and parts[2].startswith("cuda_"):
        return LAYERS.index("minigrad_kernels.cuda_*")
    if name in LAYERS:
        return LAYERS.index(name)
    while len(parts) > 1 + (parts[0] == "minigrad"):
        parts.pop()
        if ".".join(parts) in LAYERS:
            return LAYERS.index(".".join(parts))
    raise LookupError(f"{name} stands on no line of LAYERS in {Path(__file__).name}: add it")


def is_stub(name: str) -> bool:
    """Say whether a module is there for type checkers only."""
    return (SOURCES["minigrad"].parent / name.replace(".", "/")).with_suffix(".pyi").exists()


def misdirected(name: str, found: list[Import]) -> list[str]:
    """Name the imports of a module of ours that go down instead of up."""
    return [
        f"{name}:{item.line} imports {item.target}, which stands below it"
        for item in found
        if item.target.split(".")[0] in SOURCES
        and not is_stub(item.target)
        and layer(item.target) > layer(name)
    ]


def mid_file(path: Path) -> list[int]:
    """Return the lines of imports that follow other code or hide in a function."""
    tree = ast.parse(path.read_text())
    head = []
    for node in tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guarded = isinstance(node, ast.Try) or is_typing_block(node)
        if not (docstring or guarded or isinstance(node, ast.Import | ast.ImportFrom)):
            break
        head.append(node)
    allowed = {child for node in head for child in ast.walk(node)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and node not in allowed
        and not all(t.split(".")[0] in OPTIONAL for t in targets(node, module_name(path), False))
    ]


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_up(name: str) -> None:
    assert misdirected(name, imports(MODULES[name])) == []


@pytest.mark.parametrize("name", [n for n in MODULES if n.split(".")[0] == "minigrad"])
def test_the_kernels_have_one_door(name: str) -> None:
    found = imports(MODULES[name])
    used = {item.target for item in found if not item.typing_only} - ARGUMENT_LAYOUTS
    beyond = {t for t in used if t.split(".")[0] in {"numba", "llvmlite", "minigrad_kernels"}}
    assert not beyond or name in DOORS, (
        f"{name} imports {sorted(beyond)}, not by way of minigrad.engine.dispatch"
    )


@pytest.mark.parametrize("name", [n for n in MODULES if n.split(".")[0] != "minigrad"])
def test_kernels_know_only_numpy_and_numba(name: str) -> None:
    roots = {item.target.split(".")[0] for item in imports(MODULES[name])}
    allowed = KERNELS_MAY_IMPORT | KERNELS_MAY_TRY | {name.split(".")[0], "minigrad_cudasim"}
    if name in KERNELS_THAT_PRINT:
        allowed = allowed | {"rich"}
    assert roots <= allowed, f"{name} imports {sorted(roots - allowed)}"


def test_no_import_cycles() -> None:
    graph = {
        name: {i.target for i in imports(path) if i.target in MODULES}
        for name, path in MODULES.items()
    }
    graph = {name: uses - {name} for name, uses in graph.items() if path_is_module(name)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(error.args[1])}")


def path_is_module(name: str) -> bool:
    """A package's __init__ re-exports what it holds, so only plain modules can form a cycle."""
    return MODULES[name].name != "__init__.py"


@pytest.mark.parametrize("name", MODULES)
def test_imports_stand_at_the_top(name: str) -> None:
    lines = mid_file(MODULES[name])
    assert lines == [], f"{name} imports in mid-file on lines {lines}"


@pytest.mark.parametrize("name", MODULES)
def test_files_stay_readable(name: str) -> None:
    lines = MODULES[name].read_text().splitlines()
    most = LONGER.get(name, MAX_LINES)
    assert len(lines) <= most, f"{name} has {len(lines)} lines, over {most}: split it"
    long = [i for i, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS]
    assert long == [], f"{name} has lines of more than {MAX_COLUMNS} columns: {long}"


def test_kernels_is_a_source_root_and_no_package() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert [p.name for p in (ROOT / "kernels").iterdir() if p.suffix == ".py"] == []


def test_no_name_of_a_test_file_is_taken_twice() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
    # One: a wheel that installs a package named tests would come before a folder without it.
    assert list((ROOT / "tests").rglob("__init__.py")) == [ROOT / "tests" / "__init__.py"]


# The rules themselves are tested on files that break them.


def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> Path:
    path = tmp_path / "engine" / "op.py"
    path.parent.mkdir()
    path.write_text(source)
    monkeypatch.setitem(SOURCES, "minigrad", tmp_path)
    return path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import minigrad.tensors.tensor", "minigrad.engine.op:1 imports minigrad.tensors.tensor"),
        ("from ..nn import Module", "minigrad.engine.op:1 imports minigrad.nn"),
        ("from .. import cli", "minigrad.engine.op:1 imports minigrad.cli"),
        (
            "def f():\n    from minigrad.optim import SGD",
            "minigrad.engine.op:2 imports minigrad.optim",
        ),
        ('nn = lazy("minigrad.nn")', "minigrad.engine.op:1 imports minigrad.nn"),
    ],
)
def test_a_planted_import_downwards_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    path = planted(tmp_path, monkeypatch, source)
    (found,) = misdirected("minigrad.engine.op", imports(path))
    assert found.startswith(message)


def test_what_a_type_checker_alone_sees_may_not_go_down_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import minigrad.tensors.tensor"
    )
    (found,) = misdirected("minigrad.engine.op", imports(planted(tmp_path, monkeypatch, source)))
    assert found.startswith("minigrad.engine.op:3 imports minigrad.tensors.tensor")


def test_a_planted_import_in_mid_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import os\nx = 1\nimport sys\ndef f():\n    import json\n    import matplotlib\n"
    assert mid_file(planted(tmp_path, monkeypatch, source)) == [3, 5]


def test_a_module_without_a_layer_is_named() -> None:
    with pytest.raises(LookupError, match="minigrad.novel stands on no line of LAYERS"):
        layer("minigrad.novel")

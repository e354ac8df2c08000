"""The kernel cache: neither stale nor missed, and it does not grow without bound."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from minigrad_kernels.jit import cache
from minigrad_kernels.jit.compile import jit

RULES = """
from minigrad_kernels.jit.compile import jit

@jit()
def scale(x):
    return {factor} * x
"""
USER = """
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.rules_probe import scale

@jit()
def twice(x):
    return scale(x) + scale(x)

def lifted(rule, name):
    @jit(name=name)
    def loop(x):
        return rule(x)
    return loop

made = lifted(scale, "probe.made")
"""
LONER = """
from minigrad_kernels.jit.compile import jit

@jit()
def negated(x):
    return -x
"""
RUN = """
from minigrad_kernels import loner_probe, user_probe
print(user_probe.twice(1.0), user_probe.made(1.0), loner_probe.negated(1.0))
for kernel in (user_probe.twice, user_probe.made, loner_probe.negated):
    print(sum(kernel.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package with three probe modules, to be edited."""
    folder = tmp_path / "src" / "minigrad_kernels"
    (folder / "jit").mkdir(parents=True)
    own = Path(cache.__file__).parent
    (folder / "__init__.py").write_text((own.parent / "__init__.py").read_text())
    for name in ("__init__", "cache", "claims", "compile", "files", "linked", "parallel", "plain"):
        (folder / "jit" / f"{name}.py").write_text((own / f"{name}.py").read_text())
    (folder / "rules_probe.py").write_text(RULES.format(factor=2.0))
    (folder / "user_probe.py").write_text(USER)
    (folder / "loner_probe.py").write_text(LONER)
    return folder


def outcome(package: Path, program: str = RUN) -> tuple[list[float], list[int]]:
    """Run the probes in a new process; return their results and how often the cache was hit."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(package.parent),
        "MINIGRAD_CACHE_DIR": str(package.parent / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, *hits = done.stdout.splitlines()
    return [float(x) for x in first.split()], [int(x) for x in hits]


@pytest.mark.slow
def test_what_compiles_is_read_in_only_where_something_is_compiled(package: Path) -> None:
    """Numba's registries of typing and lowering take longer to read than the kernels of a step."""
    asked = RUN + 'import sys; print(int("numba.np.arraymath" in sys.modules))\n'
    assert outcome(package) == ([4.0, 2.0, -1.0], [0, 0, 0])
    assert outcome(package, asked) == ([4.0, 2.0, -1.0], [1, 1, 1, 0])
    for path in (package.parent / "cache").rglob("*probe.made-*.nbc"):
        path.unlink()  # which calls what stays in the cache
    assert outcome(package, asked) == ([4.0, 2.0, -1.0], [1, 0, 1, 1])


@pytest.mark.slow
def test_an_edited_callee_recompiles_its_callers_and_nothing_else(package: Path) -> None:
    assert outcome(package) == ([4.0, 2.0, -1.0], [0, 0, 0])
    assert outcome(package) == ([4.0, 2.0, -1.0], [1, 1, 1])
    (package / "rules_probe.py").write_text(RULES.format(factor=5.0))
    assert outcome(package) == ([10.0, 5.0, -1.0], [0, 0, 1])


@pytest.mark.slow
def test_an_edited_callee_in_a_nested_package_recompiles_its_callers(package: Path) -> None:
    nested = package / "room" / "inner"
    nested.mkdir(parents=True)
    (package / "room" / "__init__.py").write_text("")
    (nested / "__init__.py").write_text("")
    (package / "rules_probe.py").rename(nested / "rules_probe.py")
    user = USER.replace("minigrad_kernels.rules_probe", "minigrad_kernels.room.inner.rules_probe")
    (package / "user_probe.py").write_text(user)
    assert outcome(package) == ([4.0, 2.0, -1.0], [0, 0, 0])
    assert outcome(package) == ([4.0, 2.0, -1.0], [1, 1, 1])
    (nested / "rules_probe.py").write_text(RULES.format(factor=5.0))
    assert outcome(package) == ([10.0, 5.0, -1.0], [0, 0, 1])
    names = {path.name.split("-")[0] for path in (package.parent / "cache").rglob("*.nbc")}
    assert "room.inner.rules_probe.scale" in names
    # Two modules of one name in two packages are two.
    (package / "room" / "rules_probe.py").write_text(RULES.format(factor=7.0))
    (package / "user_probe.py").write_text(user.replace("room.inner", "room"))
    assert outcome(package) == ([14.0, 7.0, -1.0], [0, 0, 1])


@pytest.mark.slow
def test_an_edited_callee_in_a_package_of_the_users_recompiles_its_callers(package: Path) -> None:
    theirs = package.parent / "theirs"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("")
    (package / "rules_probe.py").rename(theirs / "rules_probe.py")
    user = USER.replace("minigrad_kernels.rules_probe", "theirs.rules_probe")
    (package / "user_probe.py").write_text(user.replace("scale(x) + scale(x)", "2 * x"))
    assert outcome(package) == ([2.0, 2.0, -1.0], [0, 0, 0])
    assert outcome(package) == ([2.0, 2.0, -1.0], [1, 1, 1])
    (theirs / "rules_probe.py").write_text(RULES.format(factor=5.0))
    assert outcome(package) == ([2.0, 5.0, -1.0], [1, 0, 1])


@pytest.mark.slow
def test_only_the_newest_versions_of_a_kernel_are_kept(package: Path) -> None:
    for factor in range(cache.KEPT + 3):
        (package / "rules_probe.py").write_text(RULES.format(factor=float(factor)))
        outcome(package)
    files = sorted((package.parent / "cache").rglob("*.nbc"))
    assert len([f for f in files if f.name.startswith("rules_probe.scale-")]) == cache.KEPT
    assert len([f for f in files if f.name.startswith("loner_probe.negated-")]) == 1


def test_a_damaged_file_is_compiled_again(package: Path) -> None:
    outcome(package)
    for path in (package.parent / "cache").rglob("*.nbc"):
        path.write_bytes(path.read_bytes()[:100])
    assert outcome(package) == ([4.0, 2.0, -1.0], [0, 0, 0])


def test_a_record_of_another_kernel_is_compiled_again(package: Path) -> None:
    outcome(package)
    paths = sorted((package.parent / "cache").rglob("*.nbc"))
    records = [path.read_bytes() for path in paths]
    for path, record in zip(paths, records[1:] + records[:1], strict=True):
        path.write_bytes(record)
    assert outcome(package) == ([4.0, 2.0, -1.0], [0, 0, 0])


def test_imports_of_all_spellings_are_found() -> None:
    source = (
        "import minigrad_kernels.optim.adam\nfrom minigrad_kernels.jit.compile import jit\n"
        "from minigrad_kernels.optim import (\n    sgd,  # the first\n    clip as cut,\n)\n"
        "import numpy\nif True:\n    from minigrad_kernels.conv.pool import a; from \\\n"
        "        minigrad_kernels import kernel\n"
    )
    found = cache.imports(source)
    assert {"optim.adam", "jit.compile", "optim.sgd", "optim.clip", "conv.pool"} <= found
    assert "kernel" in found
    assert not any("numpy" in name for name in found)


def test_relative_imports_are_found_from_where_they_stand() -> None:
    source = (
        "from . import sgd\nfrom .adam import step\nfrom .. import kernel\nfrom ..simd import lanes"
    )
    found = cache.imports(source, "minigrad_kernels.optim")
    assert {"optim.sgd", "optim.adam", "kernel", "simd", "simd.lanes"} <= found


@pytest.mark.parametrize("module", cache.SOURCES)
def test_imports_are_those_that_python_sees(module: str) -> None:
    tree = ast.parse(cache.SOURCES[module])
    statements = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    seen = set().union(*(cache.imports(ast.unparse(n)) for n in statements))
    assert seen <= cache.imports(cache.SOURCES[module].decode())


def test_what_a_kernel_reaches_is_transitive() -> None:
    assert {
        "matmul.gemm",
        "matmul.register_tile",
        "simd.registers",
        "jit.compile",
    } <= cache.reached("matmul.gemm")
    assert "softmax.softmax" not in cache.reached("matmul.gemm")


def test_a_value_in_the_closure_is_part_of_the_version() -> None:
    def kernel(count: int):
        def loop(x: float) -> float:
            return x * count

        return loop

    versions = {cache.fingerprint(kernel(count), {}) for count in (1, 2)}
    assert len(versions) == 2
    assert len({cache.fingerprint(kernel(1), {"parallel": p}) for p in (True, False)}) == 2


def test_a_closure_over_an_array_is_refused() -> None:
    weights = np.ones(3)

    def loop(x: float) -> float:
        return x * weights[0]

    with pytest.raises(TypeError, match="holds weights, a ndarray, expected a jitted function"):
        cache.fingerprint(loop, {})


def test_outside_the_package_nothing_is_cached() -> None:
    @jit()
    def plain(x: float) -> float:
        return x + 1

    assert plain(1.0) == 2.0
    assert not isinstance(plain._cache, cache.KernelCache)


@pytest.mark.slow
def test_kernels_of_one_factory_are_told_apart(tmp_path: Path) -> None:
    """What one process has compiled and what another one has must not be linked to each other."""
    check = """
import sys
import numpy as np
from minigrad_kernels.table import KERNELS
from tests.kernels.tables import check_steps

for name in sys.argv[1:]:
    check_steps(KERNELS[name], np.float32)
"""
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "kernels")]),
        "MINIGRAD_CACHE_DIR": str(tmp_path),
    }
    for names in (["adagrad_step"], ["rmsprop_step"], ["adagrad_step", "rmsprop_step"]):
        command = [sys.executable, "-c", check, *names]
        subprocess.run(command, env=environment, check=True)


def test_a_function_is_compiled_alike_whichever_caller_comes_first() -> None:
    @jit()
    def rounding(x: float) -> float:
        return (x + 1e16) - 1e16

    @jit(fastmath=True)
    def loose(x: float) -> float:
        return rounding(x)

    loose(1.0)  # Numba would hand its fastmath on to what it is first to compile
    assert rounding(1.0) == 0.0

"""The store of CUDA machine code: found again, never stale, filled without a GPU."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cuda, float32, int64, uint32

from minigrad_kernels.__main__ import main
from minigrad_kernels.cuda import numba_compiler, ptx
from minigrad_kernels.cuda.numba_compiler import compiled, kernel_digest, load, path_of, save
from tests.cuda_pretended import pretended

pretended.require()
ONE = (float32[::1], float32)
HOPPER = (9, 0)
SOURCE = """
from numba import cuda, uint32
from tests_store_rules import rule
LIMIT = {limit}

@cuda.jit
def kernel(x, a):
    i = uint32(cuda.threadIdx.x)
    x[i] = rule(x[i], a) + LIMIT
"""
RULE = """
from numba import cuda
@cuda.jit(device=True)
def helper(a): return a * a{more}
@cuda.jit(device=True)
def rule(x, a): return x + helper(a)
"""


@cuda.jit
def scaled(x, a):
    """Scale."""
    i = uint32(cuda.threadIdx.x)
    x[i] = x[i] * a


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_machine_code_is_found_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled(scaled, ONE, HOPPER)
    assert made.cubin.startswith(b"\x7fELF") and "scaled" in made.entry
    monkeypatch.setattr(numba_compiler, "build", None)  # nothing is compiled again
    assert compiled(scaled, ONE, HOPPER) == made
    (path,) = folder.rglob("*.cubin")
    assert path.parent == folder / "cuda" / "sm_90a" and path.name.startswith("scaled-")


def test_types_architectures_and_options_are_told_apart(folder: Path) -> None:
    paths = {
        path_of(scaled, ONE, HOPPER),
        path_of(scaled, (float32[::1], int64), HOPPER),
        path_of(scaled, ONE, (8, 0)),
        path_of(cuda.jit(scaled.py_func, max_registers=32), ONE, HOPPER),
    }
    assert len(paths) == 4


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"{}\n", lambda b: b[:3] + b"!"])
def test_a_damaged_file_is_none(damage: Any, folder: Path) -> None:
    path = path_of(scaled, ONE, HOPPER)
    save(path, numba_compiler.Code(b"\x7fELF and so on", "entry"))
    assert load(path) is not None
    path.write_bytes(damage(path.read_bytes()))
    assert load(path) is None


def loaded(folder: Path, limit: int, more: str) -> Any:
    """Return a kernel of two files with these texts."""
    (folder / "tests_store_rules.py").write_text(RULE.format(more=more))
    (folder / "tests_store_kernel.py").write_text(SOURCE.format(limit=limit))
    importlib.invalidate_caches()
    for name in ("tests_store_rules", "tests_store_kernel"):
        sys.modules.pop(name, None)
    return importlib.import_module("tests_store_kernel").kernel


def test_an_edit_of_what_a_kernel_calls_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    digests = [
        kernel_digest(loaded(folder, 1, "")),
        kernel_digest(loaded(folder, 2, "")),  # a number
        kernel_digest(loaded(folder, 1, " + 1")),  # a helper of a helper in another file
    ]
    assert len(set(digests)) == 3
    assert kernel_digest(loaded(folder, 1, "")) == digests[0]


def test_a_part_of_a_module_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    @cuda.jit
    def loading(x, y):
        ptx.store128(y, uint32(0), ptx.load128(x, uint32(0)))

    seen: dict[int, Any] = {}
    list(numba_compiler.described(loading, seen))
    names = {function.__name__ for function in seen.values()}
    assert {"loading", "load128", "store128"} <= names


def test_what_a_factory_closes_over_is_seen() -> None:
    def made(factor: Any) -> Any:
        @cuda.jit
        def kernel(x):
            x[0] = x[0] * factor

        return kernel

    assert kernel_digest(made(2)) != kernel_digest(made(3))
    assert kernel_digest(made(np.float32(2))) != kernel_digest(made(np.float64(2)))
    assert kernel_digest(made(2)) == kernel_digest(made(2))


def test_it_is_filled_without_a_gpu(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warmup", "check_classes", "--cuda", "sm_90a", "--jobs", "1"]) == 0
    assert "compiled 1 signatures" in capsys.readouterr().out
    assert main(["warmup", "check_classes", "--cuda", "sm_90a", "--jobs", "1"]) == 0
    assert "compiled 0 signatures" in capsys.readouterr().out
    assert len(list(folder.rglob("check_classes*.cubin"))) == 0
    assert len(list(folder.rglob("first_wrong*.cubin"))) == 1


def test_a_store_serves_a_machine_of_other_versions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without libnvvm, say: nothing is compiled there."""
    assert main(["warmup", "check_classes", "--cuda", "sm_90a", "--jobs", "1"]) == 0
    (said,) = folder.rglob("versions.txt")
    script = (
        "from minigrad_kernels.cuda import numba_compiler as n\n"
        "from minigrad_kernels.indexing import cuda_classes as c\n"
        "n.version = lambda name: '0'\n"
        "def built(*args): raise RuntimeError('compiled')\n"
        "n.build = built\n"
        "print(n.compiled(c.first_wrong, c.CHECKS[0].signature, (9, 0)).entry)\n"
    )

    def there() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert "RuntimeError: compiled" in there().stderr
    monkeypatch.setenv(numba_compiler.VERSIONS, str(said))
    assert "first_wrong" in there().stdout
    said.write_text(said.read_text().replace(repr(sys.version_info[:2]), "(3, 8)"))
    assert "of a store that another Python filled" in there().stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["softmux", "--cuda", "sm_90a"], "no CUDA kernel softmux"), (["--cuda", "h100"], "such as")],
)
def test_wrong_words_are_named(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["warmup", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_process_finds_what_another_compiled(folder: Path) -> None:
    code = (
        "from numba import uint32, int64, int32\n"
        "from minigrad_kernels.cuda import numba_compiler as n\n"
        "from minigrad_kernels.indexing import cuda_classes as c\n"
        "n.build = n.build if {first} else None\n"
        "print(n.compiled(c.first_wrong, c.CHECKS[0].signature, (9, 0)).entry)\n"
    )
    said = []
    for first in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", code.format(first=first)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": str(int(first))},
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]

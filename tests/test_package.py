"""The package as a user meets it: its names, what it ships."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import minigrad as mg
from tests.golden import make_public_names

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_public_names() -> None:
    path = make_public_names.PATH
    assert path.exists(), f"{path.name} is missing: run python {make_public_names.__file__}"
    expected = set(path.read_text().split())
    actual = set(make_public_names.listing())
    added, gone = sorted(actual - expected), sorted(expected - actual)
    assert not added and not gone, (
        f"the public API changed: new {added}, gone {gone}; if that is meant, run "
        "python tests/golden/make_public_names.py and write it in CHANGELOG.md"
    )


@pytest.mark.parametrize("module", make_public_names.MODULES)
def test_public_names_exist(module: str) -> None:
    loaded = sys.modules.get(module) or __import__(module, fromlist=["_"])
    missing = [n for n in make_public_names.public_names(loaded) if not hasattr(loaded, n)]
    assert missing == [], f"{module}.__all__ names what is not there: {missing}"


def test_version_is_the_projects() -> None:
    assert mg.__version__ == PROJECT["project"]["version"]


def test_wheel_holds_three_packages_and_none_called_kernels() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages == ["minigrad", "kernels/minigrad_kernels", "kernels/minigrad_cudasim"]


@pytest.mark.parametrize(
    "package", ["minigrad", "kernels/minigrad_kernels", "kernels/minigrad_cudasim"]
)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_runtime_dependencies_are_the_four() -> None:
    names = {line.split(">")[0] for line in PROJECT["project"]["dependencies"]}
    assert names == {"numpy", "numba", "safetensors", "rich"}

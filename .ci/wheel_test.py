"""Build the wheel, look inside it, install it outside the repository and train with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = (
    "minigrad/__init__.py",
    "minigrad/py.typed",
    "minigrad/data/embedded/digits.npz",
    "minigrad/data/embedded/digits.txt",
    "minigrad/data/embedded/breast_cancer.npz",
    "minigrad/data/embedded/breast_cancer.txt",
    "minigrad_kernels/__init__.py",
    "minigrad_kernels/py.typed",
    "minigrad_kernels/table.py",
    "minigrad_cudasim.pth",
)
PTH = "minigrad_cudasim.pth"  # which MINIGRAD_CUDASIM=1 needs
PACKAGES = {"minigrad", "minigrad_cudasim", "minigrad_kernels"}

# Runs in the fresh environment: everything comes from the wheel, and nothing is called `kernels`.
PROBE = """
import importlib.util, pathlib, sys
import minigrad as mg, minigrad_cudasim, minigrad_kernels
for module in (mg, minigrad_cudasim, minigrad_kernels):
    path = pathlib.Path(module.__file__)
    assert path.is_relative_to(sys.prefix), f"{module.__name__} was imported from {path}"
assert importlib.util.find_spec("kernels") is None, "there is a package called kernels"
for name, load in mg.data.DATASETS.items():
    print(f"{name}: {load()!r}")
"""


def run(*command: object, cwd: Path) -> None:
    """Run a command without the caller's Python path; stop at the first that fails."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    print("$", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=cwd, env=env, check=True)


def look_inside(wheel: Path) -> None:
    """Refuse a wheel that lacks a needed file or brings a package that is not ours."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    tops = {name.split("/")[0] for name in names}
    foreign = {top for top in tops - PACKAGES - {PTH} if not top.endswith(".dist-info")}
    if foreign:
        sys.exit(f"{wheel.name} holds {', '.join(sorted(foreign))}; expected only {PACKAGES}")
    size = wheel.stat().st_size / 1024
    print(f"{wheel.name}: {len(names)} files, {size:.0f} kB")


def main() -> None:
    """Build, inspect, install and train, all in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="minigrad-wheel-") as name:
        work = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", work, ROOT, cwd=work)
        (wheel,) = work.glob("*.whl")
        look_inside(wheel)
        venv.create(work / "venv", with_pip=True)
        scripts = work / "venv" / ("Scripts" if os.name == "nt" else "bin")
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        run(scripts / "python", *install, cwd=work)
        run(scripts / "python", "-W", "error", "-c", PROBE, cwd=work)
        run(scripts / "minigrad", "train", "--epochs", "1", "--out", work / "out", cwd=work)
        if not (work / "out" / "model.safetensors").is_file():
            sys.exit("minigrad train wrote no model.safetensors")
    print("the wheel works")


if __name__ == "__main__":
    main()

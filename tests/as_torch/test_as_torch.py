"""PyTorch programs, as they stand: what they print here is what they print there.

`expected/` is what PyTorch prints, written by make_expected.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.as_torch.make_expected import FOLDER, PROGRAMS, printed
from tests.pages import ROOT

NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
CLOSE = 1e-5  # relative to 1 and above: losses of float32 over the first steps


def python(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=check,
        env=ENVIRONMENT,
        cwd=ROOT,
    )


def assert_alike(got: str, want: str) -> None:
    """Hold two texts to the same words, and numbers as close as float32 allows."""
    assert NUMBER.sub("#", got).split() == NUMBER.sub("#", want).split()
    for a, b in zip(NUMBER.findall(got), NUMBER.findall(want), strict=True):
        assert abs(float(a) - float(b)) <= CLOSE * max(1.0, abs(float(b))), f"{a} for {b}"


@pytest.fixture(scope="module")
def outputs() -> Any:
    return json.loads(python("-m", "tests.as_torch.run_all").stdout)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_prints_what_it_prints_with_pytorch(program: Path, outputs: Any) -> None:
    assert_alike(outputs[program.stem], (FOLDER / "expected" / f"{program.stem}.txt").read_text())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_pytorch_prints_what_is_expected(program: Path) -> None:
    assert_alike(printed(program), (FOLDER / "expected" / f"{program.stem}.txt").read_text())


# ---------------------------------------------------------------- the command
def test_the_command_runs_a_script_with_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    (tmp_path / "beside.py").write_text("import torch\nx = torch.ones(2)\n")
    script.write_text(
        "import sys, beside\n"
        "if __name__ == '__main__':\n    print(sys.argv[1:], beside.x, __file__)"
    )
    done = python("-m", "minigrad", "run", str(script), "--epochs", "3")
    assert done.stdout == f"['--epochs', '3'] tensor([1., 1.]) {script}\n"


def test_the_command_runs_notebooks_and_pages(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# text"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import torch\n", "x = 2"]},
        {"cell_type": "code", "source": ["%%bash\n", "rm nothing"]},
        {"cell_type": "code", "source": ["!pip install x\n", "print(torch.full((x,), x))"]},
        {"cell_type": "code", "source": ["print('%d'\n", "      % (x,))"]},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "a.md").write_text(
        "# A page\n```python\nx = 1\n```\ntext\n```bash\nrm nothing\n```\n"
        "```{.python .input}\n%%tab mxnet\nx = 5\n```\n```{.python .input}\n%%tab pytorch\nx += 1\n"
        "```\n```python\nprint(x)\n```\n"
    )
    assert (
        python("-m", "minigrad", "run", str(tmp_path / "a.ipynb")).stdout == "tensor([2, 2])\n2\n"
    )
    assert python("-m", "minigrad", "run", str(tmp_path / "a.md")).stdout == "2\n"


def test_a_missing_script_is_one_line() -> None:
    done = python("-m", "minigrad", "run", "missing.py", check=False)
    assert done.returncode == 2
    assert done.stderr == "minigrad run: error: no such file: missing.py\n"


# ---------------------------------------------------------------- what there is not
REFUSALS = {
    "torch.zeroes": "which stands for torch here, has no 'zeroes'; the nearest there is: zero",
    "from torch.nn import Lineer": "torch.nn here, has no 'Lineer'; the nearest there is",
    "import torch.foo": "stands for torch here, has no 'foo'",
    "import torchvision_": "No module named 'torchvision_'",
    "import torch.fx": "there is no tracer of programs",
    "torch.distributed.new_group([0])": "all processes are one group",
    "torch.distributed.get_rank()": "Default process group has not been initialized",
    "torch.onnx.export(None)": "there is no export",
    "torch.jit.trace(None)": "there is no TorchScript",
    "torch.ones(1).to(torch.float16)": "dtype torch.float16 is not supported",
    "torch.ones(1).half()": "float16 is not supported",
    "torch.save(lambda: 1, '/dev/null')": "is a function, which no file holds",
    "torch.complex(1, 2)": "there are no complex tensors",
    "torch.LongTensor(torch.ones(2))": "expected a tensor of torch.int64, got torch.float32",
}


def test_what_cannot_be_had_says_so() -> None:
    lines = ["import json, minigrad.as_torch, torch", "found = {}"]
    for statement in REFUSALS:
        lines += [f"try:\n    {statement}", "except Exception as error:"]
        lines += [f"    found[{statement!r}] = type(error).__name__ + ': ' + str(error)"]
    done = python("-c", "\n".join([*lines, "print(json.dumps(found))"]))
    found = json.loads(done.stdout)
    missing = {s: found.get(s) for s, text in REFUSALS.items() if text not in found.get(s, "")}
    assert not missing
    assert found["torch.zeroes"].startswith("AttributeError")
    assert found["from torch.nn import Lineer"].startswith("ImportError")


def test_pytorch_itself_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("x = 1\n")
    source = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import torch, minigrad.as_torch"
    done = python("-c", source, check=False)
    assert "ImportError: minigrad.as_torch: torch itself" in done.stderr


def test_autocast_and_compile_say_once_that_they_change_nothing() -> None:
    source = (
        "import warnings, minigrad.as_torch, torch\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    for _ in range(2):\n"
        "        with torch.autocast('cpu', dtype=torch.bfloat16):\n"
        "            f = torch.compile(torch.nn.Linear(2, 1))\n"
        "print(*[str(w.message) for w in caught], sep='\\n')"
    )
    lines = python("-c", source).stdout.splitlines()
    assert len(lines) == 2
    assert "torch.autocast computes in float32" in lines[0]
    assert "torch.compile returns what it is given" in lines[1]


def test_minigrad_alone_is_left_as_it_is() -> None:
    source = (
        "import minigrad as mg, minigrad.torch_programs.names, sys\n"
        "x = mg.ones(1, dtype=mg.float64)\n"
        "print('torch' in sys.modules, x, type(x.shape).__name__)"
    )
    assert python("-c", source).stdout == "False tensor([1.], dtype=minigrad.float64) tuple\n"

"""The heart can be read in one sitting, in the order of the README, and stepped through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks, text
from tests.test_layers import imports, module_name

MOST = 1_500
# Where the part that belongs to the heart ends: at this comment, or with the file.
ENDS = {
    "minigrad/tensors/tensor.py": "the state ends here",
    "minigrad/nn/module.py": "the parameters end here",
}
ROW = re.compile(r"^\| \[`[\w./]+`\]\(([\w./]+)\) \| (\d+) \|", flags=re.MULTILINE)
STEP = re.compile(r"^\d+\. \[`([\w.]+)`\]\(\.\./([\w./]+)\) ", flags=re.MULTILINE)


def listed() -> dict[str, int]:
    """Return the files of the README's section "Read it", with the lines it gives."""
    section = text("README.md").split("\n## Read it\n")[1].split("\n## ")[0]
    return {path: int(lines) for path, lines in ROW.findall(section)}


def lines_of(path: str) -> int:
    """Return the number of lines of a file that belong to the heart."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    if path not in ENDS:
        return len(lines)
    (end,) = [i for i, line in enumerate(lines) if line.endswith(f"--- {ENDS[path]}")]
    return end


def test_the_readme_counts_the_lines_of_the_heart() -> None:
    found = {path: lines_of(path) for path in listed()}
    assert listed() == found, f"write these numbers into the README's section Read it: {found}"
    total = sum(found.values())
    assert len(found) == 8 and total <= MOST, f"{total} lines: over {MOST}, no sitting's reading"
    assert f"{total:,} lines" in text("README.md"), f"the README gives another sum than {total:,}"


def test_each_file_of_the_heart_can_be_read_without_those_after_it() -> None:
    later = [module_name(ROOT / path) for path in listed()]
    for path in listed():
        later.pop(0)
        used = {item.target for item in imports(ROOT / path)}
        assert not used & set(later), f"{path} needs {used & set(later)}, which comes after it"


def test_functions_of_the_heart_are_short() -> None:
    for path in listed():
        kept = (ROOT / path).read_text(encoding="utf-8").splitlines()[: lines_of(path)]
        starts = [i for i, line in enumerate(kept) if re.match(r" *(def|class) ", line)]
        for start, end in zip(starts, [*starts[1:], len(kept)], strict=True):
            assert end - start <= 55, f"{path}:{start + 1} has {end - start} lines"


# ---------------------------------------------------------------- docs/step.md
def program() -> str:
    (block,) = blocks("docs/step.md", "python")
    return block.code


def python(*command: str, env: Mapping[str, str], said: str = "") -> str:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    done = subprocess.run(
        [sys.executable, *command],
        input=said,
        env={**os.environ, "PYTHONPATH": paths, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHED = """
import sys
import minigrad
calls = []
def look(frame, event, argument):
    if event == "call":
        calls.append((frame.f_code.co_filename, frame.f_code.co_qualname))
source = compile(open(sys.argv[1]).read(), "step", "exec")
sys.setprofile(look)
exec(source, {})
sys.setprofile(None)
for call in calls:
    print(*call)
"""


@pytest.mark.slow
def test_the_walk_is_what_a_step_does(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(program())
    printed = python("-c", WATCHED, str(tmp_path / "step.py"), env={"MINIGRAD_FAST": "0"})
    calls = [tuple(line.rsplit(" ", 1)) for line in printed.splitlines()]
    steps = STEP.findall(text("docs/step.md"))
    assert 10 <= len(steps) <= 14
    at = -1
    for name, path in steps:
        found = [
            i
            for i, (file, called) in enumerate(calls)
            if (called, file[-len(path) :]) == (name, path)
        ]
        assert found, f"{name} of {path} is not called"
        assert found[-1] > at, f"{name} is called before what stands above it, and not after"
        at = next(i for i in found if i > at)


@pytest.mark.parametrize("mode", ["MINIGRAD_PLAIN", "MINIGRAD_FAST"])
def test_a_debugger_steps_from_backward_through_each_rule(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "step.py"
    lines = program().splitlines()
    path.write_text("\n".join(lines * 2))  # the second time all kernels are compiled
    line = len(lines) + lines.index("loss.backward()") + 1
    said = f"b {path}:{line}\nc\n" + "s\n" * 1_500 + "q\n"
    value = "1" if mode == "MINIGRAD_PLAIN" else "0"
    printed = python("-m", "pdb", str(path), env={mode: value}, said=said)
    seen = re.findall(r"^(?:\(Pdb\) )*> .*/([\w./]+)\(\d+\)(\w+)\(\)", printed, flags=re.MULTILINE)
    for place in (
        *(("tensor.py", "backward"), ("backward.py", "run"), ("backward.py", "apply_rule")),
        *(("reduce.py", "backward"), ("unary.py", "backward"), ("arithmetic.py", "backward")),
        *(("linalg.py", "backward"), ("backward.py", "accumulate_grad")),
    ):
        assert place in seen, f"{place} is not stepped through"
    assert "fast.py" not in printed

"""Run the CUDA tests that an installed Numba brings under both simulators: Numba's and ours.

`python -m tests.cuda_simulated.numba_tests` runs them as they are, each simulator in a process of
its own, and prints how many that Numba's passes ours passes too; and which of them end in a fault,
as a few of those tests read shared memory that nothing has written.  It works with Numba's built-in
target and with numba-cuda, whichever is installed, and fetches nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDERS = ("core", "cudapy", "cudadrv", "doc_examples", "cudasim", "nocuda", "nrt")
PATIENCE = 300  # seconds a test


class Result(unittest.TestResult):
    """Holds the outcome of each test by its name: passed, skipped, fault or failed."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, tuple[str, str]] = {}

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        signal.alarm(PATIENCE)
        self.outcomes[test.id()] = ("passed", "")

    def stopTest(self, test: Any) -> None:
        signal.alarm(0)
        super().stopTest(test)

    def addSkip(self, test: Any, reason: str) -> None:
        self.outcomes[test.id()] = ("skipped", reason)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.outcomes[test.id()] = ("failed", "an expected failure passed")

    def _failed(self, test: Any, error: Any) -> None:
        text = self._exc_info_to_string(error, test)
        kind = "fault" if "minigrad_cudasim.fault." in text else "failed"
        self.outcomes[test.id()] = (kind, text)

    def addError(self, test: Any, err: Any) -> None:
        self._failed(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._failed(test, err)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.outcomes[test.id()] = ("passed", "")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._failed(test, err)


def flat(suite: Any) -> Iterator[Any]:
    """Yield the tests of a suite."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def tests_of(name: str, result: Result) -> list[Any]:
    """Return the tests of a module; where it skips itself, or does not load, hold that."""
    try:
        return list(flat(unittest.defaultTestLoader.loadTestsFromName(name)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest's Skipped is no Exception
        kind = "skipped" if type(error).__name__ in ("SkipTest", "Skipped") else "failed"
        result.outcomes[name] = (kind, f"{type(error).__name__}: {error}")
    return []


def late(*_: object) -> None:
    """Stop a test that takes too long."""
    raise TimeoutError(f"took more than {PATIENCE} s")


def run_all(only: str) -> dict[str, tuple[str, str]]:
    """Run the tests whose module has `only` in its name, in this process."""
    cuda = importlib.import_module("numba.cuda")
    root = Path(cuda.__file__).parent / "tests"
    signal.signal(signal.SIGALRM, late)
    result = Result()
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("test_*.py")):
            name = f"numba.cuda.tests.{folder}.{path.stem}"
            if only in name:
                for test in tests_of(name, result):
                    unittest.TestSuite([test]).run(result)
    return result.outcomes


def outcomes(mode: str, only: str) -> dict[str, tuple[str, str]]:
    """Run the tests in a process of its own, under one simulator."""
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ)
        if mode != "theirs":
            # An installed package has a .pth file for this; a checkout has not.
            Path(folder, "sitecustomize.py").write_text("import minigrad_cudasim.startup\n")
            env |= {"MINIGRAD_CUDASIM": "cudasim=0" if mode == "skipped" else "1"}
            env["PYTHONPATH"] = os.pathsep.join([folder, "kernels", env.get("PYTHONPATH", "")])
        else:
            env |= {"NUMBA_ENABLE_CUDASIM": "1"}
        out = Path(folder, "outcomes.json")
        command = [sys.executable, "-m", __spec__.name, "--child", str(out), "--only", only]
        subprocess.run(
            command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return json.loads(out.read_text())


def main(arguments: list[str] | None = None) -> int:
    """Run both simulators and print what came of it; return 1 below 95 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of test modules")
    parser.add_argument("--child", help="the file that a child writes", metavar="FILE")
    parser.add_argument(
        "--skipped", action="store_true", help="run ours on the tests, too, that simulators skip"
    )
    parser.add_argument("--verbose", action="store_true", help="print the errors")
    asked = parser.parse_args(arguments)
    if asked.child:
        Path(asked.child).write_text(json.dumps(run_all(asked.only)))
        return 0
    if asked.skipped:
        found = outcomes("skipped", asked.only)
        for name, (kind, text) in found.items():
            if kind not in ("passed", "skipped"):
                print(f"{kind}: {name}")
                print(text if asked.verbose else "    " + (text.strip() or "?").splitlines()[-1])
        print(dict(Counter(kind for kind, _ in found.values())))
        return 0
    theirs, ours = outcomes("theirs", asked.only), outcomes("ours", asked.only)
    passed = [name for name, (kind, _) in theirs.items() if kind == "passed"]
    counted = Counter(ours.get(name, ("absent", ""))[0] for name in passed)
    for name in passed:
        kind, text = ours.get(name, ("absent", ""))
        if kind != "passed":
            print(f"{kind}: {name}")
            print(text if asked.verbose else "    " + (text.strip() or "?").splitlines()[-1])
    more = [n for n, (kind, _) in ours.items() if kind == "passed" and n not in passed]
    share = counted["passed"] / max(1, len(passed))
    print(f"numba's simulator passes {len(passed)}; of these ours: {dict(counted)}, {share:.1%}")
    print(f"ours passes {len(more)} that numba's does not")
    return int(share < 0.95)


if __name__ == "__main__":
    sys.exit(main())

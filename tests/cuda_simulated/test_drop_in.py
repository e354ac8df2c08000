"""Programs of numba.cuda run as they are: under `simulate`, the variable, a script and pytest."""

from __future__ import annotations

import copy
import html
import json
import math
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cuda, float32, float64, guvectorize, types, vectorize
from numba.core import config
from numba.cuda import to_device
from numba.cuda.random import create_xoroshiro128p_states, xoroshiro128p_uniform_float32

import minigrad_cudasim
from minigrad_cudasim import Fault, simulate
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

ROOT = Path(__file__).resolve().parent.parent.parent


@cuda.jit
def double(x):  # jitted before any simulation
    i = cuda.grid(1)
    if i < x.size:
        x[i] *= 2


def test_launches_copies_streams_and_events() -> None:
    with simulate() as session:
        stream, start, end = cuda.stream(), cuda.event(), cuda.event()
        start.record(stream)
        x = to_device(np.arange(10, dtype=np.float32), stream=stream)  # a name imported before
        double[1, 32, stream](x)
        double.forall(10)(x)
        end.record(stream)
        end.synchronize()
        assert x.copy_to_host().tolist() == [4.0 * i for i in range(10)]
        assert start.elapsed_time(end) >= 0 and cuda.is_available()
        assert cuda.event_elapsed_time(start, end) == start.elapsed_time(end)
        with cuda.profiling():
            pass
        y = cuda.device_array_like(x)
        y.copy_to_device(x)
        y[2:4] = 7
        assert copy.deepcopy(y).copy_to_host().tolist() == y.copy_to_host().tolist()
        assert y[2] == 7 and np.asarray(y)[9] == 36 and len(cuda.gpus) == 1
        assert cuda.gpus[0].name == cuda.gpus.current.name == cuda.get_current_device().name
        host = np.ones(4)
        double[1, 4](host)
        assert host.tolist() == [2] * 4
        assert session.report.launches == 3 and not session.report.faults


def test_the_real_module_is_put_back() -> None:
    real = cuda.jit, cuda.to_device, to_device
    with simulate():
        assert cuda.jit is not real[0] and to_device is not real[2]
        kernel = cuda.jit(double.py_func)
    assert (cuda.jit, cuda.to_device, to_device) == real
    with pytest.raises(RuntimeError, match="simulate.. , which has ended|which has ended"):
        kernel[1, 1](np.ones(1))


def test_programs_are_told_of_a_simulator_unless_they_are_not_to_be() -> None:
    with simulate():
        assert config.ENABLE_CUDASIM == 1
    with simulate(cudasim=False) as session:
        assert config.ENABLE_CUDASIM == 0
        double[1, 16](np.ones(16))
        assert session.report.launches == 1
    assert config.ENABLE_CUDASIM == 0


def test_signatures_give_numbers_their_types() -> None:
    with simulate():

        @cuda.jit("void(float32[:], float32)")
        def half(y, a):
            y[0] = a

        @cuda.jit(
            [types.void(types.int32[:], types.int32), types.void(types.int64[:], types.int64)]
        )
        def zeros(y, a):
            y[0] = cuda.clz(a)

        y, n, m = np.zeros(1, np.float32), np.zeros(1, np.int32), np.zeros(1, np.int64)
        half[1, 1](y, 0.1)
        zeros[1, 1](n, 1)
        zeros[1, 1](m, 1)
        assert y[0] == np.float32(0.1) and (n[0], m[0]) == (31, 63)


def test_in_out_and_what_is_written_back() -> None:
    def kernel(a, b, c):
        i = cuda.grid(1)
        b[i] = a[i]
        a[i] = 9
        c[i] += 1

    a, b, c = np.arange(4.0), np.zeros(4), np.ones(4)
    with simulate():
        cuda.jit(kernel)[1, 4](cuda.In(a), cuda.Out(b), cuda.InOut(c))
    assert a.tolist() == b.tolist() == [0, 1, 2, 3] and c.tolist() == [2] * 4


def test_device_arrays_begin_unwritten() -> None:
    with simulate():
        x = cuda.device_array(4)
        with pytest.raises(minigrad_cudasim.Fault, match="uninitialised: read of global x"):
            double[1, 4](x)


def test_ufuncs_and_reductions() -> None:
    with simulate():

        @vectorize(["float32(float32, float32)", "float64(float64, float64)"], target="cuda")
        def add(a, b):
            return a + b

        @vectorize([float64(float64)], target="cuda")
        def root(a):
            return math.sqrt(a)

        @guvectorize(
            ["void(float32[:,:], float32[:], float32[:])"], "(m,n),(n)->(m)", target="cuda"
        )
        def matvec(a, b, c):
            for i in range(a.shape[0]):
                total = float32(0)
                for j in range(a.shape[1]):
                    total += a[i, j] * b[j]
                c[i] = total

        @cuda.reduce
        def product(a, b):
            return a * b

        x = np.arange(4, dtype=np.float32)
        assert add(x, x).tolist() == [0, 2, 4, 6]
        assert add(to_device(x), to_device(x)).copy_to_host().tolist() == [0, 2, 4, 6]
        assert root(x.astype(float)).tolist() == np.sqrt(x.astype(float)).tolist()
        a = np.arange(12, dtype=np.float32).reshape(3, 4)
        assert matvec(a, x).tolist() == (a @ x).tolist()
        assert product(np.arange(1.0, 6.0), init=1) == 120


def test_kernels_that_numba_writes_run_all_threads_at_once() -> None:
    with simulate() as session:

        @vectorize(["float64(float64, float64)"], target="cuda")
        def far(x, y):
            return math.sqrt(x * x + y * y)

        @guvectorize(["(float64[:], float64[:], float64[:])"], "(n),(n)->()", target="cuda")
        def dot(a, b, out):
            total = 0.0
            for i in range(a.shape[0]):
                total += a[i] * b[i]
            out[0] = total

        @guvectorize(["(float64[:], int64[:], float64[:])"], "(n),()->(n)", target="cuda")
        def moved(a, by, out):
            for i in range(a.shape[0]):
                out[i] = a[i] + by[0]

        x = np.arange(600.0).reshape(20, 30)
        assert (moved(x, 3) == x + 3).all()  # one number for all rows
        assert np.allclose(far(x[0], x[1]), np.hypot(x[0], x[1]))
        assert np.allclose(dot(x, x), (x * x).sum(1))
    assert session.report.launches == session.report.at_once == 3


def test_what_a_kernel_prints_reads_as_a_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    def kernel(values):
        print(cuda.threadIdx, cuda.blockDim, values)

    minigrad_cudasim.launch(kernel, 1, (1, 1, 2), (1, (2.5, (np.float32(4),))))
    shown = sorted(capsys.readouterr().out.splitlines())
    assert shown == [f"(0, 0, {i}) (1, 1, 2) (1, (2.5, (4.0,)))" for i in range(2)]


def test_random_numbers() -> None:
    with simulate():

        @cuda.jit
        def draw(states, y):
            i = cuda.grid(1)
            y[i] = xoroshiro128p_uniform_float32(states, i)
            y[i + 32] = cuda.random.xoroshiro128p_uniform_float32(states, i)

        y = np.zeros(64, np.float32)
        draw[1, 32](create_xoroshiro128p_states(32, seed=1), y)
    assert len(set(y.tolist())) == 64 and y.min() >= 0 and y.max() < 1


def test_faults_can_be_collected() -> None:
    with simulate(raises=False) as session:

        @cuda.jit
        def total(x, y):
            y[0] += x[cuda.grid(1)]

        total[1, 4](np.ones(4), np.zeros(1))
        total[1, 4](np.ones(4), np.zeros(2))
    held = json.loads(session.report.json())
    assert held["launches"] == 2 and {f["kind"] for f in held["faults"]} == {"race"}
    assert all("cuda.atomic.add" in f["hint"] for f in held["faults"])
    assert session.report.svg().startswith("<svg") and "y[0] += x" in session.report.svg()
    assert " of warp 0" in session.report.svg()


def test_a_picture_of_several_launches_says_all_of_each() -> None:
    """Nothing is cut: an advice without its end is none, and no launch has another one's name."""
    with simulate(raises=False) as session:

        @cuda.jit
        def sum_of_products(x, y):
            i = cuda.grid(1)
            y[0] += x[i] * x[i] + float32(2) * x[i] - float32(1) + x[(i + 1) % x.size] * x[i]

        @cuda.jit
        def same(y):
            y[0] = 1.0

        sum_of_products[2, 32](np.ones(64, np.float32), np.zeros(1, np.float32))
        same[1, 64](np.zeros(1))
    picture = session.report.svg()
    words = " ".join(re.sub("<[^>]*>", " ", picture).split())
    assert "2 launches" in words and "\u2026" not in words
    for fault in (*session.report.faults, *session.report.notes):
        assert html.escape(fault.hint) in words and fault.launched in words
    assert "note, race" in words and "times)" in words
    assert "x[(i + 1) % x.size] * x[i]" in words  # the end of the line of source
    ends = [float(y) for y in re.findall(r' y="([\d.]+)"', picture)]
    assert max(ends) < float(re.findall(r'height="(\d+)"', picture)[0])


def test_a_fault_of_many_launches_is_held_once_and_keeps_no_frames_alive() -> None:
    @cuda.jit
    def total(y):
        y[0] += 1

    @cuda.jit
    def beyond(y):
        y[cuda.grid(1)] = 1

    with simulate() as session:
        for kernel in (total, total, beyond, total):
            with pytest.raises(Fault) as caught:
                kernel[2, 32](np.zeros(63))
            assert caught.value.__traceback__ is not None
    race, bounds = session.report.faults
    assert (race.kind, bounds.kind) == ("race", "bounds") and session.report.launches == 4
    assert race.times > 3 * 32 and bounds.times == 1
    assert race.__traceback__ is None and bounds.__traceback__ is None
    assert "total" in race.launched and isinstance(bounds, IndexError)


def test_without_greenlet_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulate():
        pass  # everything is imported
    monkeypatch.setattr("minigrad_cudasim.host.patching.greenlet", None)
    with pytest.raises(ImportError, match=r"pip install minigrad\[simulate\]"), simulate():
        pass


SCRIPT = """
import sys
import numpy as np
from numba import cuda

@cuda.jit("void(float64[:])")
def kernel(x):
    x[cuda.threadIdx.x] = cuda.threadIdx.x

x = cuda.device_array(4)
kernel[{blocks}, 4](x)
print(x.copy_to_host().tolist(), sys.argv[1:], __name__)
"""


def ran(*command: Any, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "kernels"), **variables}
    return subprocess.run(
        [sys.executable, *map(str, command)], env=env, capture_output=True, text=True, cwd=ROOT
    )


def test_a_script_runs_as_it_is(tmp_path: Path) -> None:
    path, report = tmp_path / "script.py", tmp_path / "report.json"
    path.write_text(SCRIPT.format(blocks=1))
    done = ran("-m", "minigrad_cudasim", path, "--flag")
    assert done.stdout == "[0.0, 1.0, 2.0, 3.0] ['--flag'] __main__\n"
    assert done.returncode == 0 and "1 launches, 0 of them" in done.stderr
    path.write_text(SCRIPT.format(blocks=2).replace("= cuda.threadIdx.x\n", "+= 1\n"))
    done = ran("-m", "minigrad_cudasim", "--report", report, path)
    assert done.returncode == 1 and "uninitialised: read of global x[" in done.stderr
    assert {f["kind"] for f in json.loads(report.read_text())["faults"]} == {
        "race",
        "uninitialised",
    }


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    done = ran("-m", "minigrad_cudasim", tmp_path / "script.py")
    assert done.returncode == 2 and "script.py: there is no such file" in done.stderr


def test_the_variable_simulates_a_process(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(blocks=1))
    line = (ROOT / "kernels/minigrad_cudasim/minigrad_cudasim.pth").read_text()
    (tmp_path / "sitecustomize.py").write_text(line)  # as site runs a .pth file
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "kernels")])
    done = ran(path, MINIGRAD_CUDASIM="seed=3", PYTHONPATH=paths)
    assert done.stdout.startswith("[0.0, 1.0, 2.0, 3.0]"), done.stderr
    done = ran(path, MINIGRAD_CUDASIM="sead=3", PYTHONPATH=paths)
    assert done.returncode and "'sead' is no option, expected 1 or some of" in done.stderr


def test_pytest_has_an_option(tmp_path: Path) -> None:
    test = "\ndef test_it():\n    assert x.copy_to_host()[3] == 3\n    kernel[2, 4](x[:3])\n"
    (tmp_path / "test_it.py").write_text(SCRIPT.format(blocks=1) + test)
    known = "cuda-sim" in entry_points(group="pytest11").names  # the package is installed
    given = [] if known else ["-p", "minigrad_cudasim.pytest_plugin"]
    done = ran(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", *given,
        "--cuda-sim", "--rootdir", tmp_path, "-c", os.devnull, tmp_path,
    )  # fmt: skip
    assert "BoundsFault" in done.stdout and "x[3] lies outside shape (3,)" in done.stdout
    assert "cuda-sim: 2 launches" in done.stdout, done.stdout

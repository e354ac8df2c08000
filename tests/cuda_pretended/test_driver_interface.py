"""What driver.py says of the driver's interface, held to the toolkit's own header, cuda.h.

A structure a field too short, an enumerator of another value or a symbol that only a macro names
would show on a machine with a GPU alone.  Skipped where there is no header; CUDA_HEADERS names
folders of further ones, those of other releases say.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad_kernels.cuda import driver
from tests.cuda_pretended.pretended import COMPILER, SOURCE

COPY = ["{}XInBytes", "{}MemoryType", "{}Host", "{}Device", "{}Array", "reserved{}", "{}Pitch"]
COPY += ["{}Height"]
STRUCTURES: dict[str, tuple[Any, list[str]]] = {  # C's name -> ours, and C's name of each field
    "CUlaunchConfig": (
        driver.Setup,
        ["gridDimX", "blockDimX", "sharedMemBytes", "hStream", "attrs", "numAttrs"],
    ),
    "CUDA_KERNEL_NODE_PARAMS_v2": (
        driver.KernelNode,
        ["func", "gridDimX", "blockDimX", "sharedMemBytes", "kernelParams", "extra", "kern", "ctx"],
    ),
    "CUDA_MEMCPY3D": (driver.CopyNode, ["srcXInBytes", "dstXInBytes", "WidthInBytes"]),
}
ENUMERATORS = {
    "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT": driver.PROCESSORS,
    "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": driver.CAPABILITY[0],
    "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": driver.CAPABILITY[1],
    "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": driver.MOST_SHARED,
    "CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL": driver.DEVICE_ORDINAL,
    "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES": driver.DYNAMIC_SHARED,
    "CU_STREAM_NON_BLOCKING": driver.NON_BLOCKING,
    "CU_EVENT_DISABLE_TIMING": driver.NO_TIMING,
    "CU_MEMORYTYPE_DEVICE": driver.DEVICE_MEMORY,
    "CUDA_ERROR_OUT_OF_MEMORY": driver.OUT_OF_MEMORY,
    "CUDA_ERROR_NOT_READY": driver.NOT_READY,
}
CALLED = {**driver.CALLS, "cuLaunchKernelEx": (ctypes.c_void_p,) * 4}


def headers() -> Iterator[Path]:
    """Yield the folders of the cuda.h files at hand: of wheels, of a toolkit, of CUDA_HEADERS."""
    folders = [Path(p) for p in os.environ.get("CUDA_HEADERS", "").split(":") if p]
    folders += [Path(p) / "nvidia" / "cu13" / "include" for p in sys.path]
    folders += [Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"]
    yield from dict.fromkeys(folder for folder in folders if (folder / "cuda.h").exists())


@pytest.fixture(params=[str(folder) for folder in headers()] or [None])
def header(request: pytest.FixtureRequest) -> Path:
    if request.param is None or COMPILER is None:
        pytest.skip("there is no cuda.h, or no C compiler")
    return Path(request.param)


def printed(header: Path, folder: Path, *lines: str) -> list[str]:
    """Compile and run a program of C that prints; return its lines."""
    source, program = folder / "asked.c", folder / "asked"
    body = "\n".join(lines)
    source.write_text(
        "#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n#include <stddef.h>\n"
        f"#include <stdio.h>\nint main(void) {{\n{body}\nreturn 0; }}\n"
    )
    assert COMPILER is not None
    subprocess.run([COMPILER, f"-I{header}", "-o", program, source], check=True)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.split("\n")


def declared(header: Path) -> dict[str, list[str]]:
    """Return the parameters of every function that the driver's library exports, as declared."""
    assert COMPILER is not None
    command = [COMPILER, f"-I{header}", "-E", "-P", "-D__CUDA_API_VERSION_INTERNAL"]
    text = subprocess.run(
        [*command, header / "cuda.h"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for name, inside in re.findall(r"CUresult\s+(cu\w+)\s*\(([^;]*?)\)\s*;", text, re.S):
        given = [] if inside.strip() in ("", "void") else inside.split(",")
        found[name] = [" ".join(each.split()) for each in given]
    return found


def test_every_function_has_the_parameters_that_are_passed(header: Path, tmp_path: Path) -> None:
    known = declared(header)
    assert [name for name in CALLED if name not in known] == []
    for name, types in CALLED.items():
        assert len(known[name]) == len(types), (name, known[name])
    sizes = [f'printf("%zu\\n", sizeof(struct {{ {p}; }}));' for n in CALLED for p in known[n]]
    ours = [ctypes.sizeof(kind) for types in CALLED.values() for kind in types]
    assert [int(line) for line in printed(header, tmp_path, *sizes) if line] == ours
    for name, types in CALLED.items():  # an address is not cut to an int, nor an int widened
        for kind, said in zip(types, known[name], strict=True):
            if "*" in said:
                assert ctypes.sizeof(kind) == ctypes.sizeof(ctypes.c_void_p), (name, said)


def test_structures_lie_as_the_header_lays_them(header: Path, tmp_path: Path) -> None:
    asked, ours = [], []
    for name, (structure, fields) in STRUCTURES.items():
        asked.append(f'printf("{name} %zu\\n", sizeof({name}));')
        ours.append(f"{name} {ctypes.sizeof(structure)}")
        for (field, *_), there in zip(structure._fields_, fields, strict=True):
            asked.append(f'printf("{name}.{there} %zu\\n", offsetof({name}, {there}));')
            ours.append(f"{name}.{there} {getattr(structure, field).offset}")
    for side, prefix, number in (("source", "src", 0), ("to", "dst", 1)):
        start = getattr(driver.CopyNode, side).offset
        for (field, *_), there in zip(driver.Side._fields_, COPY, strict=True):
            there = there.format(number if there.startswith("reserved") else prefix)
            asked.append(f'printf("{there} %zu\\n", offsetof(CUDA_MEMCPY3D, {there}));')
            ours.append(f"{there} {start + getattr(driver.Side, field).offset}")
    assert [line for line in printed(header, tmp_path, *asked) if line] == ours


def test_enumerators_have_the_values_of_the_header(header: Path, tmp_path: Path) -> None:
    codes = {f"CUDA_ERROR_{name}": code for name, code in pretended_codes().items()}
    wanted = {**ENUMERATORS, **codes}
    found = printed(header, tmp_path, *[f'printf("%d\\n", (int){name});' for name in wanted])
    assert dict(zip(wanted, map(int, filter(None, found)), strict=True)) == wanted


def pretended_codes() -> dict[str, int]:
    """Return the results that the pretended driver gives, by the header's names."""
    return {
        name: int(code)
        for code, name in re.findall(r"X\((\d+), (\w+)\)", SOURCE.read_text(encoding="utf-8"))
    }


def test_these_tests_can_fail(header: Path) -> None:
    """A symbol that only a macro of an older release named, and one of a thread's own stream."""
    known = declared(header)
    assert "cuGraphInstantiateWithFlags" in known and "cuMemAlloc" in known
    assert len(known["cuMemAlloc"]) == 2 and known["cuMemAlloc"] != known["cuMemAlloc_v2"]

from __future__ import annotations

from pathlib import Path

import pytest

from minigrad_kernels.simd.caches import ASSUMED, LARGEST, level1_bytes


def listed(folder: Path, *caches: tuple[str, str, str]) -> Path:
    for i, cache in enumerate(caches):
        (folder / f"index{i}").mkdir()
        for name, text in zip(("level", "type", "size"), cache, strict=True):
            (folder / f"index{i}" / name).write_text(f"{text}\n")
    return folder


def test_the_data_cache_of_level_1_is_found(tmp_path: Path) -> None:
    caches = (("1", "Instruction", "64K"), ("1", "Data", "48K"), ("2", "Unified", "2048K"))
    assert level1_bytes(listed(tmp_path, *caches)) == 48 << 10


@pytest.mark.parametrize("size", ["", "K", "0K", "x", "2M"])
def test_what_is_not_a_size_is_not_believed(size: str, tmp_path: Path) -> None:
    assert level1_bytes(listed(tmp_path, ("1", "Data", size))) == ASSUMED


def test_a_system_that_says_nothing_has_the_least(tmp_path: Path) -> None:
    (tmp_path / "index0").mkdir()
    assert level1_bytes(tmp_path) == level1_bytes(tmp_path / "none") == ASSUMED


def test_a_huge_cache_counts_as_a_large_one(tmp_path: Path) -> None:
    assert level1_bytes(listed(tmp_path, ("1", "Data", "1024K"))) == LARGEST


def test_this_machine_has_some() -> None:
    assert 0 < level1_bytes() <= LARGEST

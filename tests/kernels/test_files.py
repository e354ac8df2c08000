"""Files appear whole or not at all; a kernel cache in any state never fails its user."""

from __future__ import annotations

import builtins
import hashlib
import os
import pickle
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minigrad_kernels.jit import cache
from minigrad_kernels.jit.files import write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's here")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_that_open_gives(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "whole", b"x")
        with builtins.open(tmp_path / "open", "wb") as file:
            file.write(b"x")
    finally:
        assert os.umask(before) == mask  # it was not changed meanwhile
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("whole", "open")}
    assert modes == {0o666 & ~mask}


@posix
def test_a_file_keeps_its_permissions_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(Path("elsewhere") / "real")
    write_whole(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o640)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "elsewhere" / "made")
    write_whole(dangling, "made")
    assert dangling.is_symlink()
    assert names(tmp_path / "elsewhere") == ["made", "real"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "state"
    write_whole(path, b"old")

    def fail(*_: Any) -> None:
        raise error

    if step == "write":
        real = os.fdopen

        def opened(*args: Any) -> Any:
            file = real(*args)

            class Full:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *_: Any) -> None:
                    file.close()

                def write(self, data: bytes) -> None:
                    file.write(data[:1])
                    fail()

            return Full()

        monkeypatch.setattr(os, "fdopen", opened)
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["state"]


def test_a_folder_is_refused_and_threads_may_write_one_name(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="expected the path of a file, got the folder"):
        write_whole(tmp_path, b"")
    path = tmp_path / "shared"
    texts = [bytes([65 + k]) * 10_000 for k in range(4)]
    threads = [threading.Thread(target=write_whole, args=(path, text, False)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in texts
    assert names(tmp_path) == ["shared"]


# ---------------------------------------------------------------- the kernel cache
def damaged(path: Path, how: str) -> None:
    """Bring a cache file into one of the states that it may be found in."""
    record, nowhere = pickle.dumps(["another type"]), b"cnowhere\nNothing\n."
    whole = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
        return
    content = {
        "empty": b"",
        "short": whole[:100],
        "cut": whole[:-1],
        "noise": hashlib.sha512(whole).digest() * 20,
        "bit": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        "type": cache.digest_of(path, record) + record,
        "missing class": cache.digest_of(path, nowhere) + nowhere,
        "older": whole[cache.DIGEST :],
    }
    path.write_bytes(content[how])


STATES = ("empty", "short", "cut", "noise", "bit", "type", "missing class", "older", "folder")


@pytest.mark.parametrize("how", STATES)
def test_a_damaged_record_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(cache, "cache_path", lambda: tmp_path)
    monkeypatch.setattr(cache, "SAID", [True])
    files = cache.Files("probe.kernel", "0")
    files.save("key", {"code": bytes(range(256)) * 4})
    assert files.load("key") == {"code": bytes(range(256)) * 4}
    (path,) = tmp_path.iterdir()
    damaged(path, how)
    assert files.load("key") == (["another type"] if how == "type" else None)
    files.save("key", {"code": b"again"})
    if how != "folder":
        assert files.load("key") == {"code": b"again"}
    assert names(tmp_path) == [path.name]


def missing(folder: Path) -> Path:
    return folder / "not" / "there"


def a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file"


def inside_a_file(folder: Path) -> Path:
    return a_file(folder) / "kernels"


@pytest.mark.parametrize("place", [a_file, inside_a_file])
def test_a_folder_that_cannot_be_is_said_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: Callable[[Path], Path],
) -> None:
    folder = place(tmp_path)
    monkeypatch.setattr(cache, "cache_path", lambda: folder)
    monkeypatch.setattr(cache, "SAID", [])
    monkeypatch.delenv("MINIGRAD_QUIET", raising=False)
    for key in ("a", "b"):
        cache.Files("probe.kernel", "0").save(key, 1)
        assert cache.Files("probe.kernel", "0").load(key) is None
    assert [r.getMessage().startswith("minigrad: compiled kernels cannot") for r in caplog.records]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("number", [13, 28, 30, 122])  # permission, full, read-only, quota
def test_a_folder_that_cannot_be_written_fails_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache, "cache_path", lambda: tmp_path)
    monkeypatch.setattr(cache, "SAID", [True])
    monkeypatch.setattr(os, "open", fail)
    cache.Files("probe.kernel", "0").save("key", 1)
    assert names(tmp_path) == []


def test_a_folder_cleared_away_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "cache_path", lambda: missing(tmp_path))
    files = cache.Files("probe.kernel", "0")
    files.save("key", 1)
    assert files.load("key") == 1


def test_without_a_home_there_is_a_folder_beside_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MINIGRAD_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.cache_root().name.startswith("minigrad-")
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "relative")
    assert cache.cache_root().is_absolute()


@posix
def test_a_file_that_another_process_has_just_removed_is_no_error(tmp_path: Path) -> None:
    gone = tmp_path / f".kernel-1-2{cache.SUFFIX}"
    gone.symlink_to(tmp_path / "nowhere")  # found by its name, and not there to be asked
    cache.forget_old("kernel", tmp_path)
    assert not gone.is_symlink()

"""The disk cache of compiled kernels: one file a signature, found by what the kernel is made of.

Numba's own cache follows one source file a function, so an edited function in another file keeps
serving old machine code, and a kernel made by a factory never hits. Here a file is named after the
kernel, a digest of the sources it can reach (its module, what that imports, the modules and values
in its closure) and its signature: never stale, never missed, and an edit recompiles only what
depends on it. Folders are per compiler version; of each kernel the newest versions alone are kept.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import logging
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from minigrad_kernels.jit import claims, linked
from minigrad_kernels.jit.files import SUFFIX, write_whole

PACKAGE = "minigrad_kernels"
LOG = logging.getLogger("minigrad")
SAID: list[bool] = []  # that the cache cannot be written
DIGEST = hashlib.sha256().digest_size
ABANDONED = 3600.0  # seconds after which a file that never became whole is another process's litter
KEPT = 4  # versions of a kernel, and folders of other compilers, that are left in place
# An import statement, to the end of its line or its parentheses.  Found by this pattern and read by
# `ast`: parsing whole files would cost a cold start 0.2 s.
STATEMENT = re.compile(
    r"^[ \t]*((?:from[ \t]+[\w.]+[ \t]+import\b|import\b)(?:[^\n(\\]|\\\n|\([^)]*\))*)",
    re.MULTILINE,
)
CONSTANTS = (bool, int, float, str, bytes, type(None), np.generic, np.dtype)


# ---------------------------------------------------------------- what a kernel is made of
def read_sources() -> dict[str, bytes]:
    """Return the text of each module of the package by its name below it, e.g. `optim.adam`."""
    root = Path(sys.modules[PACKAGE].__path__[0])
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path.read_bytes()
        for path in root.rglob("*.py")
    }


# Read before the other files are imported: code compiled by a process whose sources are edited
# while it runs must not enter the cache under the new sources' name.
SOURCES = read_sources()


def below(module: str) -> str:
    """Return a module's name below the package; that of another package stays whole.

    >>> below("minigrad_kernels.optim.cuda_adam")
    'optim.cuda_adam'
    """
    return module.removeprefix(f"{PACKAGE}.")


def imports(source: str, package: str = PACKAGE) -> set[str]:
    """Return the modules of this package that a source imports, by their names below it.

    package: where the source stands, for relative imports.  What is imported from a module may be
    a module itself, so both are returned; those that are none are in no one's way.

    >>> sorted(imports("from minigrad_kernels.optim import (\\n    adam,\\n    sgd,\\n)"))
    ['optim', 'optim.adam', 'optim.sgd']
    """
    found: set[str] = set()
    for text in STATEMENT.findall(source):
        if PACKAGE not in text and not text.startswith("from ."):
            continue
        try:
            statements = ast.parse(text).body
        except SyntaxError:
            continue  # prose that begins like an import
        for statement in statements:
            if isinstance(statement, ast.Import):
                names = [alias.name for alias in statement.names]
            elif isinstance(statement, ast.ImportFrom):
                parts = package.split(".")
                above = parts[: len(parts) + 1 - statement.level] if statement.level else []
                base = ".".join([*above, *([statement.module] if statement.module else [])])
                names = [base, *(f"{base}.{alias.name}" for alias in statement.names)]
            else:
                continue
            found.update(below(name) for name in names if name.startswith(f"{PACKAGE}."))
    return found


@functools.cache
def imported_by(module: str) -> frozenset[str]:
    """Return the modules that one imports, their packages' own code with them."""
    source = SOURCES[module].decode()
    package = module if module.endswith("__init__") else module.rpartition(".")[0]
    package = f"{PACKAGE}.{package}".removesuffix("__init__").rstrip(".")
    found: set[str] = set()
    for name in imports(source, package):
        parts = name.split(".")
        found.update(".".join([*parts[:n], "__init__"]) for n in range(1, len(parts) + 1))
        found.add(name)
    return frozenset(found & SOURCES.keys())


def reached(module: str) -> frozenset[str]:
    """Return a module and all that it imports, directly or not."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in SOURCES and name not in seen:
            seen.add(name)
            waiting.extend(imported_by(name))
    return frozenset(seen)


def sources_elsewhere(module: str) -> list[bytes]:
    """Return the sources of the imported modules of the package, not this one, that a module is of.

    A rule that a user's package states is merged into the loops of this one.
    """
    top = module.partition(".")[0]
    files = {
        getattr(held, "__file__", None)
        for name, held in sys.modules.items()
        if name.partition(".")[0] == top
    }
    return [Path(file).read_bytes() for file in sorted(filter(None, files)) if file.endswith(".py")]


@functools.cache
def file_digest(module: str) -> bytes:
    """Return a digest of a module's name and source."""
    return hashlib.sha256(module.encode() + b"\n" + SOURCES[module]).digest()


@functools.cache
def source_digest(module: str) -> str:
    """Return a digest of the sources of a module and of all that it imports."""
    names = reached(module)
    parts = [] if names else sources_elsewhere(module)
    for source in parts:
        names = names.union(*map(reached, imports(source.decode())))
    parts += map(file_digest, sorted(names))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def ingredients(
    function: Callable[..., Any], above: tuple[Any, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yield ("module", name) and ("value", text) for all that a function's code can depend on.

    above: the functions whose closures led here: one that calls itself is looked at once.
    """
    yield "module", below(function.__module__)
    if below(function.__module__) not in SOURCES:  # typed at a prompt, perhaps: no file has it
        code = function.__code__
        constants = [c for c in code.co_consts if isinstance(c, CONSTANTS)]
        yield "value", repr((code.co_code, code.co_names, constants))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            held = cell.cell_contents
        except ValueError:
            continue  # not bound yet: the function itself
        held = getattr(held, "py_func", None) or getattr(held, "_defn", None) or held
        if isinstance(held, CONSTANTS):
            yield "value", f"{name}={held!r}"
        elif hasattr(held, "__code__"):
            yield "value", f"{name}={held.__qualname__}"
            if held not in above:
                yield from ingredients(held, (*above, held))
        elif isinstance(held, type):
            yield "value", f"{name}={held.__module__}.{held.__qualname__}"
        else:
            raise TypeError(
                f"jit: the closure of {function.__qualname__} holds {name}, a "
                f"{type(held).__name__}, expected a jitted function, a number, a string or a dtype:"
                " pass it as an argument, or make it a global of the module"
            )


def fingerprint(function: Callable[..., Any], options: dict[str, Any]) -> str:
    """Return the digest of all that a function's machine code depends on but its signature."""
    return digest_of_parts(ingredients(function), options)


def digest_of_parts(parts: Iterable[tuple[str, str]], options: dict[str, Any]) -> str:
    """Return the digest of what `ingredients` yields and of a kernel's options."""
    digest = hashlib.sha256()
    for kind, text in parts:
        digest.update((source_digest(text) if kind == "module" else text).encode())
    for option, value in sorted(options.items()):
        shown = sorted(value) if isinstance(value, set) else value
        digest.update(f"{option}={shown!r}".encode())
    return digest.hexdigest()[:12]


# ---------------------------------------------------------------- where it is kept
def cache_root() -> Path:
    """Return the folder of compiled kernels: MINIGRAD_CACHE_DIR, else the user's cache folder.

    Where there is no home folder either, one of the user's own beside temporary files.
    """
    own = os.environ.get("MINIGRAD_CACHE_DIR")
    if own:
        return Path(own).absolute()  # a later chdir leaves it where it is
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base).absolute() / "minigrad"
    try:
        return Path.home() / ".cache" / "minigrad"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"minigrad-{getattr(os, 'getuid', int)()}"


@functools.cache
def cache_path() -> Path:
    """Return the folder for these versions of the compiler, made when it is missing.

    It may be one that cannot be made or written: then kernels are compiled in memory.
    """
    versions = (numba.__version__, llvmlite.__version__, sys.version, np.__version__)
    path = cache_root() / hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]
    if path.is_dir():
        return path
    try:
        path.mkdir(parents=True, exist_ok=True)
        others = [
            p for p in path.parent.iterdir() if p.is_dir() and p != path and len(p.name) == 16
        ]
    except OSError:
        return path
    for stale in newest_first(others)[KEPT:]:
        shutil.rmtree(stale, ignore_errors=True)
    return path


def changed(path: Path) -> float:
    """Return when a file was changed last, 0 where another process has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def newest_first(paths: list[Path]) -> list[Path]:
    """Sort paths by the time of their last change; one that has just gone counts as oldest."""
    return sorted(paths, key=changed, reverse=True)


def forget_old(name: str, folder: Path) -> None:
    """Remove a kernel's code of all but its newest source versions: edits must not fill a disk."""
    kept: set[str] = set()
    for path in newest_first(list(folder.glob(f"{name}-*.nbc"))):
        kernel, version, _ = path.stem.rsplit("-", 2)
        if kernel != name:
            continue
        kept.add(version)
        if len(kept) > KEPT:
            kept.remove(version)
            path.unlink(missing_ok=True)
    for suffix in (SUFFIX, claims.SUFFIX):
        for path in folder.glob(f".*{suffix}"):
            if time.time() - changed(path) > ABANDONED:
                path.unlink(missing_ok=True)


def note_unwritable(error: Exception) -> None:
    """Say that the cache cannot be written, unless that has been said or is not to be heard."""
    if not SAID and os.environ.get("MINIGRAD_QUIET", "0") in ("", "0"):
        SAID.append(True)
        LOG.warning(
            "minigrad: compiled kernels cannot be kept in %s (%s): each process compiles its own; "
            "MINIGRAD_CACHE_DIR names another folder",
            cache_path(),
            getattr(error, "strerror", None) or error,
        )


def digest_of(path: Path, record: bytes) -> bytes:
    """Return what a file's record is known again by, under this file's name alone."""
    return hashlib.sha256(path.name.encode() + record).digest()


class Files:
    """One kernel's files: `load` and `save` as Numba's cache driver calls them.

    A file is a digest of what follows, then Numba's own record.  Whatever is wrong with the folder
    or with a file, the kernel is compiled: a cache never fails its user.
    """

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version

    def path(self, key: object) -> Path:
        """Return the file of a signature."""
        digest = hashlib.sha256(repr(key).encode()).hexdigest()[:20]
        return cache_path() / f"{self.name}-{self.version}-{digest}.nbc"

    def load(self, key: object) -> Any:
        """Return the record of a signature, None where there is none that is whole."""
        try:
            path = self.path(key)
            content = path.read_bytes()
            if digest_of(path, content[DIGEST:]) != content[:DIGEST]:
                return None  # cut short, of another name or not what was written: not to be run
            return pickle.loads(content[DIGEST:])
        except Exception:  # also of a record from another Numba, or of objects that are no more
            return None

    def save(self, key: object, data: object) -> None:
        """Write the record of a signature; where that fails, say so once and go on."""
        try:
            record = dumps(data)
            path = self.path(key)
            content = digest_of(path, record) + record
            try:
                write_whole(path, content, sync=False)
            except FileNotFoundError:  # the folder has been cleared away meanwhile
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content, sync=False)
            forget_old(self.name, path.parent)
        except Exception as error:
            note_unwritable(error)


class _NoLocator:
    """A locator as Numba's cache asks for one; the folder is made when the first file is."""

    def ensure_cache_path(self) -> None:
        """Do nothing: `Files.save` makes the folder, or says that it cannot."""


class _Impl(CompileResultCacheImpl):
    """Numba's conversion of compiled functions to records and back, without its files."""

    def __init__(self) -> None:
        self._locator = _NoLocator()

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Return the compiled function of a record."""
        found = linked.restored(target_context, payload)
        return found or super().rebuild(target_context, payload)


class KernelCache(FunctionCache):
    """Numba's cache driver over `Files`: Numba's records under keys and in folders of our own.

    linked: whether what is loaded and saved is IR alone; machine code does for both.
    """

    def __init__(self, function: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
        self.linked = False
        self.name = name
        self._py_func = function
        self._impl = _Impl()
        self._parts = list(ingredients(function))
        self._options = options
        self.enable()

    @functools.cached_property
    def _cache_file(self) -> Files:
        """The kernel's files: sources are read into a digest at its first call, not at import."""
        return Files(self.name, digest_of_parts(self._parts, self._options))

    @property
    def cache_path(self) -> str:
        """The folder of this compiler's files."""
        return str(cache_path())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return a signature's compiled function, None where it is not in the cache.

        What is compiled needs the symbols of Numba's runtime, and nothing of the registries that
        types and lowers functions: Numba reads those in before it compiles, which here takes 0.4 s
        of a process that finds all it needs in the cache.
        """
        try:
            rtsys.initialize(target_context)
            found = self._load_overload(sig, target_context)
            if found is None and self.linked:
                self.linked = False
                try:
                    found = self._load_overload(sig, target_context)
                finally:
                    self.linked = True
            return found
        except Exception:  # a whole file whose record does not mean what it should
            return None

    def claim(self, sig: Any, target_context: Any) -> contextlib.AbstractContextManager[bool]:
        """Return the claim to compile a signature: other processes wait for the file meanwhile."""
        try:
            path = self._cache_file.path(self._index_key(sig, target_context.codegen()))
        except Exception:  # whatever is wrong with the folder, the kernel is compiled
            return contextlib.nullcontext(False)
        return claims.claimed(path)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        """Return what a record is found by: kernel, signature and processor."""
        kind = (linked.KIND,) if self.linked else ()
        return (self.name, str(sig), codegen.magic_tuple(), *kind)

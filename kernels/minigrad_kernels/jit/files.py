"""Writing a file in one step: it appears whole under its name, or not at all.

The new content lies under a temporary name in the same folder until it is complete.  It gets the
permissions that `open` would give it (or keeps those of the file that it replaces), and a link
stays a link: what it points to is replaced.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

SUFFIX = ".tmp"  # of files that are not whole yet
BINARY = getattr(os, "O_BINARY", 0)  # Windows would change line ends


def write_whole(path: str | os.PathLike[str], data: bytes | str, sync: bool = True) -> None:
    """Bring bytes, or a text as UTF-8, to a file; on an error the file is as it was before.

    sync: wait until the disk has it, so that it outlasts a power failure.
    Raises: OSError as writing raises it; nothing is left behind then.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> write_whole(path, "whole")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('whole', 1)
    """
    if isinstance(data, str):
        data = data.encode()
    named = Path(path)
    target = Path(os.path.realpath(named)) if named.is_symlink() else named
    try:
        kind = target.stat()
    except FileNotFoundError:
        kind = None
    if kind is not None and not stat.S_ISREG(kind.st_mode):
        if stat.S_ISDIR(kind.st_mode):
            raise IsADirectoryError(f"expected the path of a file, got the folder {named}")
        target.write_bytes(data)  # a pipe or a device, /dev/stdout say: there is nothing to replace
        return
    if kind is not None and not os.access(target, os.W_OK):
        raise PermissionError(f"{named} is write-protected; choose another name, or permit writing")
    own = f".{target.name[:80]}-{os.getpid()}-{secrets.token_hex(6)}{SUFFIX}"
    temporary = target.with_name(own)
    # Not tempfile's: those are for their owner alone, and what `open` would give is known to the
    # process's umask, which cannot be read without changing it for all threads.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if kind is not None:
            os.chmod(temporary, stat.S_IMODE(kind.st_mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if sync:
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last, where the system can: the file is whole in any case."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

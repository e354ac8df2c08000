"""The host's first-level cache, which the blocks of a matrix product are to stay in."""

from __future__ import annotations

from pathlib import Path

ASSUMED = 32 << 10  # bytes, where the system does not say: no processor in use has less
LARGEST = 128 << 10  # bytes: more of it gains nothing
LISTED = Path("/sys/devices/system/cpu/cpu0/cache")


def level1_bytes(listed: Path = LISTED) -> int:
    """Return the size of a core's first-level data cache, as Linux lists it.

    listed: the folder with a folder for each cache.
    """
    for cache in sorted(listed.glob("index*")):
        try:
            level, kind, size = ((cache / x).read_text().strip() for x in ("level", "type", "size"))
        except OSError:
            continue
        number = size.removesuffix("K")
        if level == "1" and kind != "Instruction" and number != size and number.isdigit():
            return min(LARGEST, int(number) << 10) or ASSUMED
    return ASSUMED

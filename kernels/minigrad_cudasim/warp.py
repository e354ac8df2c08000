"""Warp operations: what each lane gets from what all lanes of the mask brought.

A rule takes {lane: value} of the lanes that take part and returns {lane: answer}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_cudasim.machine import LaneError
from minigrad_cudasim.numbers import UInt32
from minigrad_cudasim.thread import TOGETHER, WARP

Lanes = dict[int, Any]


def bits_of(lanes: Any) -> UInt32:
    """Return the mask of some lanes."""
    return UInt32(sum(1 << lane for lane in lanes))


def shuffle(source: Callable[[int, int], int], name: str) -> Callable[[Lanes], Lanes]:
    """Return the shuffle in which `lane` with argument `k` reads lane `source(lane, k)`."""

    def rule(lanes: Lanes) -> Lanes:
        answers = {}
        for lane, (value, k) in lanes.items():
            if isinstance(value, np.uint64):
                raise LaneError(
                    lane,
                    f"{name} of an unsigned integer: numba.cuda shuffles int32, int64, float32 "
                    "and float64 alone; cast it",
                )
            other = source(lane, int(k))
            if not 0 <= other < WARP:
                other = lane  # a shuffle past the warp's end leaves a lane its own value
            if other not in lanes:
                raise LaneError(
                    lane,
                    f"{name} reads lane {other}, which has ended, lies beyond the block or is not "
                    "in the mask: its value is undefined",
                )
            theirs = lanes[other][0]
            if kind(theirs) is not kind(value):
                raise LaneError(
                    lane, f"{name}: lanes bring {type(value).__name__} and {type(theirs).__name__}"
                )
            answers[lane] = theirs
        return answers

    return rule


def kind(value: Any) -> type:
    """Return the type of a lane's value, one for all signed integers."""
    return int if isinstance(value, int) else type(value)


def ballot(lanes: Lanes) -> Lanes:
    """Give all lanes the mask of those whose predicate is true."""
    return dict.fromkeys(lanes, bits_of(lane for lane, held in lanes.items() if held))


def match_any(lanes: Lanes) -> Lanes:
    """Give each lane the mask of those with its value."""
    return {
        lane: bits_of(other for other, theirs in lanes.items() if theirs == value)
        for lane, value in lanes.items()
    }


def match_all(lanes: Lanes) -> Lanes:
    """Give all lanes the mask of all and True where their values are equal, else 0 and False."""
    same = len({np.asarray(v).tobytes() for v in lanes.values()}) == 1
    return dict.fromkeys(lanes, (bits_of(lanes) if same else UInt32(0), same))


RULES: dict[str, Callable[[Lanes], Lanes]] = {
    "shfl_sync": shuffle(lambda lane, k: k % WARP, "shfl_sync"),
    "shfl_up_sync": shuffle(lambda lane, k: lane - k, "shfl_up_sync"),
    "shfl_down_sync": shuffle(lambda lane, k: lane + k, "shfl_down_sync"),
    "shfl_xor_sync": shuffle(lambda lane, k: lane ^ k, "shfl_xor_sync"),
    "ballot_sync": ballot,
    "any_sync": lambda lanes: dict.fromkeys(lanes, any(map(bool, lanes.values()))),
    "all_sync": lambda lanes: dict.fromkeys(lanes, all(map(bool, lanes.values()))),
    "eq_sync": lambda lanes: dict.fromkeys(lanes, len(set(map(bool, lanes.values()))) == 1),
    "match_any_sync": match_any,
    "match_all_sync": match_all,
    TOGETHER: lambda lanes: dict.fromkeys(lanes, bits_of(lanes)),
}

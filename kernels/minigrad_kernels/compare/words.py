"""Say figures and times in few digits, and what limits a kernel in words.

>>> what_limits(1e-5, floor_flops=1e-7, floor_bytes=9e-6, launch=1e-6)
'memory traffic: 90 % of the time of a copy of as many bytes'
>>> what_limits(1e-5, floor_flops=1e-7, floor_bytes=1e-6, launch=8e-6)
'the call itself: 80 % of its time is that of a call on next to nothing'
"""

from __future__ import annotations

NEAR = 0.5  # of the time, from which something is what limits
SLACK = 0.05  # by which a limit may be passed for the noise of measuring it


def what_limits(
    seconds: float,
    *,
    floor_flops: float,
    floor_bytes: float,
    launch: float | None,
    counted: bool = True,
) -> str:
    """Return what takes the largest part of a call's time, or that nothing known does.

    floor_flops, floor_bytes: seconds that the arithmetic and the traffic take at least.
    counted: whether the flops are known.
    """
    parts = [
        (floor_flops / seconds, "arithmetic", "the machine's peak"),
        (floor_bytes / seconds, "memory traffic", "a copy of as many bytes"),
    ]
    if launch is not None and launch / seconds >= max(NEAR, parts[0][0], parts[1][0]):
        share = min(1.0, launch / seconds)
        said = f"the call itself: {100 * share:.0f} % of its time is that of a call on next to "
        return said + "nothing"
    share, what, beside = max(parts)
    percent = f"{100 * share:.0f} %"
    if share > 1 + SLACK:
        return (
            f"{what}: {percent}, faster than {beside} when that was measured, in other conditions"
        )
    if share >= NEAR:
        return f"{what}: {percent} of the time of {beside}"
    other, smaller, _ = min(parts)
    rest = f"{smaller} for {100 * other:.0f} %" if counted else "flops are not stated"
    return (
        f"neither traffic nor arithmetic: {what} accounts for {percent}, {rest}; the rest is "
        "latency, scalar code, idle threads"
    )


def figure(value: float | None) -> str:
    """Return a number in three digits, one of up to eight whole.

    >>> figure(0.0), figure(1234.5), figure(0.01234), figure(3.7e47), figure(None)
    ('0', '1,234', '0.0123', '3.7e+47', '')
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if 100 <= value < 1e8 else f"{value:.3g}"


def shown_time(seconds: float | None) -> str:
    """Return a time in the unit that suits it.

    >>> shown_time(1.5e-6), shown_time(0.0123), shown_time(None)
    ('1.5 us', '12.3 ms', '')
    """
    if seconds is None:
        return ""
    unit, scale = ("us", 1e6) if seconds < 1e-3 else ("ms", 1e3) if seconds < 1 else ("s", 1.0)
    return f"{seconds * scale:.3g} {unit}"

"""Verdicts: how often they are right over simulated noise, when measuring ends, what is said."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.compare import against, conditions, verdict
from minigrad_kernels.compare import sessions as timed_sessions
from minigrad_kernels.compare.sessions import SESSIONS, STICK, Sessions, Timed, sessions
from minigrad_kernels.compare.verdict import LOOKS, decide, interval, word_of

Noise = Callable[[np.random.Generator, int], Any]


def calm(rng: np.random.Generator, n: int) -> Any:
    """Draw the logarithm of a block's time on a quiet machine."""
    return 0.01 * rng.standard_normal(n)


def loaded(rng: np.random.Generator, n: int) -> Any:
    """Draw what a loaded one shows: a wide spread, and blocks that last several times as long."""
    return 0.05 * rng.standard_normal(n) + (rng.random(n) < 0.15) * rng.exponential(0.7, n)


def two_speeds(rng: np.random.Generator, n: int) -> Any:
    """Draw the times of a processor whose clock has two steps, in runs of some length."""
    fast = np.repeat(rng.random(n // 6 + 1) < 0.5, 6)[:n]
    return 0.02 * rng.standard_normal(n) + 0.12 * fast


NOISES: dict[str, Noise] = {"calm": calm, "loaded": loaded, "two speeds": two_speeds}


def measured(noise: Noise, slowdown: float, seed: int) -> Callable[[], float]:
    """Return pairs of blocks, one after the other in one stretch of noise."""
    rng = np.random.default_rng(seed)
    both = noise(rng, 2 * LOOKS[-1])
    logs = iter(both[1::2] - both[::2] + math.log(slowdown))
    return lambda: float(next(logs))


def words(noise: Noise, slowdown: float, trials: int) -> Counter[str]:
    return Counter(decide(measured(noise, slowdown, i))[0].word for i in range(trials))


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_same_twice_is_the_same(noise: Noise) -> None:
    found = words(noise, 1.0, 40)
    assert found["same"] >= 38, found  # 19 of 20
    assert not found["faster"] + found["slower"] > 1, found


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_five_percent_slower_is_never_faster_nor_the_same(noise: Noise) -> None:
    found = words(noise, 1.05, 40)
    assert found["faster"] == 0 and found["same"] <= 1, found
    assert found["slower"] >= 26, found


def test_five_percent_faster_is_never_slower() -> None:
    found = words(calm, 1 / 1.05, 40)
    assert found["slower"] == 0 and found["faster"] >= 38, found


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_intervals_hold_the_truth(noise: Noise) -> None:
    inside = 0
    for seed in range(200):
        both = noise(np.random.default_rng(seed), 80)
        _, low, high = interval(both[1::2] - both[::2], 0.05)
        inside += low <= 0 <= high
    assert inside >= 180, inside  # of 200 at 95 %: 190 on average, below 180 once in 500 such tests


def test_what_is_far_apart_is_decided_at_the_first_look() -> None:
    found, logs = decide(measured(calm, 2.0, 0))
    assert found.word == "slower" and len(logs) == LOOKS[0]
    assert found.ratio == pytest.approx(2.0, rel=0.02)


def test_what_stays_open_ends_with_the_looks_or_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def wild(rng: np.random.Generator, n: int) -> Any:
        return 2.0 * rng.standard_normal(n)

    found, logs = decide(measured(wild, 1.0, 3))
    assert found.word == "undecided" and len(logs) == LOOKS[-1]
    clock = iter(range(10_000))
    monkeypatch.setattr(verdict.time, "perf_counter", lambda: float(next(clock)))
    found, logs = decide(measured(wild, 1.0, 3), limit=5.0)
    assert found.word == "undecided" and len(logs) == 5
    assert "too few" in found.said


def test_a_pair_in_turns_sees_which_is_slower() -> None:
    calls: list[str] = []

    def make(name: str, work: int) -> Callable[[], Callable[[], Any]]:
        x = np.ones(work)

        def made() -> Callable[[], Any]:
            calls.append(name)
            return lambda: np.sin(x)

        return made

    pair = verdict.pairs_of(make("old", 2_000), make("new", 40_000))
    assert all(pair() > 0 for _ in range(4))
    turns = {tuple(calls[i : i + 2]) for i in range(0, 8, 2)}
    assert turns == {("old", "new"), ("new", "old")}, "the order is drawn"


def test_processor_time_is_taken_of_what_one_thread_does_alone() -> None:
    x = np.ones(200_000)

    def works() -> Callable[[], Any]:
        return lambda: np.sin(x)

    def waits() -> Callable[[], Any]:
        return lambda: time.sleep(0.002)

    clocks = {verdict.clock_of(works) for _ in range(5)}
    assert time.process_time in clocks, "on a busy machine not always"
    assert verdict.clock_of(works, waits) is time.perf_counter


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.98, 1.02, "same"),
        (1.001, 1.029, "same"),
        (1.011, 1.5, "slower"),
        (1.009, 1.5, "undecided"),
        (0.5, 0.989, "faster"),
        (0.9, 1.01, "undecided"),
        (0.0, math.inf, "undecided"),
    ],
)
def test_words_of_intervals(low: float, high: float, word: str) -> None:
    assert word_of(low, high, 0.03) == word


# ---------------------------------------------------------------- another run
CASE = "gemm", "float32", (8, 8, 8), "cpu"


def run_of(
    seed: int,
    slowdown: float = 1.0,
    machine: float = 1.0,
    spread: float = 0.01,
    mood: float = 0.0,
    follows: float = 1.0,
    neighbour: float = 0.0,
    shares: float = 0.5,
) -> Sessions:
    """Return the sessions of a run on a machine that is itself slower or faster than usual.

    mood: how far it is so for stretches of some sessions.  follows: with which power of the
    chain's time a kernel's goes.  neighbour: how far another one slows the arrays, on the whole and
    for stretches of half as much; shares: with which power of that a kernel's time goes.
    """
    rng = np.random.default_rng(seed)

    def stretches(by: float) -> np.ndarray[Any, Any]:
        found = np.zeros(SESSIONS)
        for i in range(1, SESSIONS):
            found[i] = 0.8 * found[i - 1] + 0.6 * by * rng.standard_normal()
        return found

    slow = stretches(mood) + math.log(machine)
    beyond = stretches(neighbour / 2) + neighbour
    noise = spread * rng.standard_normal((3, SESSIONS))
    rare = (rng.random((3, SESSIONS)) < 0.05) * rng.exponential(0.5, (3, SESSIONS))
    noise += rare
    times = 1e-5 * slowdown * np.exp(follows * slow + shares * beyond + noise[0])
    chain = 4e-5 * np.exp(slow + noise[1])
    arrays = 3e-5 * np.exp(slow + beyond + noise[2])
    yards = tuple(zip(chain.tolist(), arrays.tolist(), strict=True))
    return Sessions(*CASE, tuple(times.tolist()), yards, STICK)


def report_with(sessions: Sessions, cpu: str = "here") -> dict[str, Any]:
    row = {name: getattr(sessions, name) for name in ("kernel", "dtype", "size", "target")}
    row |= {"seconds": list(sessions.seconds), "yards": [list(y) for y in sessions.yards]}
    row |= {"stick": sessions.stick, "busy": sessions.busy, "threads": sessions.threads}
    return {"machine": {"cpu": cpu, "date": "2000-01-01"}, "rows": [], "sessions": [row]}


@pytest.mark.parametrize(
    ("machine", "word"),
    [(0.7, "undecided"), (0.98, "same"), (1.0, "same"), (1.02, "same"), (1.4, "undecided")],
)
def test_a_run_of_yesterday_on_a_slower_machine_is_not_called_slower(
    machine: float, word: str
) -> None:
    old = report_with(run_of(0, spread=0.005))
    found = Counter[str]()
    for seed in range(1, 21):
        new = run_of(seed, machine=machine, spread=0.005)
        (one,), notes = against.against([new], old, "here")
        found[one.verdict.word] += 1
        assert not notes
        assert bool(one.note) == (machine != 1.0)
    assert found[word] >= 19 and found["slower"] == found["faster"] == 0, found


def test_a_run_with_other_yardsticks_is_held_against_by_seconds() -> None:
    old = report_with(replace(run_of(0), stick="multiply-adds", yards=()))
    found = Counter[str]()
    for seed in range(1, 21):
        (one,), _ = against.against([run_of(seed, machine=1.2)], old, "here")
        found[one.verdict.word] += 1
        assert one.note == "other yardsticks"
    assert set(found) == {"undecided"}


@pytest.mark.parametrize("follows", [0.0, 0.5, 1.0, 1.3])
def test_two_runs_of_one_pair_are_the_same_and_five_percent_slower_is_never_faster(
    follows: float,
) -> None:
    """On a machine whose moods slow a kernel more, or less, than the yardstick."""
    found = {slowdown: Counter[str]() for slowdown in (1.0, 1.02, 1.05, 1.12, 1.3)}
    inside = 0
    for seed in range(40):
        old = run_of(2 * seed, spread=0.006, mood=0.015, follows=follows)
        for slowdown, words in found.items():
            new = run_of(2 * seed + 1, slowdown, 1.01, 0.006, mood=0.015, follows=follows)
            one = against.judged(new, old, True).verdict
            words[one.word] += 1
            inside += one.low <= slowdown <= one.high
    assert found[1.0]["same"] >= 38, found  # 19 of 20
    assert found[1.0]["slower"] + found[1.0]["faster"] <= 1, found
    assert found[1.05]["same"] == found[1.05]["faster"] == 0, found
    assert found[1.12]["slower"] >= 36 and found[1.3]["slower"] >= 36, found
    assert found[1.02]["faster"] == 0, found
    assert inside >= 0.93 * 200, inside


def test_sessions_that_lie_far_apart_leave_it_undecided() -> None:
    """A kernel whose time depends on where its arrays lie differs from process to process, too."""
    old, new = run_of(0, spread=0.08), run_of(1, spread=0.08)
    one = against.judged(new, old, True).verdict
    assert one.word == "undecided" and one.high / one.low > 1.05


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_powers_are_read_off_where_the_machine_had_moods(power: float, share: float) -> None:
    runs = [
        run_of(seed, spread=0.003, mood=0.1, follows=power, neighbour=0.3, shares=share)
        for seed in (0, 1)
    ]
    powers, covariance = against.powers_of(runs)
    # Neighbours differ by the moods, too: that passes for noise, and draws the powers to FOLLOWS.
    assert powers[0] == pytest.approx(power, abs=0.35)
    assert powers[1] == pytest.approx(share, abs=0.2)
    assert np.sqrt(np.diag(covariance)).max() < 0.1
    calm = [run_of(seed, spread=0.004, follows=power, shares=share) for seed in (0, 1)]
    powers, covariance = against.powers_of(calm)
    assert powers == pytest.approx(against.FOLLOWS, abs=0.3), "it tells nothing"
    assert (np.sqrt(np.diag(covariance)) > 0.7 * np.array(against.OPEN)).all()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_neighbour_on_the_core_whom_the_arrays_see_makes_no_kernel_slower(share: float) -> None:
    """A chain of additions does not see it; 12 % of a sum's time was lost so within minutes."""
    words = Counter[str]()
    for seed in range(40):
        old = run_of(2 * seed, spread=0.004, shares=share)
        new = run_of(2 * seed + 1, spread=0.004, neighbour=0.15, shares=share)
        one = against.judged(new, old, True)
        words[one.verdict.word] += 1
        assert "slower than then" in one.note
    assert words["slower"] + words["faster"] <= 1, words


class Stepping:
    """A clock that work and pauses put forward."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.at: dict[str, list[float]] = {"a": [], "b": []}

    def case(self, name: str, work: float) -> Timed:
        def make() -> Callable[[], Any]:
            self.at[name].append(self.seconds)
            return lambda: self.pause(work)

        return Timed(name, "float32", (1,), "cpu", make, 2, self.now)

    def yardsticks(self) -> tuple[Callable[[], None], ...]:
        return lambda: self.pause(4e-5), lambda: self.pause(3e-5)

    def pause(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> float:
        return self.seconds


def test_sessions_of_all_cases_are_spread_over_one_span(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Stepping()
    monkeypatch.setattr(timed_sessions, "yardsticks", clock.yardsticks)
    cases = [clock.case("a", 2e-5), clock.case("b", 1e-3)]
    found = sessions(cases, 40.0, clock.now, clock.pause)
    assert [len(one.seconds) for one in found] == [SESSIONS, SESSIONS]
    for one, work in zip(found, (2e-5, 1e-3), strict=True):
        assert one.seconds == pytest.approx([work / 2] * SESSIONS), "a call is of two launches"
        assert np.array(one.yards) == pytest.approx(np.array([[4e-5, 3e-5]] * SESSIONS))
        assert one.stick == STICK
    for starts in clock.at.values():
        gaps = np.diff(starts)
        assert starts[-1] > 39.0 and gaps.max() < 1.5 * gaps.min()


def test_sessions_end_with_their_span_but_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Stepping()
    monkeypatch.setattr(timed_sessions, "yardsticks", clock.yardsticks)
    (slow,) = sessions([clock.case("a", 0.1)], 20.0, clock.now, clock.pause)
    assert timed_sessions.FEW < len(slow.seconds) < SESSIONS and 20 <= clock.seconds < 22
    (slower,) = sessions([clock.case("a", 10.0)], 20.0, clock.now, clock.pause)
    assert len(slower.seconds) == timed_sessions.FEW


def test_the_yardstick_is_worked_through() -> None:
    whole, half = (
        min(timed(lambda n=n: timed_sessions.chain(n, 0.5)) for _ in range(20))
        for n in (60_000, 30_000)
    )
    assert whole == pytest.approx(2 * half, rel=0.3)
    assert 0 < timed_sessions.chain(10_000, 0.9) == timed_sessions.chain(10_000, 0.1) < 1


def timed(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def test_a_slowdown_since_yesterday_is_never_faster() -> None:
    old = report_with(run_of(0, spread=0.005))
    for slowdown, word in ((1.05, "undecided"), (1.3, "slower")):
        found = Counter(
            against.against([run_of(seed, slowdown, spread=0.005)], old, "here")[0][0].verdict.word
            for seed in range(1, 41)
        )
        assert found == {word: 40}, found


def test_another_machine_is_held_against_by_seconds() -> None:
    old = report_with(run_of(0), "another processor")
    (one,), notes = against.against([run_of(1, machine=0.5)], old, "here")
    assert one.verdict.word == "faster" and one.note == "another machine"
    assert "on another processor, another processor" in notes[0]


def test_cases_of_one_run_alone_are_counted() -> None:
    other = replace(run_of(1), kernel="add")
    found, notes = against.against([other], report_with(run_of(0)), "here", label="old.json")
    assert found == [] and notes == ["old.json: 1 cases of this run are not in it"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected what --json wrote, got: "),
        ("[1]", "expected what --json wrote, got other JSON"),
        (json.dumps({"rows": []}), "it has no sessions of times; write it anew, with --json"),
        (
            json.dumps({"rows": [], "sessions": [{"yard": [1.0]}]}),
            "beside one yardstick, as earlier",
        ),
    ],
)
def test_files_that_are_no_run_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        against.read(path)


# ---------------------------------------------------------------- what else the machine did
def test_a_quiet_machine_is_called_quiet() -> None:
    before = conditions.reading_of("cpu  0 0 0 0 0 0 0 0", 0.0, 2_000.0)
    after = conditions.reading_of("cpu  100 0 0 900 0 0 0 0", 1.0, 2_000.0)
    found = conditions.between(before, after, ticks=100)
    assert found.quiet and found.said == [
        "the machine was quiet: no stolen time, no other process, a steady clock"
    ]


def test_clocks_of_a_gpu_that_change_are_said() -> None:
    readings = [
        conditions.Reading(1.0, 1.0, 0.0, 0.0, None, conditions.numbers_of(f"{mhz}, 2619, 60, 9"))
        for mhz in (1980, 1400)
    ]
    found = conditions.between(*readings, ticks=100)
    assert "the GPU's clocks.sm went from 1,980 to 1,400 MHz" in found.said


def test_a_system_that_tells_nothing_is_not_called_quiet() -> None:
    found = conditions.between(conditions.Reading(), conditions.Reading())
    assert found.said == ["this system does not tell what else it did meanwhile"]


def test_this_machine_is_read() -> None:
    with conditions.Watch() as watch:
        sum(range(200_000))
    found = watch.conditions.as_json()
    assert set(found) == {"stolen", "others", "clock_mhz", "load", "gpu", "quiet"}
    assert watch.conditions.said

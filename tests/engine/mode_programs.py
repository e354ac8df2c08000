"""Programs of nested grad modes, run alike over minigrad and over PyTorch.

A program is drawn from a number.  Its outcome is the list of what `is_grad_enabled` says at each
probe, inside and outside of whatever the program has nested.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from random import Random
from typing import Any

COUNT = 600
USES = (
    "with", "function", "bare", "method", "class", "generator", "closed", "thrown", "abandoned",
    "returned", "recursive", "raises", "statement", "again", "shared", "after",
)  # fmt: skip


class Fault(Exception):
    """What programs raise and catch."""


def draw(random: Random, depth: int) -> list[Any]:
    """Return the blocks of a program: (use, mode, blocks inside)."""
    blocks: list[Any] = []
    for _ in range(1 + int(random.random() * 2)):
        use = USES[int(random.random() * len(USES))]
        mode = int(random.random() * 4)
        inside = draw(random, depth - 1) if depth else []
        blocks.append((use, mode, inside))
    return blocks


def outcome(library: Any, seed: int) -> str:
    """Return what each probe of a program saw, as a text of 0 and 1, and how it left the thread."""
    trace: list[str] = []
    _ = library.set_grad_enabled(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(library, draw(Random(seed), 2), trace)
    trace.append(str(int(library.is_grad_enabled())))
    _ = library.set_grad_enabled(True)
    return "".join(trace)


def run(library: Any, blocks: list[Any], trace: list[str]) -> None:
    for use, kind, inside in blocks:
        Block(library, kind, inside, trace).run(use)


class Block:
    """One use of one mode, with other blocks inside it."""

    def __init__(self, library: Any, kind: int, inside: list[Any], trace: list[str]) -> None:
        self.library = library
        self.kind = kind
        self.inside = inside
        self.trace = trace

    def make(self) -> Any:
        """Return a new context of the mode."""
        if self.kind == 0:
            return self.library.no_grad()
        if self.kind == 1:
            return self.library.enable_grad()
        return self.library.set_grad_enabled(self.kind == 3)

    def bare(self) -> Any:
        """Return what decorates without parentheses, where the mode has that."""
        return (self.library.no_grad, self.library.enable_grad)[self.kind % 2]

    def probe(self) -> None:
        self.trace.append(str(int(self.library.is_grad_enabled())))

    def body(self) -> None:
        self.probe()
        run(self.library, self.inside, self.trace)
        self.probe()

    def steps(self) -> Iterator[int]:
        """Probe, go on inside, and probe whatever is sent, thrown or closed."""
        self.body()
        try:
            got = yield 1
            self.trace.append("s" if got else "n")
            self.body()
            yield 2
        except Fault:
            self.body()
            yield 3
        finally:
            self.probe()
        self.probe()
        return 4

    def run(self, use: str) -> None:
        """Use the mode one way, with a probe before and behind."""
        self.probe()
        getattr(self, f"use_{use}")()
        self.probe()

    def use_with(self) -> None:
        with self.make():
            self.body()

    def use_function(self) -> None:
        decorated = self.make()(self.body)
        self.probe()
        decorated()
        self.probe()
        decorated()

    def use_bare(self) -> None:
        self.bare()(self.body)()

    def use_method(self) -> None:
        block = self

        class Owner:
            @block.make()
            def method(self) -> None:
                block.body()

            @classmethod
            @block.make()
            def of_class(cls) -> None:
                block.body()

        Owner().method()
        self.probe()
        Owner.of_class()

    def use_class(self) -> None:
        block = self

        class Owner:
            def __init__(self) -> None:
                block.body()

            def method(self) -> None:
                block.probe()

        made = self.make()(Owner)()
        self.probe()
        made.method()

    def use_generator(self) -> None:
        stepping = self.make()(self.steps)()
        self.probe()
        for _ in stepping:
            self.probe()

    def use_returned(self) -> None:
        stepping = self.make()(self.steps)()
        next(stepping)
        self.probe()
        stepping.send(5)
        try:
            next(stepping)
        except StopIteration as end:
            self.trace.append(str(end.value))

    def use_closed(self) -> None:
        stepping = self.make()(self.steps)()
        next(stepping)
        self.probe()
        stepping.close()

    def use_thrown(self) -> None:
        stepping = self.make()(self.steps)()
        next(stepping)
        stepping.throw(Fault())
        self.probe()
        try:
            stepping.throw(KeyError())
        except KeyError:
            self.trace.append("k")

    def use_abandoned(self) -> None:
        def steps() -> Iterator[int]:
            with self.make():
                self.body()
                yield 1
                self.probe()

        stepping = steps()
        next(stepping)  # as in PyTorch, the mode reaches the consumer
        self.probe()
        del stepping

    def use_recursive(self) -> None:
        def descend(depth: int) -> None:
            self.probe()
            if depth:
                decorated(depth - 1)
            else:
                self.body()
            self.probe()

        decorated = self.make()(descend)
        decorated(2)

    def use_raises(self) -> None:
        def fails() -> None:
            self.body()
            raise Fault

        for attempt in (self.make()(fails), self.within(fails)):
            try:
                attempt()
            except Fault:
                self.probe()

    def within(self, function: Any) -> Any:
        def inner() -> None:
            with self.make():
                function()

        return inner

    def use_statement(self) -> None:
        _ = self.library.set_grad_enabled(self.kind % 2 == 0)
        self.body()

    def use_again(self) -> None:
        context = self.make()
        self.probe()  # set_grad_enabled has switched already
        for _ in range(2):
            with context:
                self.body()
            self.probe()

    def use_shared(self) -> None:
        context = self.make()
        with context:
            decorated = context(self.body)  # a decorator makes a context of its own for each call
            self.probe()
            decorated()
            self.probe()

    def use_after(self) -> None:
        first, second = self.make(), self.library.no_grad()
        first.__enter__()
        second.__enter__()
        self.body()
        first.__exit__(None, None, None)  # not in the order of entry
        self.probe()
        second.__exit__(None, None, None)

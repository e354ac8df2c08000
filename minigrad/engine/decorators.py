"""Functions, generators and coroutines whose bodies run inside a context, for decorators.

Beside the heart: `Switch.__call__` asks `within` for what it decorates.
"""

from __future__ import annotations

import functools
import inspect
import types
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any


def within(name: str, make: Callable[[], Any], function: Any) -> Any:
    """Return a function, generator function or coroutine function whose body runs in a context.

    A generator's body does while it runs, and what consumes it does not; so a coroutine's between
    its waits.

    name: of the decorator, for errors.  make: returns a new context for one call.
    Raises: TypeError for what cannot be called.
    """
    if inspect.isclass(function):
        warnings.warn(
            f"{name} on a class gives a function that makes its instances: "
            "decorate __init__, or the methods that are meant",
            FutureWarning,
            stacklevel=3,
        )
        return call_within(make, lambda *a, **k: function(*a, **k))
    if not callable(function):
        raise TypeError(
            f"{name}: expected a function to decorate, got {type(function).__name__}: "
            f"{function!r:.60}"
        )
    if inspect.isgeneratorfunction(function):
        return generate_within(make, function)
    if inspect.iscoroutinefunction(function):
        return await_within(make, function)
    if inspect.isasyncgenfunction(function):
        return generate_async_within(make, function)
    return call_within(make, function)


def call_within(make: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with each call inside a new context."""

    @functools.wraps(function)
    def within(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return within


def resume(make: Callable[[], Any], step: Callable[..., Any], *args: Any) -> Any:
    """Run a suspended body on to its next stop inside a new context."""
    with make():
        return step(*args)


def drive(make: Callable[[], Any], body: Any) -> Generator[Any, Any, Any]:
    """Yield what a generator or coroutine yields, with each stretch of it inside a context."""
    step: Callable[..., Any] = body.send
    args: tuple[Any, ...] = (None,)
    while True:
        try:
            value = resume(make, step, *args)
        except StopIteration as end:
            return end.value
        try:
            step, args = body.send, ((yield value),)
        except GeneratorExit:
            resume(make, body.close)
            raise
        except BaseException as error:
            step, args = body.throw, (error,)


def generate_within(make: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return a generator function whose body runs inside a context, its consumer not."""

    @functools.wraps(function)
    def within(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(make, function(*args, **kwargs)))

    return within


def await_within(make: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return a coroutine function whose body runs inside a context, other tasks not."""

    @types.coroutine
    def steps(body: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(make, body))

    @functools.wraps(function)
    async def within(*args: Any, **kwargs: Any) -> Any:
        return await steps(function(*args, **kwargs))

    return within


def generate_async_within(make: Callable[[], Any], function: Callable[..., Any]) -> Any:
    """Return an async generator function whose body runs inside a context, its consumer not."""

    @types.coroutine
    def steps(awaitable: Any) -> Generator[Any, Any, Any]:
        return (yield from drive(make, awaitable.__await__()))

    @functools.wraps(function)
    async def within(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        step, sent = body.asend, None
        try:
            while True:
                try:
                    value = await steps(step(sent))
                except StopAsyncIteration:
                    return
                try:
                    step, sent = body.asend, (yield value)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step, sent = body.athrow, error
        finally:
            await steps(body.aclose())

    return within

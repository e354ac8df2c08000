"""Modules that are a function of nn.functional with options: the class states them, once."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from minigrad.engine.errors import ArgumentTypeError
from minigrad.nn import functional
from minigrad.nn.module import Module

REQUIRED = inspect.Parameter.empty


class Configured(Module):
    """y = function(x, **options).

    function: its name in nn.functional.
    options: the constructor's arguments in their order, with their defaults, or REQUIRED.
    shown: those that the repr shows, as `name=value`.  silent: those the function does not take.
    """

    function: ClassVar[str] = ""
    options: ClassVar[dict[str, Any]] = {}
    shown: ClassVar[tuple[str, ...]] = ()
    silent: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        made = [inspect.Parameter(name, kind, default=d) for name, d in cls.options.items()]
        if "__init__" not in vars(cls):
            cls.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        for name, value in self.given(args, kwargs).items():
            setattr(self, name, value)
        self.check()

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the options by name; a TypeError says which are missing or not known."""
        name, known = self._get_name(), self.options
        unknown = [n for n in kwargs if n not in known]
        found = dict(zip(known, args, strict=False))
        twice = [n for n in kwargs if n in found]
        if unknown or twice or len(args) > len(known):
            raise ArgumentTypeError(
                f"{name}: expected {', '.join(known) or 'no arguments'}, got {len(args)} arguments"
                + "".join(f", {n}=" for n in kwargs)
            )
        found = {**known, **found, **kwargs}
        missing = [n for n, value in found.items() if value is REQUIRED]
        if missing:
            raise ArgumentTypeError(f"{name}: missing {', '.join(missing)}")
        return found

    def check(self) -> None:
        """Refuse options that make no sense."""

    def called_with(self) -> dict[str, Any]:
        """Return the options that the function takes."""
        return {n: getattr(self, n) for n in self.options if n not in self.silent}

    def forward(self, *args: Any) -> Any:
        return getattr(functional, self.function)(*args, **self.called_with())

    def extra_repr(self) -> str:
        text = ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)
        if getattr(self, "inplace", False):
            text += ", inplace=True" if text else "inplace=True"
        return text

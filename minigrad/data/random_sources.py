"""The random numbers that a fit may draw: found, noted, and set back to what was noted.

These are the streams of minigrad, the generators of NumPy and Python that a fit's objects, their
classes and the modules of their methods hold, and the global ones of both.
"""

from __future__ import annotations

import itertools
import random as python_random
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from minigrad.engine import random
from minigrad.engine.random import Generator, _Global
from minigrad.tensors.tensor import Tensor

MOST = 20_000  # objects that are looked at
LONGEST = 1_000  # of a list or dict that is looked into: longer ones are data
PLAIN = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, Tensor, np.ndarray)
FOREIGN = (np.random.Generator, np.random.RandomState, python_random.Random)
MACHINERY = ("numba", "minigrad_kernels", "minigrad.capturing", "minigrad.engine.op", "inspect")
OURS = {"minigrad", "minigrad_kernels", "minigrad_cudasim"}
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
NUMPY, PYTHON, DEFAULT = "numpy.random", "random", "the default generator"


def sources_of(roots: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that draws random numbers below some objects, by the way that leads to it.

    >>> import minigrad as mg
    >>> list(sources_of({"model": mg.nn.Sequential(mg.nn.Dropout())}))
    ['model.0.generator']
    """
    return {path: value for path, value in reached(roots) if is_source(value)}


def is_source(value: Any) -> bool:
    """Return whether an object draws random numbers, and is not the default generator."""
    return isinstance(value, (Generator, *FOREIGN)) and value is not random.default


def reached(roots: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all objects below some objects, once each, by the way that leads to them; what is near
    comes first, whatever lies behind the rest.

    >>> [path for path, _ in reached({"model": [partial(max, [1])]})]
    ['model', 'model.0', 'model.0.func', 'model.0.args', 'model.0.keywords', 'model.0.args.0']
    """
    seen: set[int] = set()
    waiting: deque[tuple[str, Any]] = deque(roots.items())
    while waiting and len(seen) < MOST:
        path, value = waiting.popleft()
        if isinstance(value, PLAIN) or id(value) in seen or is_machinery(value):
            continue
        seen.add(id(value))
        yield path, value
        if not isinstance(value, (Generator, *FOREIGN)):
            waiting += [(f"{path}.{name}", part) for name, part in parts(value)]


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object holds, by name; and what draws random numbers for its methods."""
    if isinstance(value, Mapping):
        if len(value) <= LONGEST:
            yield from ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        if len(value) <= LONGEST:
            yield from ((str(i), part) for i, part in enumerate(value))
    elif isinstance(value, partial):
        yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))
    elif isinstance(value, MethodType):
        yield "self", value.__self__
        if is_own_function(value.__func__):
            yield "func", value.__func__
    elif isinstance(value, FunctionType):
        yield from of_function(value)
    elif not isinstance(value, BuiltinFunctionType):
        yield from attributes(value)
        yield from of_class(type(value))


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield an object's own attributes by name, in `__slots__` too.

    >>> dict(attributes(partial(max)))
    {}
    """
    own = getattr(value, "__dict__", None)
    if isinstance(own, dict):
        yield from own.items()
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name, getattr(value, name)


def of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function has of its own, and what draws for it in its module."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue
    yield "defaults", function.__defaults__
    if is_own(function.__module__):
        yield from drawn_from(function.__code__, function.__globals__)


def of_class(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield what draws random numbers for a class's methods: generators that it holds, and the
    functions that may draw from their module's.  Of libraries nothing: they hold none.
    """
    for base in kind.__mro__:
        if not is_own(base.__module__):
            continue
        for name, value in vars(base).items():
            inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            if is_source(inner) or is_own_function(inner):
                yield f"{base.__name__}.{name}", inner


def drawn_from(code: CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the generators and functions of a module that code names, or that it names in modules
    which it names.  names: the module's.
    """
    for name in code.co_names:
        value = names.get(name)
        inside: Iterator[tuple[str, Any]] = iter([(name, value)])
        if isinstance(value, ModuleType) and is_own(value.__name__):
            inside = ((f"{name}.{part}", vars(value).get(part)) for part in code.co_names)
        yield from ((n, v) for n, v in inside if is_source(v) or is_own_function(v))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # a function or an expression in it
            yield from drawn_from(constant, names)


def is_machinery(value: Any) -> bool:
    """Return whether an object is of what computes: it holds much, and nothing that draws."""
    return type(value).__module__.startswith(MACHINERY)


def is_own_function(value: Any) -> bool:
    """Return whether a value is a function of a program's own."""
    return isinstance(value, FunctionType) and is_own(value.__module__)


def is_own(name: str | None) -> bool:
    """Return whether the module of a name is a program's own, not a library's.

    >>> is_own("numpy.random"), is_own("builtins"), is_own("__main__")
    (False, False, True)
    """
    module = sys.modules.get(str(name))
    if name == "__main__" or module is None:
        return True
    file = getattr(module, "__file__", None)
    installed = file is None or str(file).startswith(INSTALLED)
    return not installed and str(name).partition(".")[0] not in OURS


class Sources:
    """What draws random numbers in a fit: its objects' generators, all other live streams of
    minigrad, and the global generators of NumPy and Python.

    roots: the fit's objects by name.

    >>> noted = Sources({}).state_dict()
    >>> first = python_random.random(), np.random.random(), random.default.uniform((1,)).item()
    >>> Sources({}).load_state_dict(noted)
    >>> first == (python_random.random(), np.random.random(), random.default.uniform((1,)).item())
    True
    """

    def __init__(self, roots: Mapping[str, Any]) -> None:
        objects = list(reached(roots))
        self.found = {path: value for path, value in objects if is_source(value)}
        self._loaders = [x for _, x in objects if hasattr(type(x), "drawn_ahead")]

    def ahead(self) -> dict[int, dict[str, Any]]:
        """Return where generators stood, by their ids, that a loader now draws from for batches
        which nobody has been given yet.
        """
        return {key: state for loader in self._loaders for key, state in loader.drawn_ahead.items()}

    def everything(self) -> dict[str, Any]:
        """Return what draws, by name."""
        return {
            DEFAULT: random.default,
            NUMPY: np.random.mtrand._rand,
            PYTHON: python_random._inst,
            **self.found,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return where all stand."""
        with _Global.lock:
            number = next(_Global.numbers)
            _Global.numbers = itertools.count(number)
            others = {s: calls for s, (_, calls) in self._others().items()}
            ahead = self.ahead()
            own = {
                name: ahead.get(id(source)) or state_of(source)
                for name, source in self.everything().items()
            }
            return {"seed": _Global.seed, "number": number, "own": own, "others": others}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set all back to what was noted; a stream that was not there then is left alone, and one
        that a loader draws from ahead: the batches to come are made of its numbers.

        Raises: ValueError, before anything is changed, where one of the fit's objects had a
            generator that it has not now, or one of another kind.
        """
        here = self.everything()
        wrong = self.differences(state)
        if wrong:
            raise ValueError("; ".join(wrong))
        with _Global.lock:
            _Global.seed = state["seed"]
            _Global.numbers = itertools.count(state["number"])
            others = self._others()
            for stream, calls in state["others"].items():
                if stream in others:
                    others[stream][0].calls = calls
            ahead = self.ahead()
            for name, noted in state["own"].items():
                if id(here[name]) not in ahead:
                    set_state(here[name], noted)

    def differences(self, state: Mapping[str, Any]) -> list[str]:
        """Return which generators of the fit's objects are not those that were noted."""
        here, noted = self.everything(), state["own"]
        wrong = [f"the random generator {name} is not there now" for name in noted.keys() - here]
        for name in sorted(here.keys() & noted):
            kind = type(here[name]).__name__
            if kind != noted[name]["kind"]:
                wrong.append(f"the random generator {name} was a {noted[name]['kind']}, not {kind}")
        more = here.keys() - noted.keys()
        wrong += [f"the random generator {name} was not there" for name in sorted(more)]
        return wrong

    def _others(self) -> dict[int, tuple[Generator, int]]:
        """Return the streams that no object of the fit holds, by number, with their counts."""
        own = {id(source) for source in self.found.values()} | {id(random.default)}
        return {
            stream.stream: (stream, stream.calls)
            for stream in list(_Global.streams)
            if id(stream) not in own and stream._seed is None
        }


def state_of(source: Any) -> dict[str, Any]:
    """Return where a generator stands, of what a file holds.

    >>> source = np.random.default_rng(1)
    >>> noted, first = state_of(source), source.random()
    >>> set_state(source, noted)
    >>> first == source.random()
    True
    """
    kind = {"kind": type(source).__name__}
    if isinstance(source, Generator):
        return {**kind, **source.state_dict()}
    if isinstance(source, np.random.Generator):
        return {**kind, "state": plain(source.bit_generator.state)}
    if isinstance(source, np.random.RandomState):
        return {**kind, "state": plain(source.get_state(legacy=False))}
    version, words, gauss = source.getstate()
    return {**kind, "version": version, "words": np.array(words, np.int64), "gauss": gauss}


def set_state(source: Any, state: Mapping[str, Any]) -> None:
    """Set a generator back to what `state_of` has noted."""
    if isinstance(source, Generator):
        source.load_state_dict({k: v for k, v in state.items() if k != "kind"})
    elif isinstance(source, np.random.Generator):
        source.bit_generator.state = unplain(state["state"])
    elif isinstance(source, np.random.RandomState):
        source.set_state(unplain(state["state"]))
    else:
        words = tuple(state["words"].tolist())
        source.setstate((state["version"], words, state["gauss"]))


def plain(value: Any) -> Any:
    """Return the state of a generator of NumPy with arrays of a kind that files hold."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value.astype(np.int64) if isinstance(value, np.ndarray) else value


def unplain(value: Any) -> Any:
    """Return such a state as NumPy takes it."""
    if isinstance(value, dict):
        return {name: unplain(part) for name, part in value.items()}
    return value.astype(np.uint64) if isinstance(value, np.ndarray) else value

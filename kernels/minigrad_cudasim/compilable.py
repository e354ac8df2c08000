"""What Numba would not compile for a GPU, though Python runs it: found in the kernel's source."""

from __future__ import annotations

import ast
import builtins
import sys
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minigrad_cudasim.fault import CompileFault, Fault, Party, Site
from minigrad_cudasim.models import MODELS
from minigrad_cudasim.syntax import definition_of

try:
    from numba.cuda.ufuncs import get_ufunc_info
except ImportError:  # a Numba without its CUDA target
    get_ufunc_info = None

WHAT = {
    ast.Dict: "a dict",
    ast.Set: "a set",
    ast.DictComp: "a dict comprehension",
    ast.SetComp: "a set comprehension",
    ast.ListComp: "a list comprehension",
    ast.GeneratorExp: "a generator",
    ast.List: "a list",
    ast.Try: "try",
    ast.With: "with",
    ast.JoinedStr: "an f-string",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.Await: "await",
    ast.ClassDef: "a class",
    ast.Nonlocal: "nonlocal",
    ast.Import: "import",
    ast.ImportFrom: "import",
}
MADE = "a kernel makes no arrays: cuda.local.array, cuda.shared.array, or one that it is given"
WRITTEN_OUT = "write a loop"
# Of NumPy and Python's own: what was compiled by numba-cuda 0.30.4 for this list, and refused.
MAKERS = (
    "arange argsort array ascontiguousarray concatenate copy cumprod cumsum empty empty_like "
    "expand_dims eye full full_like hstack identity linspace ones ones_like ravel reshape sort "
    "stack swapaxes transpose vstack zeros zeros_like"
)
LOOPS = "clip cross dot inner outer round unravel_index vdot"
MATHS = (
    "acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh degrees erf erfc exp exp2 expm1 "
    "fabs floor fmod frexp gamma hypot isfinite isinf isnan ldexp lgamma log log10 log1p log2 modf "
    "nextafter pow radians remainder sin sinh sqrt tan tanh trunc"
)  # that there are
PLAIN = {all, any, dict, hash, input, list, open, set, sorted, str}
OTHERS = {
    **{getattr(np, name): MADE for name in MAKERS.split()},
    **{getattr(np, name): WRITTEN_OUT for name in LOOPS.split()},
}
DEEPEST = 20  # names that a shape may be traced through
LAUNCHED = ("cuda.blockDim", "cuda.gridDim", "cuda.threadIdx", "cuda.blockIdx")
SEEN: WeakKeyDictionary[FunctionType, dict[Any, Fault | None]] = WeakKeyDictionary()


def refusals(function: FunctionType, jitted: bool = False) -> Fault | None:
    """Return the fault of a kernel that Numba would refuse, None where nothing is found.

    A kernel whose source cannot be read is not looked at, nor are its device functions where theirs
    cannot.

    jitted: whether the kernel is Numba's already, so that what it calls must be, too.
    """
    seen = SEEN.setdefault(function, {})
    key = jitted, may_allocate()
    if key not in seen:
        seen[key] = looked_at(function, jitted)
    return seen[key]


def may_allocate() -> bool:
    """Tell whether kernels of numba-cuda may make arrays: with its runtime, CUDA_ENABLE_NRT."""
    config = getattr(sys.modules.get("numba.cuda"), "config", None)
    return bool(getattr(config, "CUDA_ENABLE_NRT", False))


def looked_at(kernel: FunctionType, jitted: bool) -> Fault | None:
    """Return the first thing that Numba refuses in the source of a kernel and all that it calls."""
    waiting, looked = [kernel], {kernel}
    while waiting:
        function = waiting.pop()
        definition = definition_of(function)
        if definition is None:
            continue
        finder = Finder(definition, function, function is kernel, jitted or function is not kernel)
        for statement in definition.body:
            finder.visit(statement)
        if finder.found is not None:
            node, text, hint = finder.found
            line = getattr(node, "lineno", 1) + function.__code__.co_firstlineno - 1
            party = Party("compile", (0, 0, 0), (0, 0, 0), site_on(function, line))
            return CompileFault("compile", text, (party,), hint)
        waiting += [callee for callee in finder.callees if callee not in looked]
        looked.update(finder.callees)
    return None


def site_on(function: FunctionType, line: int) -> Site:
    """Return the first instruction of a line."""
    for start, _, at in function.__code__.co_lines():
        if at == line:
            return Site(function.__code__, start)
    return Site(function.__code__, 0)


class Finder(ast.NodeVisitor):
    """Looks for what has no meaning on a GPU, and for shapes that are no constants.

    kernel: whether the function is one, which returns nothing.  jitted: whether it is Numba's.
    callees: the device functions that it calls.
    """

    def __init__(
        self, definition: ast.FunctionDef, function: FunctionType, kernel: bool, jitted: bool
    ):
        self.function = function
        self.kernel = kernel
        self.jitted = jitted
        self.callees: list[FunctionType] = []
        self.found: tuple[ast.AST, str, str] | None = None
        self.arguments = {a.arg for a in definition.args.args}
        self.assigned: dict[str, list[ast.expr | None]] = {}
        self.tuples: set[ast.AST] = set()  # what Python makes tuples of where they are lists
        for node in ast.walk(definition):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self.assign(target, node.value)
            elif isinstance(node, ast.AugAssign | ast.For | ast.NamedExpr):
                self.assign(node.target, None)
            if isinstance(node, ast.For):
                self.tuples.add(node.iter)
            elif isinstance(node, ast.Compare):
                sides = zip(node.ops, node.comparators, strict=True)
                self.tuples.update(b for op, b in sides if isinstance(op, ast.In | ast.NotIn))

    def assign(self, target: ast.expr, value: ast.expr | None) -> None:
        """Note what a name is given."""
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List):
            for item in target.elts:
                self.assign(item, None)

    def refuse(self, node: ast.AST, text: str, hint: str = "") -> None:
        """Keep the first thing found."""
        if self.found is None:
            self.found = (node, text, hint)

    def generic_visit(self, node: ast.AST) -> None:
        """Refuse a node that Numba has no code for, or go into it."""
        what = WHAT.get(type(node))
        target = isinstance(node, ast.List) and isinstance(node.ctx, ast.Store)
        listed = isinstance(node, ast.List) and node in self.tuples
        if what is not None and not target and not listed:
            self.refuse(node, f"Numba compiles no code for a GPU of: {what}")
        super().generic_visit(node)

    def skip(self, node: ast.AST) -> None:
        """Leave out what is another function's, or the text of an error."""

    visit_FunctionDef = visit_Lambda = visit_Assert = visit_Raise = skip

    def visit_Return(self, node: ast.Return) -> None:
        """Refuse a kernel that returns a value."""
        value = node.value
        if not self.kernel:
            self.generic_visit(node)
        elif value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            hint = "write the result into an array that the kernel is given"
            self.refuse(node, "a kernel returns a value, which Numba refuses", hint)

    def visit_Call(self, node: ast.Call) -> None:
        """Refuse arrays of shared and local memory whose shapes are no constants."""
        name = dotted(node.func)
        if name.endswith(("shared.array", "local.array")):
            shape = node.args[0] if node.args else None
            shape = next((k.value for k in node.keywords if k.arg == "shape"), shape)
            if shape is not None and not self.constant(shape):
                text = f"the shape {ast.unparse(shape)} of {name} is no constant"
                hint = (
                    "Numba takes literals, globals and what a closure holds; for a size known at "
                    "the launch alone, cuda.shared.array(0, dtype) and the launch's fourth number"
                )
                self.refuse(node, text, hint)
            for child in [*node.args[1:], *(k.value for k in node.keywords if k.arg != "shape")]:
                self.visit(child)
            return
        called = self.called(name)
        instead = None if called is None else lacking(called)
        if instead is not None:
            self.refuse(node, f"Numba compiles no code for a GPU of: {name}", instead)
        if isinstance(called, FunctionType):
            if self.jitted and untyped(called):
                text = f"{name} is a function of Python alone, which a jitted one cannot call"
                self.refuse(node, text, "decorate it: @cuda.jit(device=True)")
        elif isinstance(device := getattr(called, "py_func", None), FunctionType) and own(device):
            self.callees.append(device)
        self.generic_visit(node)

    def called(self, name: str) -> Any:
        """Return what a kernel calls by a name of its module or closure, None for another."""
        root, *rest = name.split(".")
        if root in self.arguments or root in self.assigned:
            return None
        code = self.function.__code__
        if root in code.co_freevars:
            cell = (self.function.__closure__ or ())[code.co_freevars.index(root)]
            try:
                found = cell.cell_contents
            except ValueError:  # not bound yet
                return None
        else:
            found = self.function.__globals__.get(root, vars(builtins).get(root))
        for attribute in rest:
            found = getattr(found, attribute, None)
        return found

    def constant(self, node: ast.expr, depth: int = 0) -> bool:
        """Tell whether Numba knows an expression's value when it compiles."""
        if isinstance(node, ast.Name):
            if node.id in self.arguments:
                return False
            values = self.assigned.get(node.id)
            if values is None:
                return True
            value = values[0] if len(values) == 1 else None
            return value is not None and depth < DEEPEST and self.constant(value, depth + 1)
        if isinstance(node, ast.Tuple | ast.List):
            return all(self.constant(item, depth) for item in node.elts)
        if isinstance(node, ast.BinOp):
            return self.constant(node.left, depth) and self.constant(node.right, depth)
        if isinstance(node, ast.UnaryOp):
            return self.constant(node.operand, depth)
        if isinstance(node, ast.Attribute):
            return not dotted(node).startswith(LAUNCHED) and self.constant(node.value, depth)
        if isinstance(node, ast.Call):
            return bool(node.args) and all(self.constant(item, depth) for item in node.args)
        return isinstance(node, ast.Constant | ast.Subscript)


def own(function: FunctionType) -> bool:
    """Tell whether a function is a program's own, not Numba's or NumPy's."""
    return (function.__module__ or "").partition(".")[0] not in ("numba", "numpy", "numba_cuda")


def untyped(function: FunctionType) -> bool:
    """Tell whether Numba has no code for a function of Python: not its own, nor told of."""
    if not own(function) or id(function) in MODELS:
        return False
    for name in ("numba.core.typing.templates", "numba.cuda.typing.templates"):
        registry = getattr(sys.modules.get(name), "builtin_registry", None)
        if any(known is function for known, _ in getattr(registry, "globals", ())):
            return False  # @overload, @register_jitable
    return True


def lacking(called: Any) -> str | None:
    """Return what to write in place of a function that Numba has no code for, None of others.

    >>> lacking(np.sqrt), lacking(np.sin)
    ('math.sqrt', None)
    """
    if isinstance(called, np.ufunc):
        if get_ufunc_info is None:
            return None
        try:
            get_ufunc_info(called)
        except KeyError:
            name = called.__name__
            return f"math.{name}" if name in MATHS.split() else "an operator, abs() or math's own"
        return None
    owner = type(getattr(called, "__self__", None))
    module = getattr(called, "__module__", None) or owner.__module__
    if module in ("random", "numpy.random", "numpy.random.mtrand"):
        return "numba.cuda.random, e.g. xoroshiro128p_uniform_float32"
    if module == "numpy.linalg" or (module == "math" and called.__name__ not in MATHS.split()):
        return WRITTEN_OUT
    try:
        if called in PLAIN:
            return WRITTEN_OUT
        found = OTHERS.get(called)
        return None if found == MADE and may_allocate() else found
    except TypeError:  # not hashable
        return None


def dotted(node: ast.expr) -> str:
    """Return a name with its attributes, "" for another expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""

"""Run the source of a kernel for all threads of some blocks at once.

Each statement is done for the lanes of a mask.  A branch narrows the mask, a loop goes on while
lanes are left, and a name that is given a value keeps the old one on the other lanes.  Between two
barriers threads do not depend on each other unless they race, and a race ends the attempt (see
`minigrad_cudasim.lanes.memory`), so that it does not matter in which order they run.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from minigrad_cudasim.lanes.blocks import Blocks
from minigrad_cudasim.lanes.calls import apply, truncated
from minigrad_cudasim.lanes.memory import LaneArray, LaneRecords, Row
from minigrad_cudasim.lanes.values import (
    Lanes,
    Mask,
    Mixed,
    Unsupported,
    binary,
    bounds,
    compared,
    kind_of,
    merged,
    parts_of,
    raised,
    spread,
    truth,
    unary,
)
from minigrad_cudasim.numbers import BUILTINS, power, whole_range, wrapped
from minigrad_cudasim.syntax import PARSED, definition_of, same_as_source
from minigrad_cudasim.typed.rules import ORDER, Operator, Right

DEEPEST = 50  # functions that call each other
LONGEST = 100_000  # turns of a loop whose lanes end at different times

DEAD: Any = np.zeros(0, np.bool_)  # the mask of no lanes


def source_of(function: FunctionType) -> ast.FunctionDef:
    """Return the syntax of a function.

    Raises: Unsupported where its source is not to be had, or is another's.
    """
    code = function.__code__
    if code not in PARSED:
        definition = definition_of(function)
        if definition is None or not same_as_source(function, definition):
            raise Unsupported(f"the source of {code.co_name} is not to be read")
        PARSED[code] = definition
    return PARSED[code]


class Element(NamedTuple):
    """An element of an array, or a view of it, that a loop is to come to."""

    array: LaneArray
    number: int


class Frame:
    """One call of a function: its names, and what its lanes return."""

    def __init__(self, function: FunctionType):
        self.function = function
        self.space = function.__globals__
        code = function.__code__
        self.local = {*code.co_varnames, *code.co_cellvars}
        self.closure = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        self.names: dict[str, tuple[Any, Mask]] = {}  # each with the lanes that have it
        self.returned: list[tuple[Mask, Any]] = []
        self.loops: list[tuple[list[Mask], list[Mask]]] = []  # who broke off, who went on


class Program:
    """Runs functions for the lanes of some blocks."""

    def __init__(self, blocks: Blocks):
        self.blocks = blocks
        self.count = blocks.count
        self.frame: Frame
        self.depth = 0
        self.statements: dict[type, Callable[[Any, Mask], Mask]] = {
            ast.Assign: self.assign,
            ast.AnnAssign: self.annotated,
            ast.AugAssign: self.augmented,
            ast.Expr: self.expression,
            ast.If: self.branch,
            ast.For: self.counted,
            ast.While: self.loop,
            ast.Return: self.give,
            ast.Break: lambda node, mask: self.leave(0, mask),
            ast.Continue: lambda node, mask: self.leave(1, mask),
            ast.Pass: lambda node, mask: mask,
            ast.Assert: self.asserted,
        }
        self.expressions: dict[type, Callable[[Any, Mask], Any]] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.Attribute: self.attribute,
            ast.Subscript: self.subscript,
            ast.BinOp: self.operation,
            ast.UnaryOp: self.sign,
            ast.Compare: self.comparison,
            ast.BoolOp: self.junction,
            ast.IfExp: self.choice,
            ast.Call: self.call,
            ast.Slice: self.sliced,
            ast.Tuple: self.several,
            ast.List: self.several,  # of a loop or a comparison: Python makes it a tuple
        }

    # ------------------------------------------------------------ functions and masks
    def run(self, function: FunctionType, args: list[Any], mask: Mask) -> Any:
        """Call a function on the lanes of a mask and return what it returns on them."""
        definition = source_of(function)
        given = definition.args
        if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
            raise Unsupported("arguments of any number")
        names = [a.arg for a in given.args]
        missing = len(names) - len(args)
        defaults = list(function.__defaults__ or ())
        if missing < 0 or missing > len(defaults):
            raise Unsupported("another number of arguments")
        args = [*args, *(defaults[len(defaults) - missing :] if missing else ())]
        outer = getattr(self, "frame", None)
        self.frame = Frame(function)
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unsupported("functions that call each other without end")
        self.frame.names = {n: (v, mask) for n, v in zip(names, args, strict=True)}
        rest = self.block(definition.body, mask)
        returned = self.frame.returned
        if outer is not None:
            self.frame = outer
        self.depth -= 1
        if rest is not DEAD:
            returned.append((rest, None))
        return self.joined_values(returned)

    def joined_values(self, returned: list[tuple[Mask, Any]]) -> Any:
        """Return what several lanes return as one value."""
        if not returned:
            return None
        (_, value), *others = returned
        for mask, other in others:
            if value is None and other is None:
                continue
            assert mask is not None
            value = merged(mask, other, value, self.count)
        return value

    def block(self, body: list[ast.stmt], mask: Mask) -> Mask:
        """Run statements, and return the lanes that come to their end."""
        for statement in body:
            run = self.statements.get(type(statement))
            if run is None:
                raise Unsupported(f"the statement {type(statement).__name__}")
            mask = run(statement, mask)
            if mask is DEAD:
                break
        return mask

    def value(self, node: ast.expr, mask: Mask) -> Any:
        """Return what an expression is on the lanes of a mask."""
        found = self.expressions.get(type(node))
        if found is None:
            raise Unsupported(f"the expression {type(node).__name__}")
        return found(node, mask)

    def split(self, test: Any, mask: Mask) -> tuple[Mask, Mask]:
        """Return the lanes of a mask on which a test is true, and those on which it is not."""
        if isinstance(test, Mixed):
            test = spread(lambda v, m: Lanes("b", self.wide(truth(v[0]))), [test], mask, self.count)
        bits = truth(test)
        if not isinstance(bits, np.ndarray):
            return (mask, DEAD) if bits else (DEAD, mask)
        yes = bits if mask is None else bits & mask
        found = int(np.count_nonzero(yes))
        if not found:
            return DEAD, mask
        if found == (self.count if mask is None else int(np.count_nonzero(mask))):
            return mask, DEAD
        return yes, (~bits if mask is None else mask & ~bits)

    def wide(self, bits: Any) -> Any:
        """Return a truth value as that of each lane."""
        return bits if isinstance(bits, np.ndarray) else np.full(self.count, bits)

    # ------------------------------------------------------------ names
    def bind(self, name: str, value: Any, mask: Mask) -> None:
        """Give a name a value on the lanes of a mask."""
        names = self.frame.names
        if mask is not None and name in names:
            old, had = names[name]
            if had is not mask:
                outside = ~mask if had is None else had & ~mask
                if outside.any():
                    value = merged(mask, value, old, self.count, outside)
                    mask = None if had is None else mask | had
        names[name] = (value, mask)

    def name(self, node: ast.Name, mask: Mask) -> Any:
        """Return a name's value."""
        frame, name = self.frame, node.id
        found = frame.names.get(name)
        if found is not None:
            value, had = found
            if had is not None and had is not mask:
                lacking = ~had if mask is None else mask & ~had
                if lacking.any():
                    raise Unsupported(f"{name} without a value")
            return value
        if name in frame.local:
            raise Unsupported(f"{name} without a value")
        if name in frame.closure:
            return self.blocks.seen(frame.closure[name].cell_contents)
        if name in frame.space:
            return self.blocks.seen(frame.space[name])
        return frame.space["__builtins__"][name]

    def target(self, node: ast.expr, value: Any, mask: Mask) -> None:
        """Assign a value to a name, an element or several of them."""
        if isinstance(node, ast.Name):
            self.bind(node.id, value, mask)
        elif isinstance(node, ast.Tuple):
            if not isinstance(value, tuple) or len(value) != len(node.elts):
                raise Unsupported("parts of what is no tuple")
            for part, item in zip(node.elts, value, strict=True):
                self.target(part, item, mask)
        elif isinstance(node, ast.Subscript | ast.Attribute):
            array, index = self.place(node, mask)
            for on, part in parts_of(value, mask):
                if array.named(index):
                    array.store(index, part, on, self.count, self.blocks.stamps)
                else:
                    view = array.view(index, on, self.count)
                    view.fill(part, on, self.count, self.blocks.stamps)
        else:
            raise Unsupported(f"an assignment to {type(node).__name__}")

    def place(self, node: ast.Subscript | ast.Attribute, mask: Mask) -> tuple[LaneArray, Any]:
        """Return the array and the index that an assignment goes to.

        Raises: Unsupported for what is in no array.
        """
        held = self.value(node.value, mask)
        index = self.value(node.slice, mask) if isinstance(node, ast.Subscript) else node.attr
        if isinstance(held, Row):
            return held.records.field(index), held.place
        if not isinstance(held, LaneArray) or isinstance(node, ast.Attribute):
            raise Unsupported("an item of what is no array")
        return held, index

    # ------------------------------------------------------------ statements
    def assign(self, node: ast.Assign, mask: Mask) -> Mask:
        value = self.value(node.value, mask)
        for target in node.targets:
            self.target(target, value, mask)
        return mask

    def annotated(self, node: ast.AnnAssign, mask: Mask) -> Mask:
        if node.value is not None:
            self.target(node.target, self.value(node.value, mask), mask)
        return mask

    def augmented(self, node: ast.AugAssign, mask: Mask) -> Mask:
        target, op = node.target, type(node.op)
        if isinstance(target, ast.Name):
            old = self.name(ast.Name(target.id), mask)
            new = self.combined(op, old, self.value(node.value, mask), mask)
            self.bind(target.id, new, mask)
            return mask
        if not isinstance(target, ast.Subscript | ast.Attribute):
            raise Unsupported(f"an assignment to {type(target).__name__}")
        array, index = self.place(target, mask)
        old = self.loaded(array, index, mask)
        new = self.combined(op, old, self.value(node.value, mask), mask)
        for on, part in parts_of(new, mask):
            array.store(index, part, on, self.count, self.blocks.stamps)
        return mask

    def combined(self, op: type, a: Any, b: Any, mask: Mask) -> Any:
        """Return a op b, with op a class of ast."""
        return spread(lambda v, m: binary(op, v[0], v[1], m, self.count), [a, b], mask, self.count)

    def expression(self, node: ast.Expr, mask: Mask) -> Mask:
        self.blocks.unused = node.value
        self.value(node.value, mask)
        return mask

    def asserted(self, node: ast.Assert, mask: Mask) -> Mask:
        if self.split(self.value(node.test, mask), mask)[1] is not DEAD:
            raise Unsupported("an assertion that fails")
        return mask

    def branch(self, node: ast.If, mask: Mask) -> Mask:
        yes, no = self.split(self.value(node.test, mask), mask)
        after_yes = DEAD if yes is DEAD else self.block(node.body, yes)
        after_no = DEAD if no is DEAD else self.block(node.orelse, no)
        if after_yes is yes and after_no is no:
            return mask
        return joined([after_yes, after_no], mask)

    def give(self, node: ast.Return, mask: Mask) -> Mask:
        value = None if node.value is None else self.value(node.value, mask)
        self.frame.returned.append((mask, value))
        return DEAD

    def leave(self, which: int, mask: Mask) -> Mask:
        self.frame.loops[-1][which].append(mask)
        return DEAD

    def turn(self, body: list[ast.stmt], mask: Mask) -> Mask:
        """Run a loop's body once, and return the lanes that go on."""
        went_on = self.frame.loops[-1][1]
        went_on.clear()
        rest = self.block(body, mask)
        return joined([rest, *went_on], mask) if went_on else rest

    def counted(self, node: ast.For, mask: Mask) -> Mask:
        broke: list[Mask] = []
        live = mask
        self.frame.loops.append((broke, []))
        ended: list[Mask] = []
        for value, going in self.values(node.iter, mask):
            if going is not None:
                yes, no = self.split(going(), live)
                if no is not DEAD:
                    ended.append(no)
                live = yes
                if live is DEAD:
                    break
            self.target(node.target, self.item(value, live), live)
            live = self.turn(node.body, live)
            if live is DEAD:
                break
        self.frame.loops.pop()
        return self.left(node, live, ended, broke, mask)

    def left(self, node: Any, live: Mask, ended: list[Mask], broke: list[Mask], mask: Mask) -> Mask:
        """Return the lanes that leave a loop; those that did not break it off do its else."""
        whole = live if not ended else joined([live, *ended], mask)
        if node.orelse and whole is not DEAD:
            whole = self.block(node.orelse, whole)
        return mask if whole is mask and not broke else joined([whole, *broke], mask)

    def values(self, node: ast.expr, mask: Mask) -> Iterator[tuple[Any, Any]]:
        """Yield what a loop goes over: with each the test of who still does, None for all."""
        call = node if isinstance(node, ast.Call) else None
        if call is not None and self.value(call.func, mask) is whole_range and not call.keywords:
            args = [self.value(a, mask) for a in call.args]
            if any(isinstance(a, Lanes) for a in args):
                yield from self.ranged(args, mask)
                return
            for i in whole_range(*args):
                yield i, None
            return
        for item in self.items(node, mask):
            yield item, None

    def items(self, node: ast.expr, mask: Mask) -> list[Any]:
        """Return what a loop goes over, as long on each lane; elements are yet to be read."""
        call = node if isinstance(node, ast.Call) and not node.keywords else None
        function = self.value(call.func, mask) if call is not None else None
        if call is not None and function is BUILTINS["zip"]:
            return list(zip(*(self.items(a, mask) for a in call.args), strict=False))
        if call is not None and function is enumerate and len(call.args) == 1:
            return list(enumerate(self.items(call.args[0], mask)))
        if call is not None and function is whole_range:
            args = [self.value(a, mask) for a in call.args]
            if any(isinstance(a, Lanes) for a in args):
                raise Unsupported("ranges of several lengths")
            return list(whole_range(*args))
        held = self.value(node, mask)
        if isinstance(held, LaneArray) and held.ndim:
            if held.shape[0] > LONGEST:
                raise Unsupported("a loop of very many turns")
            return [Element(held, i) for i in range(held.shape[0])]
        if not isinstance(held, tuple):
            raise Unsupported("a loop over what is neither a range, a tuple nor an array")
        return list(held)

    def item(self, value: Any, mask: Mask) -> Any:
        """Return what a loop's name is given: elements are read now."""
        if isinstance(value, Element):
            if value.array.ndim == 1:
                return self.loaded(value.array, value.number, mask)
            return value.array.view(value.number, mask, self.count)
        if type(value) is tuple:
            return tuple(self.item(part, mask) for part in value)
        return value

    def ranged(self, args: list[Any], mask: Mask) -> Iterator[tuple[Any, Any]]:
        """Yield the numbers of a range that is another one on each lane."""
        if any(kind_of(a) not in "iuUpfd" for a in args):
            raise Unsupported("a range of other than numbers")
        args = [truncated(a, mask) if isinstance(a, Lanes) else int(a) for a in args]
        start, stop = (0, args[0]) if len(args) == 1 else args[:2]
        step = args[2] if len(args) == 3 else 1
        low, high = bounds(step)
        if low <= 0 <= high:
            raise Unsupported("a range of steps in both directions")
        now = start
        before = ast.Lt if low > 0 else ast.Gt
        for _ in range(LONGEST):
            held = now
            yield held, lambda held=held: compared(before, held, stop)
            now = binary(ast.Add, held, step, None, self.count)
        raise Unsupported("a loop of very many turns")

    def loop(self, node: ast.While, mask: Mask) -> Mask:
        broke: list[Mask] = []
        ended: list[Mask] = []
        live = mask
        self.frame.loops.append((broke, []))
        for _ in range(LONGEST):
            live, done = self.split(self.value(node.test, live), live)
            if done is not DEAD:
                ended.append(done)
            if live is not DEAD:
                live = self.turn(node.body, live)
            if live is DEAD:
                self.frame.loops.pop()
                return self.left(node, DEAD, ended, broke, mask)
        raise Unsupported("a loop of very many turns")

    # ------------------------------------------------------------ expressions
    def several(self, node: ast.Tuple | ast.List, mask: Mask) -> tuple[Any, ...]:
        return tuple(self.value(item, mask) for item in node.elts)

    def constant(self, node: ast.Constant, mask: Mask) -> Any:
        kind = {float: np.float64, complex: np.complex128}.get(type(node.value))
        return node.value if kind is None else kind(node.value)

    def attribute(self, node: ast.Attribute, mask: Mask) -> Any:
        held = self.value(node.value, mask)
        if isinstance(held, Row):
            return self.loaded(held.records.field(node.attr), held.place, mask)
        return self.blocks.attribute(held, node.attr)

    def subscript(self, node: ast.Subscript, mask: Mask) -> Any:
        held = self.value(node.value, mask)
        index = self.value(node.slice, mask)
        if isinstance(held, LaneArray):
            if held.named(index):
                return self.loaded(held, index, mask)
            return held.view(index, mask, self.count)
        if isinstance(held, LaneRecords):
            if isinstance(index, str):
                return held.field(index)
            first = next(iter(held.fields.values()))
            if not first.named(index):
                raise Unsupported("a view of records")
            first.place(index, mask, self.count)  # whether it is inside
            return Row(held, index)
        if isinstance(held, Row):
            return self.loaded(held.records.field(index), held.place, mask)
        if not isinstance(held, tuple) or not isinstance(index, int):
            raise Unsupported("an item of what is neither array nor tuple")
        return held[index]

    def sliced(self, node: ast.Slice, mask: Mask) -> slice:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.value(part, mask) for part in parts))

    def loaded(self, array: LaneArray, index: Any, mask: Mask) -> Lanes:
        """Return the elements that the lanes of a mask read."""
        self.blocks.counted_read()
        return array.load(index, mask, self.count, self.blocks.stamps)

    def operation(self, node: ast.BinOp, mask: Mask) -> Any:
        a, b = self.value(node.left, mask), self.value(node.right, mask)
        found = self.combined(type(node.op), a, b, mask)
        # The compiler of Python folds literals; a float that comes of it is a literal too.
        return np.float64(found) if type(found) is float and literal(node) else found

    def sign(self, node: ast.UnaryOp, mask: Mask) -> Any:
        operand = self.value(node.operand, mask)
        return spread(lambda v, m: unary(type(node.op), v[0]), [operand], mask, self.count)

    def comparison(self, node: ast.Compare, mask: Mask) -> Any:
        left = self.value(node.left, mask)
        found: Any = None
        live = mask
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node, live)
            here = self.compared(type(op), left, right, live)
            found = here if found is None else self.both(found, here)
            left = right
            if len(node.ops) > 1:
                live = self.split(found, mask)[0]
                if live is DEAD:
                    break
        return found

    def compared(self, op: type, a: Any, b: Any, mask: Mask) -> Any:
        """Return whether a op b, with op a class of ast."""
        return spread(lambda v, m: compared(op, v[0], v[1]), [a, b], mask, self.count)

    def both(self, a: Any, b: Any) -> Any:
        """Return on which lanes two tests are true."""
        x, y = truth(a), truth(b)
        held = x & y
        return Lanes("b", held) if isinstance(held, np.ndarray) else bool(held)

    def junction(self, node: ast.BoolOp, mask: Mask) -> Any:
        found = self.value(node.values[0], mask)
        live = mask
        for item in node.values[1:]:
            yes, no = self.split(found, live)
            on = yes if isinstance(node.op, ast.And) else no
            if on is DEAD:
                return found
            other = self.value(item, on)
            if on is live:
                found = other
            else:
                assert on is not None
                found = merged(on, other, found, self.count)
        return found

    def choice(self, node: ast.IfExp, mask: Mask) -> Any:
        yes, no = self.split(self.value(node.test, mask), mask)
        if no is DEAD:
            return self.value(node.body, yes)
        if yes is DEAD:
            return self.value(node.orelse, no)
        assert yes is not None
        a, b = self.value(node.body, yes), self.value(node.orelse, no)
        return merged(yes, a, b, self.count)

    def call(self, node: ast.Call, mask: Mask) -> Any:
        function = self.value(node.func, mask)
        if any(isinstance(a, ast.Starred) for a in node.args):
            raise Unsupported("arguments of any number")
        args = [self.value(a, mask) for a in node.args]
        if function is wrapped or function is Right:
            return args[0]  # lanes wrap, and compute by Numba's rules
        if isinstance(function, Operator):
            op = getattr(ast, function.name)
            rule = self.compared if function.name in ORDER else self.combined
            return rule(op, args[0], args[1], mask)
        if function is power:
            return spread(lambda v, m: raised(v[0], v[1], m, self.count), args, mask, self.count)
        named = {k.arg or "**": self.value(k.value, mask) for k in node.keywords}
        known = self.blocks.known(function)
        if known is not None:
            return known(node, mask, *args, **named)
        if named:
            raise Unsupported("arguments by name")
        if isinstance(function, FunctionType) and "__simulated__" in function.__globals__:
            return self.run(function, args, mask)
        if function is len and isinstance(args[0], LaneArray | LaneRecords | tuple):
            return len(args[0]) if isinstance(args[0], tuple) else args[0].shape[0]
        if any(isinstance(a, Lanes | Mixed) for a in args):
            return spread(
                lambda v, m: (
                    apply(function, v, m, self.count)
                    if any(isinstance(a, Lanes) for a in v)
                    else self.plainly(function, v)
                ),
                args,
                mask,
                self.count,
            )
        return self.plainly(function, args)

    def plainly(self, function: Any, args: list[Any]) -> Any:
        """Call a function once for all lanes, with numbers that all of them have.

        Raises: Unsupported for one that may do more than to compute.
        """
        if any(isinstance(a, LaneArray | LaneRecords) for a in args) or not harmless(function):
            raise Unsupported(f"a call of {getattr(function, '__name__', function)}")
        return function(*args)


def joined(masks: list[Mask], whole_mask: Mask) -> Mask:
    """Return the lanes of several masks, as `whole_mask` itself where they are all of its."""
    held = [mask for mask in masks if mask is not DEAD]
    if not held:
        return DEAD
    bits = [mask for mask in held if mask is not None and mask is not whole_mask]
    if len(bits) < len(held):
        return whole_mask
    total = np.logical_or.reduce(bits)
    same = total.all() if whole_mask is None else (total == whole_mask).all()
    return whole_mask if same else total


def literal(node: ast.expr) -> bool:
    """Tell whether an expression is made of literals alone."""
    if isinstance(node, ast.BinOp):
        return literal(node.left) and literal(node.right)
    if isinstance(node, ast.UnaryOp):
        return literal(node.operand)
    return isinstance(node, ast.Constant)


def harmless(function: Any) -> bool:
    """Tell whether a function of numbers alone can be called once for all lanes."""
    name = getattr(function, "__name__", "")
    home = str(getattr(function, "__module__", ""))
    return (
        isinstance(function, type | np.ufunc)
        or home.startswith("minigrad_cudasim.numbers")
        or home.startswith("minigrad_cudasim.libdevice")
        or home.startswith("minigrad_cudasim.typed.rules")
        or home == "math"
        or name in ("abs", "min", "max", "round", "pow", "apply")
        or type(function).__name__ == "Integer"
    )

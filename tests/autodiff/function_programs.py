"""Programs with an `autograd.Function`, run alike over minigrad and over PyTorch (`T`).

Each returns tensors, or numbers, to compare.
"""

from __future__ import annotations

from typing import Any


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(list(values), dtype=T.float64, requires_grad=True)


def cube(T: Any) -> Any:
    class Cube(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, factor: float = 1.0) -> Any:
            ctx.save_for_backward(x)
            ctx.factor = factor
            ctx.shape = ctx.meta = ctx.edges = "names of the user's"
            return x * x * x * factor

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            assert ctx.shape == "names of the user's"
            return 3 * x * x * g * ctx.factor, None

    return Cube


def exponential(T: Any) -> Any:
    class Exponential(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any) -> Any:
            return x.exp()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (y,) = ctx.saved_tensors
            return g * y

    return Exponential


def third_order(T: Any) -> Any:
    x = leaf(T, 2.0, -3.0)
    found = [cube(T).apply(x, 2.0)]
    for _ in range(3):
        found += T.autograd.grad(found[-1].sum(), x, create_graph=True)
    return found


def from_the_output(T: Any) -> Any:
    x = leaf(T, 0.5, -0.3)
    y = exponential(T).apply(x)
    (first,) = T.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = T.autograd.grad((first * first).sum(), x)
    return [y, first, second]


def gradcheck(T: Any) -> Any:
    x = leaf(T, 0.5, -0.3)
    check, again = T.autograd.gradcheck, T.autograd.gradgradcheck
    return [
        float(check(cube(T).apply, (x,))),
        float(again(cube(T).apply, (x,))),
        float(check(exponential(T).apply, (x,))),
        float(again(exponential(T).apply, (x,))),
    ]


def several_outputs(T: Any) -> Any:
    class Both(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            larger = a > b
            ctx.mark_non_differentiable(larger)
            return a * b, a + 2 * b, larger

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any, _: Any) -> Any:
            a, b = ctx.saved_tensors
            return g * b + h, g * a + 2 * h

    a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 1.0)
    found = []
    for pick in (lambda p, q: p.sum(), lambda p, q: q.sum(), lambda p, q: (p * q).sum()):
        p, q, larger = Both.apply(a, b)
        found += [*T.autograd.grad(pick(p, q), (a, b)), larger.double()]
        found.append(float(larger.requires_grad))
    return found


def unmaterialized(T: Any) -> Any:
    seen = []

    class Pair(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            ctx.set_materialize_grads(False)
            return a * 2, a * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            seen.append([float(g is None), float(h is None)])
            return (0 if g is None else g * 2) + (0 if h is None else h * 3)

    a = leaf(T, 1.0, 2.0)
    p, _ = Pair.apply(a)
    return [*T.autograd.grad(p.sum(), a), seen]


def needs(T: Any) -> Any:
    seen = []

    class Product(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any, k: float) -> Any:
            ctx.save_for_backward(a, b)
            return a * b * k

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            a, b = ctx.saved_tensors
            seen.append([float(n) for n in ctx.needs_input_grad])
            return g * b, (g * a if ctx.needs_input_grad[1] else None), None

    a, b = leaf(T, 1.0, 2.0), T.tensor([3.0, 4.0], dtype=T.float64)
    y = Product.apply(a, b, 2.0)
    return [y, *T.autograd.grad(y.sum(), a), seen]


def in_place(T: Any) -> Any:
    class Increase(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g

    a = leaf(T, 1.0, 2.0)
    z = a * 3
    y = Increase.apply(z)
    found = [float(y is z), z, *T.autograd.grad((z * z).sum(), a)]
    w = a * 3
    Increase.apply(w[:1])
    return [*found, w, *T.autograd.grad(w.sum(), a)]


def returns_its_input(T: Any) -> Any:
    class Reverse(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.view(2)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return -g

    a = leaf(T, 1.0, 2.0)
    y = Reverse.apply(a * a)
    return [y, *T.autograd.grad(y.sum(), a)]


def straight_through(T: Any) -> Any:
    class Step(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return (x > 0).double()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.clamp(-1, 1)

    a = leaf(T, -1.0, 2.0)
    (Step.apply(a) * 5).sum().backward()
    return [a.grad, float(Step.apply(a.detach()).requires_grad)]


def node(T: Any) -> Any:
    y = cube(T).apply(leaf(T, 1.0), 4.0)
    return [type(y.grad_fn).__name__, y.grad_fn.factor, *y.grad_fn.saved_tensors]


def refuses(T: Any) -> Any:
    class Wrong(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            return a * b

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    class Changed(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            ctx.save_for_backward(a)
            return a * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0]

    a = leaf(T, 1.0)
    z = a * 1
    y = Changed.apply(z)
    z.mul_(2)
    twice = cube(T).apply(a).sum()
    twice.backward()
    failing = (
        lambda: Wrong.apply(a, a).sum().backward(),
        lambda: y.sum().backward(),
        lambda: twice.backward(),
    )
    return [float(raises(run)) for run in failing]


def raises(run: Any) -> bool:
    try:
        run()
    except (RuntimeError, TypeError):
        return True
    return False


def differentiable_once(T: Any) -> Any:
    class Square(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @T.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * ctx.saved_tensors[0] * g

    a = leaf(T, 3.0)
    weight = leaf(T, 1.0)
    (g,) = T.autograd.grad(Square.apply(a), a, weight, create_graph=True)
    return [g, float(raises(lambda: g.sum().backward()))]


def several_roots(T: Any) -> Any:
    a = leaf(T, 1.0, 2.0)
    T.autograd.backward([(a * a).sum(), a * 3], [None, T.tensor([1.0, 5.0], dtype=T.float64)])
    return [a.grad]


PROGRAMS = {
    program.__name__: program
    for program in (
        third_order, from_the_output, gradcheck, several_outputs, unmaterialized, needs, in_place,
        returns_its_input, straight_through, node, refuses, differentiable_once, several_roots,
    )
}  # fmt: skip

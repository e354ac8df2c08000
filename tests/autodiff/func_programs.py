"""Programs of `func`, run alike over minigrad and over PyTorch (`T`).

Each returns tensors, or numbers, to compare.
"""

from __future__ import annotations

from typing import Any

from tests.autodiff.function_programs import cube, exponential, raises


def vector(T: Any, *values: float) -> Any:
    return T.tensor(list(values), dtype=T.float64)


def points(T: Any) -> tuple[Any, Any]:
    """Return a matrix and a vector."""
    x = T.tensor([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]], dtype=T.float64)
    return x, vector(T, 0.5, -0.2, 0.9)


def gradients(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    both = F.grad(lambda x, w: (x * w).sin().sum(), argnums=(0, 1))(x, w)
    last = F.grad(lambda x, w: (x * w).sin().sum(), argnums=-1)(x, w)
    unused = F.grad(lambda x, w: (x * x).sum(), argnums=1)(x, w)
    aux = F.grad(lambda x: ((x * x).sum(), {"twice": 2 * x}), has_aux=True)(x)
    pair = F.grad_and_value(lambda x: ((x * x).sum(), x + 1), has_aux=True)(x)
    tree = F.grad(lambda p: (p["a"] * p["b"][0] + p["b"][1]).sum())({"a": x, "b": (w, w * 2)})
    return [both, last, unused, aux, pair, tree]


def third_order(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    f = lambda x: (x.sin() * x.exp()).sum()  # noqa: E731
    once = lambda f: lambda x: F.jvp(f, (x,), (w,))[1]  # noqa: E731
    back = lambda f: lambda x: F.vjp(f, x)[1](w * 0 + 1)[0]  # noqa: E731
    g = F.grad(lambda x: F.grad(lambda x: F.grad(lambda x: x**4)(x))(x))(vector(T, 2.0)[0])
    return [
        g,
        once(once(once(f)))(w),
        F.grad(once(once(f)))(w),
        once(F.grad(once(f)))(w),
        F.grad(once(lambda x: (F.grad(f)(x) * w).sum()))(w),
        back(lambda x: F.jvp(F.grad(f), (x,), (w,))[1])(w),
        F.jacfwd(F.jacrev(F.grad(f)))(w),
        F.jacrev(F.jacfwd(F.grad(f)))(w),
        F.jacrev(F.jacrev(F.jacrev(f)))(w),
        F.jacfwd(F.jacfwd(F.jacfwd(f)))(w),
        F.vmap(F.jacfwd(F.hessian(f)))(x),
        F.hessian(lambda x: F.vmap(f)(x * x).sum())(x),
        F.vmap(F.hessian(f))(x),
        F.jvp(F.vmap(F.grad(f)), (x,), (x * 2,)),
        F.grad(lambda x: F.vmap(F.jacrev(F.grad(f)))(x).sin().sum())(x),
    ]


def perturbations(T: Any) -> Any:
    """Each derivative is of its own argument: none leaks into another."""
    F = T.func
    one = vector(T, 1.0)[0]
    inner = lambda x: F.grad(lambda y: x * y)(one)  # noqa: E731
    return [
        F.grad(lambda x: x * inner(x))(one * 3),
        F.jvp(lambda x: x * F.jvp(lambda y: x + y, (one,), (one,))[1], (one,), (one,)),
        F.grad(lambda x: x * F.jvp(lambda y: x * y * y, (one,), (one,))[1])(one * 2),
        F.jvp(lambda x: F.grad(lambda y: (x * y) ** 2)(x), (one * 2,), (one,)),
    ]


def vectors_and_matrices(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    f = lambda x, w: ((x * w).sum(1), {"z": x.sin() * w[0]})  # noqa: E731
    (y, z), pull = F.vjp(f, x, w)
    out = [y, z["z"], pull((y * 2, {"z": z["z"]}))]
    out.append(F.jvp(f, (x, w), (x * 2, w + 1)))
    out.append(F.jvp(lambda x: (x * x, x + 1), (w,), (w,), has_aux=True))
    value, push = F.linearize(lambda x: x.exp() * x, w)
    out += [value, push(w), push(w * 2)]
    out.append(F.jacrev(f, argnums=(0, 1))(x, w))
    out.append(F.jacfwd(f, argnums=(0, 1))(x, w))
    out.append(F.jacrev(f, argnums=1, chunk_size=1)(x, w))
    out.append(F.jacfwd(lambda x: (x * x, x * 3), has_aux=True)(w))
    out.append(F.jacrev(lambda x: (x * x, x * 3), has_aux=True)(w))
    out.append(F.hessian(lambda x, w: (x * w).exp().sum(), argnums=(0, 1))(x, w))
    return out


def mapped(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    dot = lambda a, b: (a * b).sum()  # noqa: E731
    cubes = x.reshape(1, 2, 3) * w.reshape(3, 1, 1)
    return [
        F.vmap(dot)(x, x + 1),
        F.vmap(dot, in_dims=(0, None))(x, w),
        F.vmap(dot, in_dims=(1, 0))(x, vector(T, 1.0, 2.0).reshape(1, 2) * w.reshape(3, 1)),
        F.vmap(lambda a: a * 2, in_dims=1, out_dims=1)(x),
        F.vmap(lambda a: (a, a.sum()), in_dims=-1, out_dims=(-1, 0))(x),
        F.vmap(F.vmap(dot, in_dims=(0, None)), in_dims=(None, 0))(x, cubes[:, 0]),
        F.vmap(lambda a, k: a * k, in_dims=(0, None))(x, 3.0),
        F.vmap(lambda d: d["a"] + d["b"][0], in_dims=({"a": 0, "b": (None,)},))(
            {"a": x, "b": (w,)}
        ),
        F.vmap(lambda a: {"s": a.softmax(0), "m": a.max()})(x),
        F.vmap(lambda a: w * 2)(x),
        F.vmap(lambda a, *, b: a * b)(x, b=x),
        F.vmap(dot, in_dims=(0, None), chunk_size=1)(x, w),
        F.vmap(lambda m, v: m @ v, in_dims=(0, None))(cubes, w),
        F.vmap(lambda m, v: m @ v, in_dims=(None, 1))(x, x.T),
        F.vmap(lambda a: a[1:] * a[0])(x),
        F.vmap(lambda a: T.cat([a, a.flip(0)]))(x),
        F.vmap(lambda a: (a > 0).double() * a.argmax())(x),
        F.vmap(lambda a: T.where(a > 0, a, a * 0.1))(x),
        F.vmap(lambda a: a.unsqueeze(0) * a.unsqueeze(1))(x),
        F.vmap(lambda a: a.cumsum(0) / a.std(0))(x),
    ]


def per_example(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    T.manual_seed(0)
    target = T.tensor([1, 0])
    weight = T.tensor([[0.1, 0.2, -0.3], [0.4, -0.5, 0.6]], dtype=T.float64)

    def loss(p: Any, x: Any, t: Any) -> Any:
        scores = T.nn.functional.linear(x.unsqueeze(0).tanh(), p["w"], p["b"])
        return T.nn.functional.cross_entropy(scores, t.unsqueeze(0))

    p = {"w": weight, "b": vector(T, 0.1, -0.1)}
    each = F.vmap(F.grad(loss), in_dims=(None, 0, 0))(p, x, target)
    both = F.vmap(F.grad_and_value(loss), in_dims=(None, 0, 0))(p, x, target)
    del w
    return [each, both]


def modules(T: Any) -> Any:
    F, (x, _) = T.func, points(T)
    made = []
    for k in range(3):
        layer = T.nn.Linear(3, 2).double()
        with T.no_grad():
            layer.weight.copy_(T.arange(6).reshape(2, 3).double() / 10 + k)
            layer.bias.copy_(T.arange(2).double() - k)
        made.append(layer)
    params, buffers = F.stack_module_state(made)
    call = lambda p, b, x: F.functional_call(made[0], (p, b), (x,))  # noqa: E731
    one = F.functional_call(made[0], {"bias": vector(T, 5.0, 6.0)}, x)
    refused = raises(lambda: F.functional_call(made[0], {"other": x}, (x,), strict=True))
    return [
        F.vmap(call, in_dims=(0, 0, None))(params, buffers, x), one, float(refused),
        float(params["weight"].requires_grad),
        F.grad(lambda p: F.functional_call(made[0], p, x).sum())(dict(made[0].named_parameters())),
    ]  # fmt: skip


def inside_the_tape(T: Any) -> Any:
    """Transformations inside `backward()`, and the tape inside transformations."""
    F, (x, w) = T.func, points(T)
    leaf = w.clone().requires_grad_()
    F.grad(lambda x: (x * leaf).sin().sum())(x).sum().backward()
    found = [leaf.grad]
    leaf = w.clone().requires_grad_()
    F.vmap(lambda x: (x * leaf).sin().sum())(x).sum().backward()
    found.append(leaf.grad)
    leaf = w.clone().requires_grad_()
    F.jvp(lambda x: (x * leaf).sin(), (x,), (x,))[1].sum().backward()
    found.append(leaf.grad)
    with T.no_grad():
        g = F.grad(lambda x: (x * x).sum())(leaf)
    found += [g, float(g.requires_grad)]
    frozen = F.grad(lambda x: (x.detach() * x).sum())(w)
    return [*found, frozen]


def in_place(T: Any) -> Any:
    F, (x, w) = T.func, points(T)

    def f(x: Any) -> Any:
        y = x * 2
        y[0] = x[1] * x[2]
        y.mul_(x)
        z = y.clone()
        z[1:] += w[1:]
        return (z * y).sum()

    return [
        F.grad(f)(w),
        F.jvp(f, (w,), (w + 1,)),
        F.vmap(F.grad(f))(x),
        F.hessian(f)(w),
        F.vmap(f)(x),
    ]


def functions(T: Any) -> Any:
    """`autograd.Function` inside of transformations."""
    F, (x, w) = T.func, points(T)
    make = exponential(T)
    make.generate_vmap_rule = True
    f = lambda x: (make.apply(x) * x).sum()  # noqa: E731
    return [
        F.grad(f)(w),
        F.grad(lambda x: F.grad(f)(x).sum())(w),
        F.vmap(F.grad(f))(x),
        F.jacrev(make.apply)(w),
    ]


def functions_that_map(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    seen = []

    class Scaled(T.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(x: Any, w: Any, factor: float) -> Any:
            return x * w * factor, x.sum(-1)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs[:2])
            ctx.factor = inputs[2]

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, w = ctx.saved_tensors
            return g * w * ctx.factor + h.unsqueeze(-1), (g * x * ctx.factor), None

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any, w: Any, factor: float) -> Any:
            seen.append([float(info.batch_size), *[float(d is None) for d in in_dims]])
            x = x if in_dims[0] is None else x.movedim(in_dims[0], 0)
            w = w if in_dims[1] is None else w.movedim(in_dims[1], 0)
            return Scaled.apply(x + w * 0, w + x * 0, factor), (0, 0)

    found = F.vmap(lambda a: Scaled.apply(a, w, 3.0))(x)
    return [found, seen[:1], F.vmap(lambda a: Scaled.apply(w, a, 2.0)[0])(x)]


def refuses(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    failing = (
        lambda: F.grad(lambda x: x)(x),
        lambda: F.grad(lambda x: 3.0)(x),
        lambda: F.grad(lambda x: x.sum(), argnums=1)(x),
        lambda: F.grad(lambda x: x.sum(), has_aux=True)(x),
        lambda: F.vjp(lambda x: x * 2, w)[1](x),
        lambda: F.jvp(lambda x: x, (w,), (x,)),
        lambda: F.jvp(lambda x: x, w, w),
        lambda: F.jvp(lambda x, y: x, (w, w), (w,)),
        lambda: F.jacrev(lambda x: 1.0)(w),
    )
    return [float(raises(run)) for run in failing]


def refuses_to_map(T: Any) -> Any:
    F, (x, w) = T.func, points(T)

    def bad(run: Any) -> bool:
        try:
            run()
        except (RuntimeError, ValueError):
            return True
        return False

    failing = (
        lambda: F.vmap(lambda a: a, in_dims=None)(x),
        lambda: F.vmap(lambda a: a, in_dims=2)(x),
        lambda: F.vmap(lambda a: a)(x.sum()),
        lambda: F.vmap(lambda a, b: a * b.sum())(x, w),
        lambda: F.vmap(lambda a, b: a, in_dims=(0,))(x, x),
        lambda: F.vmap(lambda a: 1.0)(x),
        lambda: F.vmap(lambda a: (a, a), out_dims=(0,))(x),
        lambda: F.vmap(lambda a: a, out_dims=None)(x),
        lambda: F.vmap(lambda a: a + T.rand(3))(x),
        lambda: F.vmap(lambda a: a, randomness="other")(x),
        lambda: F.vmap(lambda a: a, in_dims="x")(x),
        lambda: F.vmap(lambda a: a)(),
    )
    return [float(bad(run)) for run in failing]


def randomness(T: Any) -> Any:
    F, (x, _) = T.func, points(T)
    T.manual_seed(0)
    noisy = lambda a: a * 0 + T.rand(3).double()  # noqa: E731
    same = F.vmap(noisy, randomness="same")(x)
    other = F.vmap(noisy, randomness="different")(x)
    return [float((same[0] == same[1]).all()), float((other[0] == other[1]).any())]


def cubes(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    del F
    leaf = x.clone().requires_grad_()
    (g,) = T.autograd.grad(cube(T).apply(leaf, 2.0).sum(), leaf, create_graph=True)
    return [T.autograd.grad((g * w).sum(), leaf)]


PROGRAMS = {
    program.__name__: program
    for program in (
        gradients, third_order, perturbations, vectors_and_matrices, mapped, per_example, modules,
        inside_the_tape, in_place, functions,
        functions_that_map, refuses, refuses_to_map, randomness, cubes,
    )
}  # fmt: skip

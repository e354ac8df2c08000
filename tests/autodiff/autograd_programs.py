"""Programs of `autograd.functional`, `forward_ad`, `graph` and checkpoints, run alike over minigrad
and over PyTorch (`T`).
"""

from __future__ import annotations

from typing import Any

from tests.autodiff.func_programs import points, vector
from tests.autodiff.function_programs import leaf, raises


def products(T: Any) -> Any:
    A, (x, w) = T.autograd.functional, points(T)
    f = lambda x, w: ((x * w).sum(1), x.exp())  # noqa: E731
    loss = lambda x, w: (x * w).sin().sum()  # noqa: E731
    ones = (vector(T, 1.0, -1.0), x)
    return [
        A.jacobian(lambda x: x * x * w, x),
        A.jacobian(f, (x, w)),
        A.jacobian(lambda x, w: x * w, (x, w), vectorize=True, strategy="forward-mode"),
        A.jacobian(lambda x: x.sum(), x),
        A.jacobian(lambda x: w * 2, x),
        A.hessian(lambda w: (w**3).sum(), w),
        A.hessian(loss, (x, w)),
        A.hessian(lambda w: w.sum(), w),
        A.vjp(f, (x, w), ones),
        A.vjp(loss, (x, w)),
        A.jvp(f, (x, w), (x, w * 2)),
        A.jvp(lambda t: t * w, vector(T, 2.0)),
        A.hvp(loss, (x, w), (x, w)),
        A.vhp(loss, (x, w), (x, w)),
        A.vhp(lambda w: (w**3).sum(), w, w),
        A.hvp(lambda w: (w**3).sum(), w, w),
    ]


def products_on_the_tape(T: Any) -> Any:
    A, (_, w) = T.autograd.functional, points(T)
    found = []
    for compute in (
        lambda v: A.jacobian(lambda x: x**3, v, create_graph=True).sum(),
        lambda v: A.hessian(lambda x: (x**4).sum(), v, create_graph=True).sum(),
        lambda v: A.vjp(lambda x: x**3, v, w, create_graph=True)[1].sum(),
        lambda v: A.jvp(lambda x: x**3, v, w, create_graph=True)[1].sum(),
        lambda v: A.hvp(lambda x: (x**4).sum(), v, w, create_graph=True)[1].sum(),
        lambda v: A.vhp(lambda x: (x**4).sum(), v, w, create_graph=True)[1].sum(),
    ):
        v = w.clone().requires_grad_()
        found += T.autograd.grad(compute(v), v)
        found.append(float(A.jacobian(lambda x: x * x, v).requires_grad))
    return found


def refused_products(T: Any) -> Any:
    A, (x, w) = T.autograd.functional, points(T)
    failing = (
        lambda: A.jacobian(lambda x: 1.0, w),
        lambda: A.jacobian(lambda x: x, [w]),
        lambda: A.jacobian(lambda x: w * 2, x, strict=True),
        lambda: A.jacobian(lambda x, w: x * 2, (x, w), strict=True),
        lambda: A.hessian(lambda x: x, w),
        lambda: A.hessian(lambda x: x.sum(), w, strict=True),
        lambda: A.vjp(lambda x: x, w),
        lambda: A.vjp(lambda x: x, w, x),
        lambda: A.jvp(lambda x: x, w),
        lambda: A.hvp(lambda x: x, w, w),
        lambda: A.vhp(lambda x: x.sum(), w, x),
    )
    return [float(raises(run)) for run in failing]


def duals(T: Any) -> Any:
    fw, (x, w) = T.autograd.forward_ad, points(T)
    with fw.dual_level():
        d = fw.make_dual(x, x * 2)
        y = d.sin() * w
        y[0] = d[1] * 3
        value, tangent = fw.unpack_dual(y.sum(1))
        none = fw.unpack_dual(w * 2).tangent
    outside = fw.unpack_dual(y).tangent
    refused = raises(lambda: fw.make_dual(x, x))
    return [value, tangent, none, outside, float(refused)]


def saved_hooks(T: Any) -> Any:
    seen = []

    def pack(t: Any) -> Any:
        seen.append(1.0)
        return t * 10

    hooks = T.autograd.graph.saved_tensors_hooks
    a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 5.0)
    with hooks(pack, lambda t: t / 5):
        y = (a * b).exp()
    grads = T.autograd.grad(y.log().sum(), (a, b))
    with T.autograd.graph.disable_saved_tensors_hooks("not here"):
        refused = raises(lambda: hooks(pack, pack).__enter__())
    with hooks(lambda t: t.clone(), lambda t: t):
        z = (a * b * a).sin().sum()
    (first,) = T.autograd.grad(z, a, create_graph=True)
    second = T.autograd.grad(first.sum(), (a, b))
    with T.autograd.graph.save_on_cpu():
        cpu = T.autograd.grad((a * a).sum(), a)
    return [float(len(seen) > 0), grads, float(refused), first, second, cpu]


def several_hooks(T: Any) -> Any:
    seen = []
    a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 5.0)
    handle = T.autograd.graph.register_multi_grad_hook((a, b), lambda grads: seen.append(grads))
    (a * b).sum().backward()
    handle.remove()
    (a * b).sum().backward()
    return [float(len(seen)), [list(s) for s in seen]]


def checkpoints(T: Any) -> Any:
    checkpoint = T.utils.checkpoint.checkpoint
    a, w = leaf(T, 0.3, -1.2), leaf(T, 2.0, 0.5)
    calls = []

    def part(x: Any, factor: float = 1.0) -> Any:
        calls.append(1.0)
        return (x * w * factor).sin(), x.exp()

    y, z = checkpoint(part, a, 2.0, use_reentrant=False)
    before = float(len(calls))
    grads = T.autograd.grad((y * z).sum(), (a, w))
    found = [y, z, before, float(len(calls)), grads]
    out = checkpoint(lambda x: (x * w).tanh(), a * 3, use_reentrant=False)
    (first,) = T.autograd.grad(out.sum(), a, create_graph=True)
    found += [first, *T.autograd.grad(first.sum(), (a, w))]
    nested = checkpoint(
        lambda x: checkpoint(lambda u: u * u * w, x * 2, use_reentrant=False).sin(),
        a,
        use_reentrant=False,
    )
    nested.sum().backward()
    found += [a.grad, w.grad]
    with T.no_grad():
        found.append(float(checkpoint(lambda x: x * 2, a, use_reentrant=False).requires_grad))
    layers = [lambda x: x * w, lambda x: x.sin(), lambda x: x * 3, lambda x: x.exp()]
    chain = T.utils.checkpoint.checkpoint_sequential(layers, 2, a, use_reentrant=False)
    return [*found, T.autograd.grad(chain.sum(), (a, w))]


def checkpoints_draw_the_same(T: Any) -> Any:
    T.manual_seed(3)
    a = leaf(T, *[1.0] * 20)
    seen = []

    def part(x: Any) -> Any:
        mask = (T.rand(20) > 0.5).double()
        seen.append(mask)
        return x * x * mask

    y = T.utils.checkpoint.checkpoint(part, a, use_reentrant=False)
    after = T.rand(3)
    (g,) = T.autograd.grad(y.sum(), a)
    later = T.rand(3)
    same = (seen[0] == seen[1]).all() and (g == 2 * seen[0]).all() and not (after == later).all()
    return [float(same)]


def inside_of_transformations(T: Any) -> Any:
    F, (x, w) = T.func, points(T)
    if T.__name__ == "torch":  # PyTorch refuses its checkpoint there
        run = lambda f, x: f(x)  # noqa: E731
    else:
        run = T.utils.checkpoint.checkpoint
    f = lambda x: run(lambda x: (x * w).sin() * x.exp(), x).sum()  # noqa: E731
    return [
        F.grad(f)(w), F.grad(lambda x: F.grad(f)(x).sum())(w), F.jvp(f, (w,), (w,)),
        F.vmap(F.grad(f))(x), F.hessian(f)(w), F.jacfwd(F.hessian(f))(w), F.jacrev(F.grad(f))(w),
    ]  # fmt: skip


def gradients(T: Any) -> Any:
    """The options of `grad`."""
    a, b = leaf(T, 1.0, 2.0), leaf(T, 3.0, 5.0)
    y = a * a * b
    basis = T.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]], dtype=T.float64)
    batched = T.autograd.grad(y, (a, b), basis, retain_graph=True, is_grads_batched=True)
    zeros = T.autograd.grad((a * 2).sum(), (a, b), materialize_grads=True)
    (one, none) = T.autograd.grad((a * 2).sum(), (a, b), allow_unused=True)
    refused = [
        raises(lambda: T.autograd.grad((a * 2).sum(), (a, b))),
        raises(lambda: T.autograd.grad(y, a)),
        raises(lambda: T.autograd.grad(y.sum(), T.tensor(1.0))),
    ]
    return [batched, zeros, one, none, [float(r) for r in refused]]


PROGRAMS = {
    program.__name__: program
    for program in (
        products, products_on_the_tape, refused_products, duals, saved_hooks, several_hooks,
        gradients, checkpoints, checkpoints_draw_the_same, inside_of_transformations,
    )
}  # fmt: skip

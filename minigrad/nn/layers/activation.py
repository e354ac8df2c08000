"""Activations as modules, for Sequential."""

from __future__ import annotations

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError
from minigrad.nn.functional import activations as F
from minigrad.nn.module import Module, registered
from minigrad.ops.unary import LogSigmoid as LogSigmoidOp
from minigrad.ops.unary import Relu, Silu
from minigrad.ops.unary import Sigmoid as SigmoidOp
from minigrad.ops.unary import Tanh as TanhOp
from minigrad.tensors.registry import function_in_place
from minigrad.tensors.tensor import Tensor


class InPlace(Module):
    """The base of the activations that may write their result into the input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def compute(self, input: Tensor) -> Tensor:
        """Return the result in memory of its own."""
        raise NotImplementedError(f"{self._get_name()} has no compute()")

    def forward(self, input: Tensor) -> Tensor:
        if self.inplace:
            made: Tensor = function_in_place(self._get_name(), self.compute)(input)
            return made
        return self.compute(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


@registered
class ReLU(InPlace):
    """y = max(x, 0).

    inplace: write the result into the input.

    >>> import minigrad as mg
    >>> ReLU()(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def compute(self, input: Tensor) -> Tensor:
        """Return the result in memory of its own."""
        return Relu.apply(input)


@registered
class Tanh(Module):
    """y = tanh(x).

    >>> import minigrad as mg
    >>> Tanh()(mg.zeros(1))
    tensor([0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return TanhOp.apply(input)


@registered
class Sigmoid(Module):
    """y = 1 / (1 + e^-x).

    >>> import minigrad as mg
    >>> Sigmoid()(mg.zeros(1))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return SigmoidOp.apply(input)


@registered
class SiLU(InPlace):
    """y = x sigmoid(x).

    >>> import minigrad as mg
    >>> SiLU()(mg.ones(1))
    tensor([0.7311])
    """

    def compute(self, input: Tensor) -> Tensor:
        """Return the result in memory of its own."""
        return Silu.apply(input)


@registered
class LogSigmoid(Module):
    """y = log(sigmoid(x)).

    >>> import minigrad as mg
    >>> LogSigmoid()(mg.zeros(1))
    tensor([-0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return LogSigmoidOp.apply(input)


@registered
class GELU(Module):
    """y = x Phi(x); approximate: "none" or "tanh".  See `functional.gelu`.

    >>> import minigrad as mg
    >>> GELU()(mg.ones(1))
    tensor([0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


@registered
class Softplus(Module):
    """y = log(1 + e^(beta x)) / beta, linear where beta x > threshold.

    >>> import minigrad as mg
    >>> Softplus()(mg.zeros(1))
    tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = arguments.number("Softplus", "beta", beta)
        self.threshold = arguments.number("Softplus", "threshold", threshold)

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


@registered
class LeakyReLU(InPlace):
    """y = x where x > 0, else negative_slope * x.

    >>> import minigrad as mg
    >>> LeakyReLU(0.5)(mg.tensor([-1.0]))
    tensor([-0.5000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = arguments.number("LeakyReLU", "negative_slope", negative_slope)

    def compute(self, input: Tensor) -> Tensor:
        """Return the result in memory of its own."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


@registered
class ELU(InPlace):
    """y = x where x > 0, else alpha (e^x - 1).

    >>> import minigrad as mg
    >>> ELU()(mg.tensor([-1.0]))
    tensor([-0.6321])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = arguments.number("ELU", "alpha", alpha)

    def compute(self, input: Tensor) -> Tensor:
        """Return the result in memory of its own."""
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


@registered
class Hardtanh(InPlace):
    """y = x limited to [min_val, max_val]; the derivative at both bounds is 0.

    >>> import minigrad as mg
    >>> Hardtanh()(mg.tensor([-3.0]))
    tensor([-1.])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        min_val = arguments.number("Hardtanh", "min_val", min_val)
        max_val = arguments.number("Hardtanh", "max_val", max_val)
        if min_val >= max_val:
            raise ArgumentError(
                f"Hardtanh: expected min_val < max_val, got {min_val:g} and {max_val:g}"
            )
        self.min_val = min_val
        self.max_val = max_val

    def compute(self, input: Tensor) -> Tensor:
        """Return the result in memory of its own."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        text = f"min_val={self.min_val}, max_val={self.max_val}"
        return text + (", inplace=True" if self.inplace else "")


@registered
class ReLU6(Hardtanh):
    """y = x limited to [0, 6]; the derivative at both bounds is 0.

    >>> import minigrad as mg
    >>> ReLU6()(mg.tensor([9.0]))
    tensor([6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return InPlace.extra_repr(self)


@registered
class Softmax(Module):
    """y = exp(x) / sum(exp(x)) along `dim`.  CrossEntropyLoss takes logits: put no Softmax before
    it.

    >>> import minigrad as mg
    >>> Softmax(dim=0)(mg.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


@registered
class LogSoftmax(Module):
    """y = log(softmax(x)) along `dim`.

    >>> import minigrad as mg
    >>> LogSoftmax(dim=0)(mg.zeros(2))
    tensor([-0.6931, -0.6931])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

"""Less common activations as modules; the mathematics stands in `functional`."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.engine.errors import ArgumentError
from minigrad.nn import functional, init
from minigrad.nn.layers.configured import REQUIRED, Configured
from minigrad.nn.layers.linear import blank
from minigrad.nn.module import Module, registered
from minigrad.tensors.tensor import Tensor


@registered
class CELU(Configured):
    """y = max(x, 0) + min(alpha (e^(x / alpha) - 1), 0).

    >>> import minigrad as mg
    >>> CELU()(mg.tensor([2.0]))
    tensor([2.])
    """

    function = "celu"
    options: ClassVar[dict[str, Any]] = {"alpha": 1.0, "inplace": False}
    shown = ("alpha",)


@registered
class GLU(Configured):
    """y = a sigmoid(b), a and b the halves of x along `dim`.

    >>> import minigrad as mg
    >>> GLU()(mg.tensor([4.0, 0.0]))
    tensor([2.])
    """

    function = "glu"
    options: ClassVar[dict[str, Any]] = {"dim": -1}
    shown = ("dim",)


@registered
class Hardshrink(Configured):
    """y = x where |x| > lambd, else 0.

    >>> import minigrad as mg
    >>> Hardshrink()(mg.tensor([0.3, 2.0]))
    tensor([0., 2.])
    """

    function = "hardshrink"
    options: ClassVar[dict[str, Any]] = {"lambd": 0.5}

    def extra_repr(self) -> str:
        return str(getattr(self, "lambd"))  # noqa: B009


@registered
class Softshrink(Hardshrink):
    """y = x moved towards 0 by lambd, 0 within.

    >>> import minigrad as mg
    >>> Softshrink()(mg.tensor([0.3, 2.0]))
    tensor([0.0000, 1.5000])
    """

    function = "softshrink"


@registered
class Hardsigmoid(Configured):
    """y = (x + 3) / 6, limited to [0, 1].

    >>> import minigrad as mg
    >>> Hardsigmoid()(mg.tensor([0.0, 9.0]))
    tensor([0.5000, 1.0000])
    """

    function = "hardsigmoid"
    options: ClassVar[dict[str, Any]] = {"inplace": False}

    def extra_repr(self) -> str:
        return ""


@registered
class Hardswish(Hardsigmoid):
    """y = x hardsigmoid(x).

    >>> import minigrad as mg
    >>> Hardswish()(mg.tensor([0.0, 9.0]))
    tensor([0., 9.])
    """

    function = "hardswish"


@registered
class Mish(Configured):
    """y = x tanh(softplus(x)).

    >>> import minigrad as mg
    >>> Mish()(mg.zeros(1))
    tensor([0.])
    """

    function = "mish"
    options: ClassVar[dict[str, Any]] = {"inplace": False}


@registered
class SELU(Mish):
    """y = scale ELU(x), whose constants keep mean 0 and variance 1 through layers.

    >>> import minigrad as mg
    >>> SELU()(mg.ones(1))
    tensor([1.0507])
    """

    function = "selu"


@registered
class RReLU(Configured):
    """y = x where x > 0, else a x; a is drawn from U(lower, upper) in training, else its mean.

    >>> import minigrad as mg
    >>> RReLU(0.25, 0.75).eval()(mg.tensor([-1.0, 1.0]))
    tensor([-0.5000,  1.0000])
    """

    function = "rrelu"
    options: ClassVar[dict[str, Any]] = {"lower": 1 / 8, "upper": 1 / 3, "inplace": False}
    shown = ("lower", "upper")

    def called_with(self) -> dict[str, Any]:
        """Return the options that the function takes."""
        return {**super().called_with(), "training": self.training}


@registered
class Softmin(Configured):
    """y = softmax(-x) along `dim`.

    >>> import minigrad as mg
    >>> Softmin(dim=0)(mg.zeros(2))
    tensor([0.5000, 0.5000])
    """

    function = "softmin"
    options: ClassVar[dict[str, Any]] = {"dim": None}
    shown = ("dim",)


@registered
class Softmax2d(Module):
    """Softmax over the channels of images.

    >>> import minigrad as mg
    >>> Softmax2d()(mg.zeros(1, 2, 1, 1)).tolist()
    [[[[0.5]], [[0.5]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ArgumentError(
                f"Softmax2d: expected (N, C, H, W) or (C, H, W), got shape {input.shape}"
            )
        return functional.softmax(input, -3)


@registered
class Softsign(Configured):
    """y = x / (1 + |x|).

    >>> import minigrad as mg
    >>> Softsign()(mg.ones(1))
    tensor([0.5000])
    """

    function = "softsign"


@registered
class Tanhshrink(Configured):
    """y = x - tanh(x).

    >>> import minigrad as mg
    >>> Tanhshrink()(mg.zeros(1))
    tensor([0.])
    """

    function = "tanhshrink"


@registered
class Threshold(Configured):
    """y = x where x > threshold, else value.

    >>> import minigrad as mg
    >>> Threshold(0.5, 9.0)(mg.tensor([0.0, 1.0]))
    tensor([9., 1.])
    """

    function = "threshold"
    options: ClassVar[dict[str, Any]] = {"threshold": REQUIRED, "value": REQUIRED, "inplace": False}
    shown = ("threshold", "value")


@registered
class PReLU(Module):
    """y = x where x > 0, else a x, a learnt: one for all, or one a channel.

    Shape: (N, C, ...), the same out; weight: (num_parameters,), 1 or C.
    Source: He et al., "Delving deep into rectifiers" (ICCV 2015).

    >>> import minigrad as mg
    >>> PReLU()(mg.tensor([-1.0])).tolist()
    [-0.25]
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = blank(num_parameters, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to its first value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Any:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"

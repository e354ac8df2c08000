"""Losses by margins, distances and distributions, as modules; see the functions' mathematics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from minigrad.nn import functional
from minigrad.nn.functional.classification import check_reduction, reduction_of
from minigrad.nn.layers.configured import Configured
from minigrad.nn.layers.resizing import PairwiseDistance
from minigrad.nn.module import Module, registered
from minigrad.tensors.tensor import Tensor

OLD = {"size_average": None, "reduce": None, "reduction": "mean"}


class ConfiguredLoss(Configured):
    """A loss: `size_average` and `reduce` are older words for `reduction`."""

    silent = ("size_average", "reduce")
    reductions: ClassVar[tuple[str, ...]] = ("none", "mean", "sum")
    reduction: str

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the options by name, with one word for the reduction."""
        found = super().given(args, kwargs)
        old = found.pop("size_average", None), found.pop("reduce", None)
        found["reduction"] = reduction_of(found["reduction"], *old)
        return found

    def check(self) -> None:
        """Refuse a reduction that is not there."""
        if self.reduction not in self.reductions:
            check_reduction(self._get_name(), self.reduction)


@registered
class KLDivLoss(ConfiguredLoss):
    """Divergence of log-probabilities from a distribution; see `functional.kl_div`.

    >>> import minigrad as mg
    >>> KLDivLoss(reduction="sum")(mg.zeros(1), mg.ones(1))
    tensor(0.)
    """

    function = "kl_div"
    options: ClassVar[dict[str, Any]] = {**OLD, "log_target": False}
    reductions = ("none", "mean", "sum", "batchmean")


@registered
class PoissonNLLLoss(ConfiguredLoss):
    """Negative log-likelihood of counts; see `functional.poisson_nll_loss`.

    >>> import minigrad as mg
    >>> PoissonNLLLoss()(mg.zeros(1), mg.ones(1))
    tensor(1.)
    """

    function = "poisson_nll_loss"
    options: ClassVar[dict[str, Any]] = {
        **{"log_input": True, "full": False, "size_average": None, "eps": 1e-8},
        **{"reduce": None, "reduction": "mean"},
    }


@registered
class GaussianNLLLoss(ConfiguredLoss):
    """Negative log-likelihood under normal distributions; see `functional.gaussian_nll_loss`.

    >>> import minigrad as mg
    >>> GaussianNLLLoss()(mg.zeros(2), mg.ones(2), mg.ones(2))
    tensor(0.5000)
    """

    function = "gaussian_nll_loss"

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        Module.__init__(self)
        self.full, self.eps, self.reduction = full, eps, reduction
        self.check()

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Any:
        return functional.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


@registered
class HingeEmbeddingLoss(ConfiguredLoss):
    """x where the target is 1, max(0, margin - x) where it is -1.

    >>> import minigrad as mg
    >>> HingeEmbeddingLoss()(mg.tensor([2.0, 0.5]), mg.tensor([1.0, -1.0]))
    tensor(1.2500)
    """

    function = "hinge_embedding_loss"
    options: ClassVar[dict[str, Any]] = {"margin": 1.0, **OLD}


@registered
class MarginRankingLoss(ConfiguredLoss):
    """max(0, -y (a - b) + margin).

    >>> import minigrad as mg
    >>> MarginRankingLoss()(mg.zeros(1), mg.ones(1), mg.ones(1))
    tensor(1.)
    """

    function = "margin_ranking_loss"
    options: ClassVar[dict[str, Any]] = {"margin": 0.0, **OLD}


@registered
class CosineEmbeddingLoss(ConfiguredLoss):
    """1 - cos(a, b) where the target is 1, max(0, cos(a, b) - margin) where it is -1.

    >>> import minigrad as mg
    >>> CosineEmbeddingLoss()(mg.ones(1, 2), mg.ones(1, 2), mg.tensor([-1]))
    tensor(1.)
    """

    function = "cosine_embedding_loss"
    options: ClassVar[dict[str, Any]] = {"margin": 0.0, **OLD}


@registered
class SoftMarginLoss(ConfiguredLoss):
    """log(1 + e^(-y x)).

    >>> import minigrad as mg
    >>> SoftMarginLoss()(mg.zeros(1), mg.ones(1))
    tensor(0.6931)
    """

    function = "soft_margin_loss"
    options: ClassVar[dict[str, Any]] = OLD


@registered
class MultiLabelMarginLoss(ConfiguredLoss):
    """Margins between each of the classes that are there and those that are not.

    >>> import minigrad as mg
    >>> MultiLabelMarginLoss()(mg.tensor([[1.0, 0.5]]), mg.tensor([[0, -1]]))
    tensor(0.2500)
    """

    function = "multilabel_margin_loss"
    options: ClassVar[dict[str, Any]] = OLD


@registered
class TripletMarginLoss(ConfiguredLoss):
    """max(0, d(a, p) - d(a, n) + margin), d a p-norm; see `functional.triplet_margin_loss`.

    >>> import minigrad as mg
    >>> TripletMarginLoss()(mg.zeros(1, 2), mg.zeros(1, 2), mg.ones(1, 2)).item() < 1
    True
    """

    function = "triplet_margin_loss"
    options: ClassVar[dict[str, Any]] = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False, **OLD}


@registered
class TripletMarginWithDistanceLoss(ConfiguredLoss):
    """max(0, d(a, p) - d(a, n) + margin), d a function of two tensors, by default the distance.

    >>> import minigrad as mg
    >>> loss = TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).abs().sum(1))
    >>> loss(mg.zeros(1, 2), mg.zeros(1, 2), mg.ones(1, 2))
    tensor(0.)
    """

    function = "triplet_margin_with_distance_loss"

    def __init__(
        self,
        *,
        distance_function: Callable[..., Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        Module.__init__(self)
        self.distance_function = distance_function or PairwiseDistance()
        self.margin, self.swap, self.reduction = margin, swap, reduction
        self.check()

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Any:
        return functional.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class WeightedLoss(ConfiguredLoss):
    """A loss with a factor a class, kept as a buffer."""

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the options by name; the weight becomes a buffer."""
        found = super().given(args, kwargs)
        self.register_buffer("weight", found.pop("weight"))
        return found


@registered
class MultiMarginLoss(WeightedLoss):
    """Margins between the class that is right and all others; see `functional.multi_margin_loss`.

    >>> import minigrad as mg
    >>> MultiMarginLoss()(mg.tensor([[1.0, 0.5]]), mg.tensor([0]))
    tensor(0.2500)
    """

    function = "multi_margin_loss"
    options: ClassVar[dict[str, Any]] = {"p": 1, "margin": 1.0, "weight": None, **OLD}


@registered
class MultiLabelSoftMarginLoss(WeightedLoss):
    """Cross-entropies of each label by itself, averaged.

    >>> import minigrad as mg
    >>> MultiLabelSoftMarginLoss()(mg.zeros(1, 2), mg.ones(1, 2))
    tensor(0.6931)
    """

    function = "multilabel_soft_margin_loss"
    options: ClassVar[dict[str, Any]] = {"weight": None, **OLD}


@registered
class CTCLoss(ConfiguredLoss):
    """-log of the probability of a sequence under all alignments; see `functional.ctc_loss`.

    >>> import minigrad as mg
    >>> scores = mg.zeros(3, 1, 2).log_softmax(2)
    >>> one, three = mg.tensor([1]), mg.tensor([3])
    >>> CTCLoss()(scores, mg.tensor([[1]]), three, one).item() > 0
    True
    """

    function = "ctc_loss"
    options: ClassVar[dict[str, Any]] = {"blank": 0, "reduction": "mean", "zero_infinity": False}

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Any:
        return functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, **self.called_with()
        )

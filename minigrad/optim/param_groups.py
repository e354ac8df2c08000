"""Parameter groups for weight decay."""

from __future__ import annotations

from typing import Any


def decay_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Return a model's parameters in two named groups: with decay and, biases and norms, without.

    What has one dimension or none is a bias, or a norm's scale or shift: pulling it towards zero
    removes what the layer is there for and regularises nothing.

    model: a Module.  weight_decay: of the first group, >= 0.
    Returns groups for an optimizer; one without parameters is left out.
    Source: Goyal et al. 2017, section 5.3, which leaves out the norms; the rule by dimension is
    common practice.

    >>> import minigrad as mg
    >>> model = mg.nn.Linear(3, 2)
    >>> opt = mg.optim.AdamW(mg.optim.decay_groups(model, 0.1), lr=1e-3)
    >>> [(group["weight_decay"], len(group["params"])) for group in opt.param_groups]
    [(0.1, 1), (0.0, 1)]
    """
    named = list(model.named_parameters())
    groups = [
        {"params": [(n, p) for n, p in named if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [(n, p) for n, p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]

"""Tell by its name which way a metric gets better."""

from __future__ import annotations

import re

UP = (
    "acc accuracy top1 top5 precision recall sensitivity specificity f1 fbeta auc auroc auprc roc "
    "ap map iou miou jaccard dice r2 kappa mcc bleu rouge meteor psnr ssim"
)
DOWN = (
    "loss losses error err errors mae mse rmse msle mape smape nll bce entropy perplexity ppl "
    "brier logloss divergence kl wer cer fid misclassification"
)
DIRECTIONS = {**dict.fromkeys(UP.split(), "max"), **dict.fromkeys(DOWN.split(), "min")}
TURNS = {"neg", "negative", "minus", "inv", "inverse", "1", "one", "no", "non", "not", "false"}


def direction(name: str) -> str | None:
    """Return "max" or "min" for a metric that is known to get better that way, else None.

    The last known word decides; a word that may turn the meaning round leaves it open.

    >>> direction("val_accuracy"), direction("dice_loss"), direction("neg_mse"), direction("score")
    ('max', 'min', None, None)
    """
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    found = re.findall(r"[a-z0-9]+", words)
    if TURNS & set(found):
        return None
    known = [DIRECTIONS[word] for word in found if word in DIRECTIONS]
    return known[-1] if known else None


def mode_for(asker: str, monitor: str, mode: str | None) -> str:
    """Return a mode that was given, or the one that the metric's name tells.

    Raises: ValueError for an unknown mode, and where the name does not tell it.
    """
    if mode is None:
        mode = direction(monitor)
        if mode is None:
            raise ValueError(
                f"{asker}: whether {monitor!r} should rise or fall is not known; pass mode='max' "
                "or mode='min'"
            )
    if mode not in ("min", "max"):
        raise ValueError(f"{asker}: mode: expected 'min' or 'max', but got {mode!r}")
    return mode

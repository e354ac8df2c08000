"""Derivatives: functions with gradients of their own, and functions that return derivatives."""

import typing as _typing

from minigrad.autograd import function as function
from minigrad.autograd import graph as graph
from minigrad.autograd.function import Function as Function
from minigrad.autograd.gradients import Variable as Variable
from minigrad.autograd.gradients import backward as backward
from minigrad.autograd.gradients import grad as grad
from minigrad.autograd.gradients import set_detect_anomaly as set_detect_anomaly
from minigrad.checking.gradcheck import gradcheck as gradcheck
from minigrad.checking.gradcheck import gradgradcheck as gradgradcheck
from minigrad.engine.anomaly import detect_anomaly as detect_anomaly
from minigrad.engine.grad_mode import enable_grad as enable_grad
from minigrad.engine.grad_mode import no_grad as no_grad
from minigrad.engine.grad_mode import set_grad_enabled as set_grad_enabled
from minigrad.lazy import lazy as _lazy

if _typing.TYPE_CHECKING:
    from minigrad.autograd import checkpoint as checkpoint
    from minigrad.autograd import forward_ad as forward_ad
    from minigrad.autograd import functional as functional
else:  # they stand on mg.func, which stands on autograd.Function
    checkpoint = _lazy("minigrad.autograd.checkpoint")
    forward_ad = _lazy("minigrad.autograd.forward_ad")
    functional = _lazy("minigrad.autograd.functional")

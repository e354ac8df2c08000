"""Derivatives: functions with gradients of their own, and functions that return derivatives."""

from minigrad.autograd import function as function
from minigrad.autograd.function import Function as Function
from minigrad.autograd.gradients import Variable as Variable
from minigrad.autograd.gradients import backward as backward
from minigrad.checking.gradcheck import gradcheck as gradcheck
from minigrad.checking.gradcheck import gradgradcheck as gradgradcheck
from minigrad.engine.anomaly import detect_anomaly as detect_anomaly
from minigrad.engine.grad_mode import enable_grad as enable_grad
from minigrad.engine.grad_mode import no_grad as no_grad
from minigrad.engine.grad_mode import set_grad_enabled as set_grad_enabled
from minigrad.tensors.transforms import grad as grad

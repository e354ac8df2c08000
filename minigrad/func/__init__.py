"""Transformations of functions: derivatives in both modes, and vectorisation."""

from minigrad.func.forward import jvp as jvp
from minigrad.func.forward import linearize as linearize
from minigrad.func.jacobians import hessian as hessian
from minigrad.func.jacobians import hvp as hvp
from minigrad.func.jacobians import jacfwd as jacfwd
from minigrad.func.jacobians import jacrev as jacrev
from minigrad.func.jacobians import vhp as vhp
from minigrad.func.modules import functional_call as functional_call
from minigrad.func.modules import stack_module_state as stack_module_state
from minigrad.func.reverse import grad as grad
from minigrad.func.reverse import grad_and_value as grad_and_value
from minigrad.func.reverse import value_and_grad as value_and_grad
from minigrad.func.reverse import vjp as vjp
from minigrad.func.vectorized import vmap as vmap

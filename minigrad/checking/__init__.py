"""Prove gradients: by differences, against exact rules, and by what every op must keep to."""

from minigrad.checking.blaming import Verdict as Verdict
from minigrad.checking.blaming import blame as blame

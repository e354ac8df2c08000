"""Prove gradients: by differences, against exact rules, and by what every op must keep to."""

"""What is not collected where an extra is missing: its module cannot be imported there."""

from __future__ import annotations

import importlib.util

# Importing as_torch makes the whole process one for PyTorch's programs.
collect_ignore = ["minigrad/as_torch.py"]
if importlib.util.find_spec("sklearn") is None:
    collect_ignore += [f"minigrad/sklearn/{name}.py" for name in ("__init__", "mlp", "estimators")]

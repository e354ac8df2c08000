"""What is not collected where an extra is missing: its module cannot be imported there."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("sklearn") else ["minigrad/sklearn.py"]

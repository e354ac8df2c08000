"""Whether a fit runs in a notebook."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Tell whether this runs in a notebook, which shows HTML.

    >>> in_notebook()
    False
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")

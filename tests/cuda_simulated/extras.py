"""What the tests of CUDA need: without it they skip, but fail where CI says it must be there."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

REQUIRED = os.environ.get("MINIGRAD_REQUIRE_CUDA_TOOLS") == "1"


def require_greenlet() -> None:
    """Skip the module that calls this where no kernel can be simulated."""
    if find_spec("greenlet") is None and not REQUIRED:
        pytest.skip("needs greenlet (pip install minigrad[simulate])", allow_module_level=True)

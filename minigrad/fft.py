"""What of Fourier transforms is real.  Those with complex results are not here, for minigrad has no
complex tensors; `numpy.fft` takes `x.numpy()`.

>>> import minigrad as mg
>>> mg.fft.fftfreq(4)
tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
"""

from minigrad.ops import frequencies as _frequencies
from minigrad.tensors import registry as _registry

_registry.share(globals(), "fft")


def __getattr__(name: str) -> object:
    """Say why a transform is not here."""
    if name in _frequencies.COMPLEX:
        raise AttributeError(_frequencies.reason(name))
    raise AttributeError(f"module 'minigrad.fft' has no attribute {name!r}")

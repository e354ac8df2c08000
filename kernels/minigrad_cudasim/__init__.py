"""Run `numba.cuda` kernels in plain Python, thread by thread, and name their races and faults.

See `minigrad_cudasim.api`.
"""

from minigrad_cudasim.api import ORDERS as ORDERS
from minigrad_cudasim.api import Fault as Fault
from minigrad_cudasim.api import Party as Party
from minigrad_cudasim.api import Report as Report
from minigrad_cudasim.api import SimulatedArray as SimulatedArray
from minigrad_cudasim.api import Site as Site
from minigrad_cudasim.api import activate as activate
from minigrad_cudasim.api import check as check
from minigrad_cudasim.api import empty as empty
from minigrad_cudasim.api import launch as launch
from minigrad_cudasim.api import model as model
from minigrad_cudasim.api import simulate as simulate
from minigrad_cudasim.api import simulated as simulated
from minigrad_cudasim.api import unwritten as unwritten

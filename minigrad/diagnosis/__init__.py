"""The doctor: names mistakes in a model, its data, its loss and its training.

`mg.doctor(model, optimizer, loader, loss)` looks at what is to be trained; a `Trainer` has a
`Doctor` beside it; `minigrad doctor script.py` looks at a program.  Every kind of mistake has a
code and a page, docs/doctor/MG101.md say.
"""

from minigrad.diagnosis.doctor import Doctor as Doctor
from minigrad.diagnosis.findings import CHECKS as CHECKS
from minigrad.diagnosis.findings import DoctorError as DoctorError
from minigrad.diagnosis.findings import DoctorWarning as DoctorWarning
from minigrad.diagnosis.findings import Finding as Finding
from minigrad.diagnosis.findings import Report as Report
from minigrad.diagnosis.watching import Program as Program
from minigrad.diagnosis.watching import watched as watched

"""The suite in plain mode (MINIGRAD_PLAIN=1): what that mode has not, and what equal bits become.

`make test-plain` runs it.  `ABSENT` leaves out the tests of what plain mode refuses (devices,
comparisons, the compiler and its cache), and what only measures compiled kernels beside their
references, which plain mode would compare with themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit import plain

COMPILED = "looks into compiled kernels, and plain mode has none"
ITSELF = "compares kernels with their references, which in plain mode are the kernels"
DEVICES = "needs a device, and plain mode has the CPU alone"
ROUNDING = "measures how float32 kernels round, and references round float64 results once"
THREADS = "asks for two threads, and plain mode runs on one"
FIVE_TIMES = "trains five times; tests/test_plain.py trains the same once"
SOURCES = "reads sources, which are the same in both modes"
HOT_PATHS = "leaves out the hot paths, as plain mode does"
TRAINS = "trains for long; in plain mode the example's small run alone"
MUTANTS = "changes the sources of rules, which are the same in both modes; it takes minutes"
# A folder, a file, or a test of a file with all its parameters: why it is left out in plain mode.
ABSENT = {
    "kernels/minigrad_cudasim": DEVICES,
    "kernels/minigrad_kernels": COMPILED,
    "minigrad/compare.py": COMPILED,
    "minigrad/cuda.py::minigrad.cuda.Event": DEVICES,
    "tests/autodiff/test_vmap_lanes.py::test_arrays_of_the_simulated_gpu_are_mapped_too": DEVICES,
    "tests/optim/test_by_parameter.py": DEVICES,
    "minigrad/cuda.py::minigrad.cuda.ExternalStream": DEVICES,
    "minigrad/cuda.py::minigrad.cuda.Stream": DEVICES,
    "tests/capturing/test_captured_memory.py::test_many_replays_leave_no_memory_behind": COMPILED,
    "tests/capturing/test_fused_programs.py": ROUNDING,
    "tests/capturing/test_planning.py::test_launches_of_python_come_first_where_they_may": COMPILED,
    "tests/capturing/test_tables.py": COMPILED,
    "tests/cuda_device": DEVICES,
    "tests/cuda_pretended": DEVICES,
    "tests/cuda_simulated": DEVICES,
    "tests/engine/test_copies.py::test_a_copied_training_on_the_device": DEVICES,
    "tests/engine/test_copies.py::test_views_on_the_device_stay_views_of_one_memory": DEVICES,
    "tests/engine/test_device.py": DEVICES,
    "tests/engine/test_device_ops.py": DEVICES,
    "tests/engine/test_device_reads.py": DEVICES,
    "tests/engine/test_fast.py::test_the_heart_passes_its_tests_without_the_hot_paths": HOT_PATHS,
    "tests/engine/test_hooks.py::test_a_gradient_on_another_device_is_refused": DEVICES,
    "tests/engine/test_index_grammar.py::test_as_pytorch_on_the_simulated_device": DEVICES,
    "tests/engine/test_overlap_device.py": DEVICES,
    "tests/kernels": ITSELF,
    "tests/nn/test_windows.py::test_on_the_simulated_device": DEVICES,
    "tests/ops/test_peer_errors.py": ROUNDING,
    "tests/optim/test_every_optimizer.py::test_an_optimizer_on_the_simulated_gpu": DEVICES,
    "tests/optim/test_new_optimizer.py::test_a_new_optimizer_is_two_files": DEVICES,
    "tests/test_additions.py::test_additions_are_taken_up_everywhere": COMPILED,
    "tests/test_benchmarks.py": COMPILED,
    "tests/test_checking_command.py::test_the_mutation_score_of_all_rules": MUTANTS,
    "tests/test_cli.py::test_digits_reach_their_score": FIVE_TIMES,
    "tests/test_examples.py::test_a_cnn_is_ahead_only_where_points_are_in_order": TRAINS,
    "tests/test_examples.py::test_ablation_reports_every_variant": TRAINS,
    "tests/test_examples.py::test_dropout_keeps_the_test_loss_down": TRAINS,
    "tests/test_examples.py::test_fashion_mnist_learns_and_writes_what_it_measured": TRAINS,
    "tests/test_examples.py::test_steps_are_timed_beside_torch": THREADS,
    "tests/test_gpu_benchmark.py": DEVICES,
    "tests/test_layers.py": SOURCES,
    "tests/test_no_blas.py": COMPILED,
    "tests/test_numbers.py::test_a_number_may_come_in_any_type[mg.set_num_threads(2)]": THREADS,
    "tests/train/test_resume.py::test_other_thread_counts_end_in_the_same_bytes": THREADS,
    "tests/train/test_resume_files.py::test_killed_at_random_moments_it_ends_in_the_bytes_of_the_run"
    "_that_was_not": THREADS,
}
ULPS = 8  # of the largest number: a few roundings to float32 that a fused kernel has or has not


def why_absent(node: str) -> str | None:
    """Return why a test, by pytest's name for it, is left out in plain mode; None where it is not.

    A parameter "cuda-sim" is a device.

    >>> why_absent("tests/kernels/test_adam.py::test_steps[3]") == ITSELF
    True
    >>> why_absent("tests/test_plain.py::test_stand_ins_leave_no_trace")
    """
    if "cuda-sim" in node.partition("[")[2]:
        return DEVICES
    for name, why in ABSENT.items():
        if node == name or (node.startswith(name) and node[len(name)] in "/:["):
            return why
    return None


def assert_same_bits(got: Any, want: Any, size: float | None = None) -> None:
    """Hold two ways to the same numbers to equal bits.

    In plain mode only to `ULPS` of the largest: a reference rounds its result once, and several in
    a row round as often.

    size: the largest of the numbers that were added up, where they cancel; else that of `want`.
    """
    if not plain.ON:
        np.testing.assert_array_equal(got, want)
        return
    want = np.asarray(want)
    if size is None:
        size = np.max(np.abs(want), initial=0.0, where=np.isfinite(want))
    atol = ULPS * np.finfo(want.dtype).eps * size if want.dtype.kind == "f" else 0
    np.testing.assert_allclose(got, want, rtol=0, atol=atol)

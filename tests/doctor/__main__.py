"""Measure the doctor on the collection: `python -m tests.doctor` prints the table of the docs, with
`--fresh` that of the programs its thresholds were not set on, with `--public` that of programs
that people asked about, beside their answers.
"""

from __future__ import annotations

import sys

from tests.doctor import fresh, public
from tests.doctor.collection import CLEAN, FAULTY, judged


def main(words: list[str]) -> None:
    """Run all programs, or those whose source or name holds one of some words."""
    counts: dict[str, list[int]] = {}
    for program in [*FAULTY, *CLEAN]:
        label = f"{program.source}: {program.name}"
        if words and not any(word in label for word in words):
            continue
        right, codes = judged(program)
        count = counts.setdefault(program.source, [0, 0])
        count[0] += right
        count[1] += 1
        if not right or words:
            asked = " ".join(sorted(program.codes)) or "nothing"
            print(f"{'ok  ' if right else 'MISS'} {label}: {' '.join(codes)} ({asked})", flush=True)
    print("\n| collection | programs | rightly judged |\n| --- | ---: | ---: |")
    for source, (right_ones, total) in counts.items():
        print(f"| {source} | {total} | {right_ones} |")


if sys.argv[1:2] == ["--fresh"]:
    fresh.table(sys.argv[2:])
elif sys.argv[1:2] == ["--public"]:
    public.table(sys.argv[2:])
else:
    main(sys.argv[1:])

"""Ops: one class each, `forward` on arrays, `backward` in tensor operations (`tape.Op`)."""

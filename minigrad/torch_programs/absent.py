"""What of PyTorch cannot be had here, and why: said where it is used, not where it is named."""

from __future__ import annotations

from typing import Any

from minigrad.tensors.conveniences import KINDS
from minigrad.torch_programs.amp import same
from minigrad.torch_programs.devices import no, nothing

ONE_GROUP = "all processes are one group; see docs/distributed.md for what they can do together"
NO_SCRIPT = "there is no TorchScript; call the function or the module as it is"
NO_EXPORT = "there is no export; save the weights with torch.save(model.state_dict(), path)"
MOVE = "make the tensor as torch.FloatTensor(...) and the like do, and move it with .cuda()"


def script(function: Any = None, *_: Any, **__: Any) -> Any:
    """Refuse to compile a module; leave a function, for which it is a decorator, as it is."""
    return function


REFUSED: dict[str, dict[str, str]] = {
    "torch": {
        "sparse_coo_tensor": "there are no sparse tensors; use a dense one",
        "quantize_per_tensor": "there are no quantised tensors",
        "view_as_complex": "there are no complex tensors; keep real and imaginary parts apart",
        "view_as_real": "there are no complex tensors; keep real and imaginary parts apart",
        "complex": "there are no complex tensors; keep real and imaginary parts apart",
        "polar": "there are no complex tensors; keep real and imaginary parts apart",
    },
    "torch.distributed": dict.fromkeys(
        ("gather", "irecv", "isend", "new_group", "recv", "reduce_scatter", "scatter", "send"),
        ONE_GROUP,
    ),
    "torch.jit": dict.fromkeys(("load", "save", "script_if_tracing", "trace"), NO_SCRIPT),
    "torch.onnx": dict.fromkeys(("dynamo_export", "export"), NO_EXPORT),
    "torch.export": {"export": NO_EXPORT},
    "torch.hub": {"load": "nothing is downloaded; get the weights and load their state_dict"},
    "torch.cuda": dict.fromkeys(KINDS.values(), MOVE),
}
DISTRIBUTED: dict[str, Any] = {
    "is_nccl_available": no,
    "is_torchelastic_launched": no,
}
JIT: dict[str, Any] = {
    "script": script,
    "ignore": same,
    "export": same,
    "unused": same,
    "is_scripting": no,
    "is_tracing": no,
}
COMPILER: dict[str, Any] = {
    "disable": same,
    "is_compiling": no,
    "is_dynamo_compiling": no,
    "reset": nothing,
}
ABSENT = {
    "torch._dynamo": "nothing is compiled from Python code here",
    "torch._inductor": "nothing is compiled from Python code here",
    "torch.fx": "there is no tracer of programs; `minigrad.Tape` lists the ops that ran",
    "torch.ao": "there are no quantised tensors",
    "torch.quantization": "there are no quantised tensors",
    "torch.sparse": "there are no sparse tensors",
    "torch.utils.cpp_extension": "there is no C++ to extend; see docs/new_op.md",
    "torch.distributed.fsdp": ONE_GROUP,
}

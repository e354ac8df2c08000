"""Functions that kernels call: optimized IR for their callers to link in, no machine code.

Numba compiles a function that another one calls as if Python called it too: to machine code, and
with a wrapper that unpacks Python's arguments.  Nobody uses either, since a caller links in the
IR.  Of some 115 functions behind a first training step a dozen are called from Python; leaving the
others at their IR saves a fifth of the compiler's time.  A function that Python calls later is then
compiled in full.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from llvmlite import binding as llvm
from numba.core.codegen import JITCodeLibrary, RuntimeLinker
from numba.core.compiler import CompileResult, Flags, compile_extra
from numba.core.dispatcher import _FunctionCompiler

KIND = "linked"  # of a record that holds IR alone


class Library(JITCodeLibrary):
    """Code that other libraries link in; no engine holds it, so nothing in it has an address."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Refuse: who wants an address compiles the function from Python first."""
        raise RuntimeError(f"{name} has no machine code: it was compiled for its callers alone")

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """Return what `restored` makes a library of; Numba asks for it under this name."""
        return self.name, KIND, self._get_module_for_linking().as_bitcode()


class Entry:
    """Stands for a function that has no address, as the key by which Numba finds its code."""


class Compiler(_FunctionCompiler):
    """Numba's compiler of one function, which stops at the IR while `linked` is set."""

    linked = False

    def _compile_core(self, args: Any, return_type: Any) -> Any:
        code = self.py_func.__code__
        if not self.linked or self.py_func.__name__ in code.co_names + code.co_freevars:
            return super()._compile_core(args, return_type)  # who calls itself needs an address
        flags = Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        context = self.targetdescr.target_context
        result = compile_extra(
            self.targetdescr.typing_context,
            context,
            self.py_func,
            args=args,
            return_type=return_type,
            flags=flags,
            locals=self.locals,
            library=Library(context.codegen(), self.py_func.__qualname__),
            pipeline_class=self.pipeline_class,
        )
        refuse_circles(result.library)
        return entered(result, context)


def refuse_circles(library: Any) -> None:
    """Raise for functions that call each other in a circle.

    Raises: RuntimeError.
    """
    library._ensure_finalized()
    prefix = RuntimeLinker.PREFIX
    names = [value.name for value in library._final_module.global_variables]
    wanted = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    if wanted - library.codegen._rtlinker._defined:
        raise RuntimeError(
            f"jit: {library.name} calls itself by way of another kernel, which has no machine code "
            "of its own to come back to; make one function of the two"
        )


def entered(result: Any, context: Any) -> Any:
    """Return a compiled function's result under a key by which its callers' code finds it."""
    result = result._replace(entry_point=Entry())
    context.insert_user_function(result.entry_point, result.fndesc, [result.library])
    return result


def is_linked(result: Any) -> bool:
    """Return whether a compiled function is IR alone."""
    return isinstance(result.library, Library)


def link_environments(result: Any) -> None:
    """Have machine code find the constants of the functions that it links in, e.g. what they print.

    Numba does so for each function as it gets its own machine code, and for what a cache holds.
    """
    for environment in result._find_referenced_environments():
        result.codegen.set_env(environment.env_name, environment)


def restored(context: Any, record: tuple[Any, ...]) -> Any:
    """Return the result that a record of `CompileResult._reduce` was made from; None of others."""
    (name, kind, code), fndesc, environment, signature, objectmode, lifted, note, *more = record
    if kind != KIND:
        return None
    library = Library(context.codegen(), name)
    library._final_module = library._shared_module = llvm.parse_bitcode(code)
    library._finalized = True
    reload_init, referenced = more
    for function in reload_init:
        function()
    return CompileResult(
        typing_context=context.typing_context,
        target_context=context,
        entry_point=Entry(),
        typing_error=None,
        type_annotation=note,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        fndesc=fndesc,
        library=library,
        call_helper=None,
        environment=environment,
        metadata=None,
        reload_init=reload_init,
        referenced_envs=referenced,
    )


class Callers:
    """Whether what is compiled next is for a caller that links it in; under the compiler's lock."""

    asking = False

    @contextlib.contextmanager
    def ask(self, asking: bool) -> Iterator[bool]:
        """Set it for a while; yields what it was."""
        before, self.asking = self.asking, asking
        try:
            yield before
        finally:
            self.asking = before


CALLERS = Callers()

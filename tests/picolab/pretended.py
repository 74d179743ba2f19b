"""A GPU pretended on the CPU, which tells where a real one would be waited for.

Its tensors say that they are on a device of their own, and hold the values on the CPU. Within
`Pretended`, what works on them computes on the CPU, and raises `Mistake` where CUDA would raise:
tensors of both devices in one operation, a generator of the other device. While it is `running` it
raises `Waits` where the CPU would wait for a GPU: values are read, shapes depend on values, or
memory that is not pinned is copied.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule as Backend
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as set_up

NAME = "pretended"
READS_VALUES = {
    "_local_scalar_dense", "bincount", "equal", "is_nonzero", "item", "masked_select", "nonzero",
    "repeat_interleave", "unique_consecutive", "unique_dim", "_unique", "_unique2",
}  # fmt: skip
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
COPIES = {"_to_copy", "copy_"}
# Make no kernel: they give other views of the same memory, or memory with nothing in it.
FREE = {
    "_reshape_alias", "_unsafe_view", "alias", "as_strided", "detach", "empty", "empty_like",
    "empty_strided", "expand", "permute", "select", "slice", "split", "split_with_sizes", "squeeze",
    "t", "transpose", "unbind", "unfold", "unsqueeze", "view",
}  # fmt: skip


class Mistake(RuntimeError):
    """What a real GPU refuses."""


class Waits(RuntimeError):
    """What waits for a real GPU."""


class OnDevice(torch.Tensor):
    """A tensor of the pretended device; `held` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=NAME
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        raise Mistake(f"{function}: outside of `Pretended`")


class Module(Backend):
    """What `torch.cuda` is to CUDA."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: torch.device) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: torch.device) -> None:
        torch.set_rng_state(state)


def pretended_device() -> torch.device:
    """The device, which a process can have once."""
    if not hasattr(torch, NAME):
        set_up(NAME, Module())
    return torch.device(NAME)


class Pretended(TorchDispatchMode):
    """The device at work; `kernels` counts what it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.running = False
        self.kernels: Counter[str] = Counter()
        self.stack = ExitStack()

    def __enter__(self) -> Pretended:
        # Autograd's threads of a device start before this one is there.
        self.stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.stack.close()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = dict(kwargs or {})
        name = function.overloadpacket.__name__
        given = tree_leaves((args, kwargs))
        device = kwargs.get("device")
        there = any(isinstance(x, OnDevice) for x in given)
        goes_there = there if device is None else torch.device(device).type == NAME
        if name == "is_pinned":
            return hasattr(args[0], "pinned")
        if name == "_pin_memory":
            pinned = args[0].clone()
            pinned.pinned = True
            return pinned
        if not there and not goes_there:
            return function(*args, **kwargs)
        self._check(name, given, args, kwargs, goes_there)
        if name not in FREE:
            self.kernels[name] += 1
        if device is not None:
            kwargs["device"] = torch.device("cpu")
        inner = tree_map_only(OnDevice, lambda x: x.held, (args, kwargs))
        result = function(*inner[0], **inner[1])
        if not goes_there:
            return result
        result = tree_map_only(Tensor, OnDevice, result)
        return return_and_correct_aliasing(function, args, kwargs, result) if there else result

    def _check(self, name: str, given: list[Any], args: Any, kwargs: Any, to: bool) -> None:
        if any(isinstance(x, torch.Generator) for x in given):
            raise Mistake(f"{name}: the generator is of the CPU")
        tensors = [x for x in given if isinstance(x, Tensor)]
        ours = [x for x in tensors if isinstance(x, OnDevice)]
        others = [x for x in tensors if not isinstance(x, OnDevice) and x.ndim]
        if name in COPIES:
            source = args[1] if name == "copy_" else args[0]
            crosses = len(ours) < len(tensors) or isinstance(source, OnDevice) != to
            at_once = bool(kwargs.get("non_blocking")) or args[2:3] == (True,)
            free = at_once and hasattr(source, "pinned")
            if self.running and crosses and not free:
                raise Waits(f"{name}: between devices")
        elif ours and others:
            raise Mistake(f"{name}: tensors of both devices")
        if not self.running:
            return
        if name in READS_VALUES:
            raise Waits(name)
        masks = [x for x in tree_leaves(args[1:2]) if isinstance(x, Tensor)]
        if name in INDEXES and any(m.dtype in (torch.bool, torch.uint8) for m in masks):
            raise Waits(f"{name}: by a mask")

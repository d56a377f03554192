"""A plan: every array that a layer needs for inputs of given shapes, found by running it.

A layer runs on a blank plan as it would on its params. The plan hands out zeros, and
keeps a note of every slot that was read, from which `fill` makes the arrays.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from jdl.core.errors import ShapeError
from jdl.core.parts import Array, Planned, Shape, Slot


@jax.tree_util.register_static
class Plan:
    """A blank tree. A layer that runs on it leaves a note of every slot it reads.

    Attributes:
      slots: the arrays of this layer, by name.
      children: the plans of its parts, by name.
      output: shapes and dtypes of what the layer returned.
      unused: paths of declared parts that were never called.
      adjust: functions of the params and state that were filled in here, which return them
        with initial values that depend on others.
    """

    def __init__(self, copies: Shape = ()):
        self.slots: dict[str, Planned] = {}
        self.children: dict[str, Plan] = {}
        self.output: Any = None
        self.unused: list[str] = []
        self.adjust: list[Callable[[dict, dict], tuple[dict, dict]]] = []
        self.copies = copies

    def read(self, name: str, slot: Slot, shape: Shape) -> Array:
        """Notes a slot, and hands out zeros in its place."""
        planned = Planned(type(slot), slot.init, shape, slot.dtype, self.copies)
        first = self.slots.setdefault(name, planned)
        if first.shape != shape:
            raise ShapeError(
                f"{name!r} is shared by calls that need different shapes, "
                f"{first.shape} and {shape}: declare one part for each"
            )
        return jax.lax.full(shape, 0, slot.dtype)

    def get(self, name: str, default: Any = None) -> "Plan":
        """The plan of a part."""
        return self.children.setdefault(name, Plan(self.copies))

    def keys(self) -> tuple[str, ...]:
        """None: `{**plan}` is empty."""
        return ()

    def stacked(self, size: int) -> "Plan":
        """The same plan, where every slot read through it gets a new first axis."""
        view = Plan((*self.copies, size))
        view.slots, view.children = self.slots, self.children
        view.unused, view.adjust = self.unused, self.adjust
        return view

    def walk(self, path: str = "") -> Iterator[tuple[str, Planned]]:
        """Every slot with its path, such as `("head/kernel", ...)`, in order of reading."""
        for name, slot in self.slots.items():
            yield f"{path}{name}", slot
        for name, child in self.children.items():
            yield from child.walk(f"{path}{name}/")

    def uncalled(self, path: str = "") -> Iterator[str]:
        """Paths of the parts that were declared and never called."""
        yield from (f"{path}{name}" for name in self.unused)
        for name, child in self.children.items():
            yield from child.uncalled(f"{path}{name}/")

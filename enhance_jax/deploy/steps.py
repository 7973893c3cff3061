"""A network as a flat list of primitive steps on arrays of open sizes.

JAX traces it with symbolic batch, height and width. Calls are dissolved, and
all that depends on weights alone is computed here.
"""

import dataclasses
from typing import Any

import numpy as np

from enhance_jax.deploy import network

# Primitives that only call what is inside them.
CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")


@dataclasses.dataclass(eq=False)
class Ref:
  """An array of the network.

  Attributes:
    shape: its sides; those that are left open are JAX's symbolic dimensions.
    dtype: its type.
    value: what it is, where that is known; may lack the length of axes along
      which it is constant.
  """

  shape: tuple[Any, ...]
  dtype: np.dtype
  value: np.ndarray | None = None

  @property
  def empty(self) -> bool:
    """Whether it has no elements."""
    return any(isinstance(side, int) and side == 0 for side in self.shape)


@dataclasses.dataclass(eq=False)
class Step:
  """One operation: its name, what it takes, what it gives, its parameters."""

  op: str
  inputs: list[Ref]
  outputs: list[Ref]
  params: dict[str, Any]


@dataclasses.dataclass(eq=False)
class Program:
  """The steps, in order, from the picture to the result."""

  lr: Ref
  steps: list[Step]
  sr: Ref


def trace(run: network.Forward, shape: tuple[Any, ...]) -> Program:
  """The steps of `run` on float32 pictures of a shape.

  Args:
    run: of `network.forward`.
    shape: [N, h, w, C], symbolic or not.
  """
  import jax

  spec = jax.ShapeDtypeStruct(shape, np.float32)
  closed = jax.jit(run).trace(spec).jaxpr
  lr, found = _ref(closed.jaxpr.invars[0].aval), []
  (sr,) = _inline(closed, [lr], found)
  return Program(lr, alive(found, sr), sr)


def alive(found: list[Step], result: Ref) -> list[Step]:
  """The steps without those that the result does not hang on."""
  needed, kept = {result}, []
  for step in reversed(found):
    if needed.intersection(step.outputs):
      needed.update(step.inputs)
      kept.append(step)
  return kept[::-1]


def _ref(aval: Any, value: np.ndarray | None = None) -> Ref:
  return Ref(tuple(aval.shape), np.dtype(aval.dtype), value)


def _inline(closed: Any, inputs: list[Ref], found: list[Step]) -> list[Ref]:
  jaxpr = closed.jaxpr
  known = dict(zip(jaxpr.invars, inputs, strict=True))
  for variable, value in zip(jaxpr.constvars, closed.consts, strict=True):
    known[variable] = _ref(variable.aval, np.asarray(value))

  def read(atom: Any) -> Ref:
    if hasattr(atom, "val"):
      return _ref(atom.aval, np.asarray(atom.val, atom.aval.dtype))
    return known[atom]

  for equation in jaxpr.eqns:
    taken = [read(atom) for atom in equation.invars]
    params = equation.params
    if equation.primitive.name in CALLS:
      inner = params.get("jaxpr") or params["call_jaxpr"]
      given = _inline(inner, taken, found)
    else:
      given = _apply(equation, taken, found)
    known.update(zip(equation.outvars, given, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, taken: list[Ref], found: list[Step]) -> list[Ref]:
  """The results of one primitive; it becomes a step unless they are known."""
  given = [_ref(variable.aval) for variable in equation.outvars]
  name, params = equation.primitive.name, equation.params
  if taken and all(ref.value is not None for ref in taken):
    if name == "broadcast_in_dim":
      given[0].value = _spread(taken[0], given[0], params)
      return given
    if all(isinstance(side, int) for ref in given for side in ref.shape):
      _compute(equation, taken, given)
      return given
  found.append(Step(name, taken, given, params))
  return given


def _spread(x: Ref, y: Ref, params: dict[str, Any]) -> np.ndarray:
  """Axes of length 1 in the right places; arithmetic stretches them."""
  value = x.value
  assert value is not None
  sides = [1] * len(y.shape)
  for place, side in zip(
    params["broadcast_dimensions"], value.shape, strict=True
  ):
    sides[place] = side
  return value.reshape(sides)


def _compute(equation: Any, taken: list[Ref], given: list[Ref]) -> None:
  values = []
  for ref in taken:
    assert ref.value is not None
    values.append(np.broadcast_to(ref.value, ref.shape))
  results = equation.primitive.bind(*values, **equation.params)
  if not equation.primitive.multiple_results:
    results = [results]
  for ref, result in zip(given, results, strict=True):
    ref.value = np.asarray(result)

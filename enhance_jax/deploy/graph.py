"""An ONNX graph under construction: names, constants, open sizes.

Arrays of four axes, [N, H, W, C] in the project, are kept as [N, C, H, W],
which is what runtimes compute convolutions in; all others as they are.
"""

import ast
from typing import Any

import numpy as np

from enhance_jax import errors
from enhance_jax.deploy.steps import Ref

# What runtimes since 2022 read; everything needed is in it.
OPSET, IR_VERSION = 17, 8
TO_PLANES = (0, 3, 1, 2)
FROM_PLANES = (0, 2, 3, 1)
_ARITHMETIC: dict[type, str] = {
  ast.Add: "Add",
  ast.Sub: "Sub",
  ast.Mult: "Mul",
}


class Graph:
  """Nodes in order, and the names of their arrays.

  Attributes:
    nodes: of the ONNX package.
    constants: name -> array.
    sides: "b", "h", "w" -> name of the number that is this open size.
  """

  def __init__(self) -> None:
    self.nodes: list[Any] = []
    self.constants: dict[str, np.ndarray] = {}
    self.sides: dict[str, str] = {}
    self._names: dict[Ref, str] = {}
    self._shared: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    self._count = 0

  def node(
    self, op: str, inputs: list[str], outputs: int = 1, **attributes: Any
  ) -> list[str]:
    """Adds a node; returns the names of its outputs."""
    from onnx import helper

    self._count += 1
    stem = f"{op.lower()}_{self._count}"
    names = [f"{stem}_{i}" if i else stem for i in range(outputs)]
    self.nodes.append(
      helper.make_node(op, inputs, names, name=stem, **attributes)
    )
    return names

  def one(self, op: str, *inputs: str, **attributes: Any) -> str:
    """Adds a node of one output; returns that one's name."""
    return self.node(op, list(inputs), **attributes)[0]

  def constant(self, value: Any, dtype: Any = np.int64) -> str:
    """The name of an array; equal ones are stored once."""
    array = np.asarray(value, dtype)
    key = (str(array.dtype), array.shape, array.tobytes())
    if key not in self._shared:
      self._shared[key] = f"constant_{len(self._shared)}"
      self.constants[self._shared[key]] = array
    return self._shared[key]

  def name(self, ref: Ref, name: str) -> None:
    """Says what the array is called, [N, C, H, W] if it has four axes."""
    self._names[ref] = name

  def get(self, ref: Ref) -> str:
    """The name of an array, [N, C, H, W] if it has four axes."""
    if ref.value is None:
      return self._names[ref]
    value = ref.value
    if np.issubdtype(value.dtype, np.integer):
      return self.constant(value)
    if value.ndim == 4:
      value = value.transpose(TO_PLANES)
    return self.constant(value, value.dtype)

  def get_plain(self, ref: Ref) -> str:
    """The name of an array with its axes in the project's order."""
    if ref.value is not None:
      return self.constant(ref.value, ref.value.dtype)
    name = self._names[ref]
    if len(ref.shape) != 4:
      return name
    return self.one("Transpose", name, perm=list(FROM_PLANES))

  def name_plain(self, ref: Ref, name: str) -> None:
    """Takes an array whose axes are in the project's order."""
    if len(ref.shape) == 4:
      name = self.one("Transpose", name, perm=list(TO_PLANES))
    self.name(ref, name)

  def shape(self, sides: tuple[Any, ...]) -> str:
    """The name of a shape as an array [rank]."""
    if all(isinstance(side, int) for side in sides):
      return self.constant(sides)
    numbers = [
      self.one("Reshape", self.side(s), self.constant([1])) for s in sides
    ]
    return self.one("Concat", *numbers, axis=0)

  def side(self, side: Any) -> str:
    """The name of a size as a number, such as "2*h + 4"."""
    text = str(side)
    if text not in self.sides:
      tree = ast.parse(text.replace("^", "**"), mode="eval").body
      self.sides[text] = self._number(tree, text)
    return self.sides[text]

  def finish(self, result: str, name: str) -> None:
    """Renames the result, and drops the nodes and constants it does not use."""
    needed, kept = {result}, []
    for node in reversed(self.nodes):
      if needed.intersection(node.output):
        needed.update(node.input)
        kept.append(node)
    self.nodes = kept[::-1]
    for node in self.nodes:
      node.output[:] = [name if n == result else n for n in node.output]
      node.input[:] = [name if n == result else n for n in node.input]
    self.constants = {k: v for k, v in self.constants.items() if k in needed}

  def _number(self, tree: ast.expr, text: str) -> str:
    match tree:
      case ast.Constant(value=int(number)):
        return self.constant(number)
      case ast.Name(id=name) if name in self.sides:
        return self.sides[name]
      case ast.UnaryOp(op=ast.USub(), operand=inner):
        return self.one("Neg", self._number(inner, text))
      case ast.BinOp(left=a, op=op, right=b) if type(op) in _ARITHMETIC:
        pair = self._number(a, text), self._number(b, text)
        return self.one(_ARITHMETIC[type(op)], *pair)
      case _:
        raise errors.EnhanceError(
          f"the network has an array with a side of {text}, for which no ONNX "
          "is written; use --format=stablehlo, or --size=HEIGHTxWIDTH"
        )


def axis_of(ref: Ref, axis: int) -> int:
  """Where an axis of the project's order is in the graph's."""
  return TO_PLANES.index(axis) if len(ref.shape) == 4 else axis

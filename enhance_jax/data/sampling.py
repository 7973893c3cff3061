"""Which crop of which picture, at which step: one definition for every loader.

Sample number k is a pure function of (seed, k). The Grain loader reads the
picture and cuts the crop on the host; the resident loader sends only the plan
(picture, corner, flip, turn) and cuts on the device. Both draw from the same
stream here, so they train on the same pixels.
"""

import dataclasses
from typing import Any

import grain
import numpy as np


@dataclasses.dataclass(frozen=True)
class Drawing:
  """How a crop is drawn.

  Attributes:
    crop: height and width of the HR crop in pixels.
    flip: mirror left-right with probability one half.
    turn: rotate by a random multiple of 90 degrees; square crops only.
  """

  crop: tuple[int, int]
  flip: bool
  turn: bool

  def draw(
    self, height: int, width: int, rng: np.random.Generator
  ) -> dict[str, np.int32]:
    """Corner, flip (0 or 1) and quarter turns (0-3) of one crop."""
    top = rng.integers(height - self.crop[0] + 1)
    left = rng.integers(width - self.crop[1] + 1)
    flip = rng.integers(2) if self.flip else 0
    turn = rng.integers(4) if self.turn else 0
    return {
      "top": np.int32(top),
      "left": np.int32(left),
      "flip": np.int32(flip),
      "turn": np.int32(turn),
    }


class CutCrop(grain.transforms.RandomMap):
  """A picture, uint8 [H, W, C], to {"hr": uint8 [*crop, C]}."""

  def __init__(self, drawing: Drawing):
    self._drawing = drawing

  def random_map(
    self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.ndarray]:
    """Draws and cuts one crop."""
    height, width = element.shape[:2]
    plan = self._drawing.draw(height, width, rng)
    rows, columns = self._drawing.crop
    crop = element[
      plan["top"] : plan["top"] + rows, plan["left"] : plan["left"] + columns
    ]
    if plan["flip"]:
      crop = crop[:, ::-1]
    return {"hr": np.ascontiguousarray(np.rot90(crop, int(plan["turn"])))}


class PlanCrop(grain.transforms.RandomMap):
  """A row (number, height, width) to the plan of one crop, all int32."""

  def __init__(self, drawing: Drawing):
    self._drawing = drawing

  def random_map(
    self, element: np.ndarray, rng: np.random.Generator
  ) -> dict[str, np.int32]:
    """Draws one crop without touching pixels."""
    number, height, width = element
    plan = self._drawing.draw(int(height), int(width), rng)
    return {"picture": np.int32(number), **plan}


def batches(
  source: Any,
  transform: grain.transforms.RandomMap,
  *,
  seed: int,
  batch_size: int,
  process: int,
  processes: int,
) -> grain.MapDataset:
  """Element s is this process's share of the batch of step s.

  Epochs are shuffled without end; the processes' shares of a step together are
  the batch that a single process would draw.

  Args:
    source: random access to pictures or rows.
    transform: `CutCrop` or `PlanCrop`.
    seed: of the run.
    batch_size: of this process.
    process: this process's number.
    processes: how many there are.
  """
  dataset = grain.MapDataset.source(source).seed(seed).shuffle().repeat(None)
  dataset = dataset.random_map(transform)
  return dataset[process::processes].batch(batch_size)

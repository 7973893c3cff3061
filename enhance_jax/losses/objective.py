"""A phase's objective: every term named, weighed and summed in one place."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from enhance_jax import registry
from enhance_jax.losses import adversarial, perceptual, pixel

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Ramp:
  """A weight that moves linearly between two values.

  Attributes:
    start: the weight up to update `begin` of the phase.
    end: the weight from update `begin` + `steps` on.
    begin: updates of the phase before it moves.
    steps: updates that it moves for.
  """

  start: float
  end: float
  begin: int
  steps: int

  def at(self, step: Array) -> Array:
    """The weight at update `step` of the phase, float32."""
    share = (step - self.begin) / max(self.steps, 1)
    share = jnp.clip(share.astype(jnp.float32), 0.0, 1.0)
    return self.start + (self.end - self.start) * share


@dataclasses.dataclass(frozen=True)
class Judgement:
  """What a discriminator says of a batch.

  Attributes:
    logits: float32 [N], or a map [N, h, w].
    features: activations after each convolution.
  """

  logits: Array
  features: Sequence[Array]


@dataclasses.dataclass(frozen=True)
class Example:
  """What a generator's loss looks at.

  Attributes:
    step: int32, updates done in the phase.
    sr: float32 [N, H, W, C] in [0, 1], the generator's output.
    hr: float32 [N, H, W, C] in [0, 1], what it aims at.
    real: the discriminator's word on the real pictures, where one takes part.
    fake: its word on `sr`.
    teacher: the teacher's output, like `sr`, where there is one.
  """

  step: Array
  sr: Array
  hr: Array
  real: Judgement | None = None
  fake: Judgement | None = None
  teacher: Array | None = None


@dataclasses.dataclass(frozen=True)
class Objective:
  """Loss terms and weights of one phase.

  Attributes:
    weights: term -> weight; terms of weight 0 are left out.
    game: which adversarial loss.
    label_smoothing: the real label is 1 minus this.
    penalty: on the discriminator's slope: "", "gradient" or "r1".
    penalty_weight: its factor.
    margin: pixels on every side that losses on pictures leave out.
    networks: ImageNet network -> its features: (params, pictures, taps, *,
      dtype) -> tap -> activations.
    dtype: type of these networks' convolutions.
  """

  weights: Mapping[str, float | Ramp]
  game: str = "bce"
  label_smoothing: float = 0.0
  penalty: str = ""
  penalty_weight: float = 10.0
  margin: int = 0
  networks: Mapping[str, Callable[..., dict[str, Array]]] = dataclasses.field(
    default_factory=dict
  )
  dtype: Any = jnp.float32

  @property
  def uses_discriminator(self) -> bool:
    """Whether a discriminator takes part."""
    return any(self.weights.get(t, 0) for t in ("adversarial", "features"))

  @property
  def uses_teacher(self) -> bool:
    """Whether a teacher takes part."""
    return bool(self.weights.get("teacher", 0))

  def generator(
    self, example: Example, constants: Mapping[str, Any]
  ) -> tuple[Array, dict[str, Array]]:
    """The generator's loss.

    Args:
      example: the batch.
      constants: holds the parameters of the ImageNet networks in use.

    Returns:
      The weighted sum; each term as it was before its weight, and the weights
      that move.
    """
    example = self._without_margin(example)
    features = self._features(example, constants)
    terms, total = {}, jnp.float32(0)
    for name, weight in self.weights.items():
      if not weight:
        continue
      value = jnp.mean(self._term(name, example, features))
      terms[f"loss/{name}"] = value
      if isinstance(weight, Ramp):
        weight = terms[f"weight/{name}"] = weight.at(example.step)
      total += weight * value
    return total, terms

  def _without_margin(self, example: Example) -> Example:
    if not self.margin:
      return example
    inside = slice(self.margin, -self.margin)

    def cut(x: Array | None) -> Array | None:
      return None if x is None else x[:, inside, inside]

    return dataclasses.replace(
      example,
      sr=example.sr[:, inside, inside],
      hr=example.hr[:, inside, inside],
      teacher=cut(example.teacher),
    )

  def _features(
    self, example: Example, constants: Mapping[str, Any]
  ) -> dict[str, tuple[dict[str, Array], dict[str, Array]]]:
    """Network -> activations of sr and of hr at every tap that a term reads."""
    taps: dict[str, set[str]] = {}
    for name, weight in self.weights.items():
      if weight and registry.PERCEPTUAL_LOSSES.get(name):
        term = perceptual.TERMS[name]
        taps.setdefault(term.network, set()).update(term.taps)
    found = {}
    for network, names in taps.items():
      look = functools.partial(
        self.networks[network],
        constants[network],
        taps=tuple(sorted(names)),
        dtype=self.dtype,
      )
      hr = jax.lax.stop_gradient(example.hr)
      found[network] = (look(_three(example.sr)), look(_three(hr)))
    return found

  def _term(
    self,
    name: str,
    example: Example,
    features: Mapping[str, tuple[dict[str, Array], dict[str, Array]]],
  ) -> Array:
    """One term of `generator`, [N]."""
    if name in ("adversarial", "features"):
      real, fake = example.real, example.fake
      assert real is not None and fake is not None
      if name == "features":
        return perceptual.feature_matching(fake.features, real.features)
      return adversarial.game(self.game).generator(real.logits, fake.logits)
    if name == "teacher":
      assert example.teacher is not None
      return pixel.l1(example.sr, example.teacher)
    if name in registry.PERCEPTUAL_LOSSES:
      term = perceptual.TERMS[name]
      if term.network:
        return term(*features[term.network])
      return term({"image": example.sr}, {"image": example.hr})
    loss = registry.lookup(registry.PIXEL_LOSSES, name, "loss")
    return loss(example.sr, example.hr)

  def discriminator(self, real: Judgement, fake: Judgement) -> Array:
    """The discriminator's loss without its penalty, a scalar."""
    return jnp.mean(
      adversarial.game(self.game).discriminator(
        real.logits, fake.logits, smoothing=self.label_smoothing
      )
    )

  def slope(
    self,
    critic: Callable[[Array], Array],
    hr: Array,
    sr: Array,
    key: Array,
  ) -> Array:
    """The penalty on the discriminator's slope before its weight, a scalar.

    Args:
      critic: pictures -> logits.
      hr: float32 [N, H, W, C] in [0, 1], real pictures.
      sr: the generated ones; no gradient goes into them.
      key: draws the places between them.
    """
    if self.penalty == "r1":
      return jnp.mean(adversarial.r1(critic, hr))
    sr = jax.lax.stop_gradient(sr)
    return jnp.mean(adversarial.gradient_penalty(critic, hr, sr, key))


def _three(x: Array) -> Array:
  """Gray pictures as three equal channels, for networks that know RGB."""
  return jnp.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x

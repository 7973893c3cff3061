"""A phase's objective: every term named, weighed and summed in one place."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from enhance_jax import registry
from enhance_jax.losses import adversarial, perceptual
from enhance_jax.models import vgg


@dataclasses.dataclass(frozen=True)
class Judgement:
  """What a discriminator says of a batch.

  Attributes:
    logits: float32 [N].
    features: activations after each convolution.
  """

  logits: jax.Array
  features: Sequence[jax.Array]


@dataclasses.dataclass(frozen=True)
class Objective:
  """Loss terms and weights of one phase.

  Attributes:
    weights: term -> weight; terms of weight 0 are left out.
    game: which adversarial loss.
    label_smoothing: the real label is 1 minus this.
    dtype: type of VGG19's convolutions.
  """

  weights: Mapping[str, float]
  game: str = "bce"
  label_smoothing: float = 0.0
  dtype: Any = jnp.float32

  @property
  def uses_discriminator(self) -> bool:
    """Whether a discriminator takes part."""
    return any(self.weights.get(t, 0) for t in ("adversarial", "features"))

  def generator(
    self,
    sr: jax.Array,
    hr: jax.Array,
    real: Judgement | None,
    fake: Judgement | None,
    vgg_params: Mapping | None,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The generator's loss.

    Args:
      sr: float32 [N, H, W, C] in [0, 1], the generator's output.
      hr: float32 [N, H, W, C] in [0, 1], the truth.
      real: the discriminator's word on `hr`, where one takes part.
      fake: its word on `sr`.
      vgg_params: VGG19's arrays, where a VGG term is used.

    Returns:
      The weighted sum, and each term as it was before its weight.
    """
    terms = {
      name: jnp.mean(self._term(name, sr, hr, real, fake, vgg_params))
      for name, weight in self.weights.items()
      if weight
    }
    weighted = (self.weights[name] * value for name, value in terms.items())
    total = sum(weighted, start=jnp.float32(0))
    return total, terms

  def _term(
    self,
    name: str,
    sr: jax.Array,
    hr: jax.Array,
    real: Judgement | None,
    fake: Judgement | None,
    vgg_params: Mapping | None,
  ) -> jax.Array:
    """One term of `generator`, [N]."""
    if name == "adversarial":
      assert real is not None and fake is not None
      game = adversarial.game(self.game)
      return game.generator(real.logits, fake.logits)
    if name == "features":
      assert real is not None and fake is not None
      return perceptual.feature_matching(fake.features, real.features)
    if name in perceptual.PRESETS:
      assert vgg_params is not None
      preset = perceptual.PRESETS[name]
      ours, truth = (
        vgg.features(vgg_params, x, (preset.tap,), dtype=self.dtype)[preset.tap]
        for x in (sr, jax.lax.stop_gradient(hr))
      )
      return preset(ours, truth)
    return registry.lookup(registry.PIXEL_LOSSES, name, "loss")(sr, hr)

  def discriminator(self, real: Judgement, fake: Judgement) -> jax.Array:
    """The discriminator's loss, a scalar."""
    return jnp.mean(
      adversarial.game(self.game).discriminator(
        real.logits, fake.logits, smoothing=self.label_smoothing
      )
    )

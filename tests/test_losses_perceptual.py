"""Perceptual terms: their published parts, by hand; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import backbones, errors, registry
from enhance_jax.losses import contextual, perceptual, style
from enhance_jax.models import alexnet, squeezenet, vgg

# One picture of 1x2 pixels with 3 channels: differences 1, 2, 3 and 0, 0, -2.
A = jnp.asarray([[[[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]]])
B = jnp.asarray([[[[0.0, 0.0, 0.0], [5.0, 5.0, 7.0]]]])


@pytest.mark.parametrize(
  ("norm", "reduce", "expected"),
  [
    # (14 + 4) / 2 pixels; a third of it with the mean over channels.
    ("l2", "paper", 9.0),
    ("l2", "mean", 3.0),
    # (6 + 2) / 2.
    ("l1", "paper", 4.0),
    ("l1", "mean", 4.0 / 3.0),
  ],
)
def test_feature_distance(norm, reduce, expected):
  found = perceptual.feature_distance(A, B, norm=norm, reduce=reduce)
  assert found.shape == (1,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, [expected], rtol=1e-6)


KNOWN_TAPS = {
  "vgg19": vgg.TAPS["vgg19"],
  "alexnet": alexnet.TAPS,
  "squeezenet": squeezenet.TAPS,
  "": ("image",),
}


@pytest.mark.parametrize("name", perceptual.TERMS)
def test_every_term_has_a_known_network_and_taps(name):
  term = perceptual.TERMS[name]
  assert term.taps and set(term.taps) <= set(KNOWN_TAPS[term.network])
  assert not term.network or term.network in backbones.NETWORKS


def test_the_registry_lists_the_same_terms():
  networks = {name: t.network for name, t in perceptual.TERMS.items()}
  assert networks == registry.PERCEPTUAL_LOSSES


# A picture of 1x2 pixels with 3 channels as in the distances above: "paper"
# squares sum to 9 a pixel, and so on.
@pytest.mark.parametrize(
  ("name", "weights", "expected"),
  [
    # Ledig et al.: after the activation, 0.006 times the paper's distance.
    ("vgg22", {"relu2_2": 0.006}, 0.006 * 9.0),
    ("vgg54", {"relu5_4": 0.006}, 0.006 * 9.0),
    # ESRGAN: before it, mean absolute difference.
    ("vgg54_pre", {"conv5_4": 1.0}, 4.0 / 3.0),
    # Real-ESRGAN: the weights sum to 3.2.
    (
      "vgg_multi",
      {
        "conv1_2": 0.1,
        "conv2_2": 0.1,
        "conv3_4": 1.0,
        "conv4_4": 1.0,
        "conv5_4": 1.0,
      },
      3.2 * 4.0 / 3.0,
    ),
    ("vgg34_l1", {"relu3_4": 1.0}, 4.0 / 3.0),
    ("alexnet", {"relu5": 1.0}, 3.0),
  ],
)
def test_published_terms(name, weights, expected):
  term = perceptual.TERMS[name]
  assert dict(zip(term.taps, term.weights, strict=True)) == weights
  found = term({tap: A for tap in weights}, {tap: B for tap in weights})
  assert found.shape == (1,) and found.dtype == jnp.float32
  np.testing.assert_allclose(found, [expected], rtol=1e-6)


@pytest.mark.parametrize(
  ("name", "weights", "distance"),
  [
    ("style_vgg", (0.2,) * 5, style.style),
    ("style_squeezenet", (0.2,) * 5, style.style),
    ("contextual_vgg", (1.0, 1.0), contextual.contextual),
    ("contextual_squeezenet", (1.0, 1.0), contextual.contextual),
    ("cobi_vgg", (1.0, 1.0, 0.5), contextual.cobi_paper),
    ("cobi_squeezenet", (1.0, 1.0, 0.5), contextual.cobi_paper),
    ("squeezenet", (1.0,) * 7, perceptual.unit_distance),
    ("cobi_rgb", (1.0,), perceptual.patch_cobi),
  ],
)
def test_terms_add_their_taps(name, weights, distance):
  # Another size at every tap, as in a network.
  rng = np.random.default_rng(0)
  term = perceptual.TERMS[name]
  sr, hr = (
    {
      tap: jnp.asarray(rng.random((2, 3 - i % 2, 2, 3), np.float32))
      for i, tap in enumerate(term.taps)
    }
    for _ in range(2)
  )

  @jax.jit
  def both(sr, hr):
    grads = jax.grad(lambda x: term(x, hr).sum())(sr)
    return term(sr, hr), grads

  expected = sum(
    weight * jax.jit(distance)(sr[tap], hr[tap])
    for weight, tap in zip(weights, term.taps, strict=True)
  )
  np.testing.assert_allclose(both(sr, hr)[0], expected, rtol=1e-5)
  # Equal pictures must not break training, nor must the type of the features.
  same, grads = both(hr, hr)
  assert same.shape == (2,) and (jnp.abs(same) < 1e-5).all()
  assert all(np.isfinite(g).all() for g in grads.values())
  narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (sr, hr))
  assert jax.eval_shape(term, *narrow).dtype == jnp.float32


def test_unit_distance_by_hand():
  # (3, 4) and (4, 3) have the directions (.6, .8) and (.8, .6): 0.08 apart.
  # (0, 0) has none: 1 from every other. Their mean over two pixels.
  a = jnp.asarray([3.0, 4.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
  b = jnp.asarray([8.0, 6.0, 0.1, 0.0]).reshape(1, 1, 2, 2)
  found = perceptual.unit_distance(a, b)
  np.testing.assert_allclose(found, [(0.08 + 1.0) / 2], rtol=1e-5)
  grad = jax.grad(lambda a: perceptual.unit_distance(a, b).sum())(a)
  assert np.isfinite(grad).all() and np.abs(grad[0, 0, 0]).max() > 0
  np.testing.assert_array_equal(grad[0, 0, 1], [0.0, 0.0])


def test_patches_see_brightness():
  # A gray 1x1 picture and one 0.1 brighter: of 25 pixels 24 are border.
  dark, light = (jnp.full((1, 1, 1, 1), value) for value in (0.5, 0.6))
  found = perceptual.patch_cobi(dark, light)
  np.testing.assert_allclose(found, [0.01 / 25], rtol=1e-4)


def test_feature_matching_by_hand():
  # Mean absolute differences (6 + 2) / 6 and 0.5, averaged over two layers.
  found = perceptual.feature_matching([A, A[..., :1] + 0.5], [B, A[..., :1]])
  np.testing.assert_allclose(found, [(8 / 6 + 0.5) / 2], rtol=1e-6)


def test_feature_matching_leaves_the_real_side_alone():
  grads = jax.grad(
    lambda fake, real: perceptual.feature_matching([fake], [real]).sum(),
    argnums=(0, 1),
  )(A, B)
  assert np.abs(grads[0]).sum() > 0
  np.testing.assert_array_equal(grads[1], np.zeros_like(B))


def test_perceptual_errors():
  with pytest.raises(errors.EnhanceError, match='norm "l3"'):
    perceptual.feature_distance(A, B, norm="l3")
  with pytest.raises(errors.EnhanceError, match='reduce "sum"'):
    perceptual.feature_distance(A, B, reduce="sum")
  with pytest.raises(errors.EnhanceError, match="shapes"):
    perceptual.feature_distance(A, B[..., :2])
  with pytest.raises(errors.EnhanceError, match="1 and 2 layers"):
    perceptual.feature_matching([A], [A, B])

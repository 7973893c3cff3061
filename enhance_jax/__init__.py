"""Image super-resolution with generative adversarial networks in JAX/Flax."""

"""The divergences inside a tile: parts of a row's value, and the gradient of its logits.

See `attndistill.ops.divergences`: dL/dz = w - P_s sum(w). Gaps are log P_s - log P_t in nats.
"""

import triton
import triton.language as tl

LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def row_parts(p_s, p_t, gap, KIND: tl.constexpr):
    """Terms whose sums over keys `row_outcome` turns into the value; none of them cancels."""
    zero = tl.zeros_like(p_s)
    if KIND == "kl":
        return _bregman(p_t, p_s, -gap), zero, zero, zero
    if KIND == "reverse_kl":
        return _bregman(p_s, p_t, gap), zero, zero, zero
    if KIND == "js":
        from_s, from_t = _from_mixture(gap)
        mixture = 0.5 * (p_s + p_t)
        return (
            0.5 * _bregman(p_s, mixture, from_s),
            0.5 * _bregman(p_t, mixture, from_t),
            zero,
            zero,
        )
    difference = p_s - p_t
    if KIND == "mse":
        return difference * difference, 2 * p_s * difference, zero, zero
    return difference * difference, difference * (p_s + p_t), p_s * p_s, p_t * p_t


@triton.jit
def row_outcome(a, b, c, d, KIND: tl.constexpr):
    """From the summed parts: a row's value, and two numbers that its gradient needs."""
    zero = tl.zeros_like(a)
    if KIND == "kl":
        return a, zero, zero
    if KIND == "reverse_kl":
        return a, a, zero
    if KIND == "js":
        return a + b, a, zero
    if KIND == "mse":
        return a, b, zero
    # With n = |P_s|, m = |P_t|, e = |P_s - P_t|: 1 - cos = (e^2 - (n - m)^2) / (2 n m).
    product = tl.sqrt(c) * tl.sqrt(d)
    product = tl.where(product > 0, product, 1.0)
    between = b / (tl.sqrt(c) + tl.sqrt(d))
    value = (a - between * between) / (2 * product)
    return value, (a + b) / (2 * c), 1 / product


@triton.jit
def logit_gradient(p_s, p_t, gap, first, second, KIND: tl.constexpr):
    """The gradient of a row's value with respect to the student's scores over T."""
    if KIND == "kl":
        return p_s - p_t
    if KIND == "reverse_kl":
        return p_s * (gap - first)
    if KIND == "js":
        from_s, _ = _from_mixture(gap)
        return p_s * (0.5 * from_s - first)
    if KIND == "mse":
        return p_s * (2 * (p_s - p_t) - first)
    return p_s * ((p_s - p_t) - p_s * first) * second


@triton.jit
def _bregman(p, q, gap):
    """P (expm1(-gap) + gap), where Q = P exp(-gap)."""
    near = tl.abs(gap) < 0.5
    x = tl.where(near, gap, 0.0)
    series = 1 / 120 - x * (1 / 720 - x * (1 / 5040 - x * (1 / 40320)))
    series = x * x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * series)))
    return tl.where(near, p * series, q - p + p * gap)


@triton.jit
def _from_mixture(gap):
    """Returns log P_s - log M and log P_t - log M for M = (P_s + P_t) / 2."""
    size = tl.abs(gap)
    x = tl.where(size < 0.5, size, 0.0)
    # expm1(-x) / 2, then log1p of it as 2 artanh(y / (2 + y)).
    y = 1 / 120 - x * (1 / 720 - x * (1 / 5040 - x * (1 / 40320)))
    y = -0.5 * x * (1 - x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * y))))
    u = y / (2 + y)
    near = 2 * u * (1 + u * u * (1 / 3 + u * u * (1 / 5 + u * u * (1 / 7))))
    far = tl.log2(0.5 + 0.5 * tl.exp2(-size / LN2)) * LN2
    shared = tl.where(size < 0.5, near, far)
    return tl.minimum(gap, 0.0) - shared, -tl.maximum(gap, 0.0) - shared

// Vectors of exp, expm1, log1p and the normal distribution in float32, where activations need them. A NaN
// stays NaN. The largest errors, in units in the last place, are those of instruction sets with fused
// multiply-add; without, half a unit more.
//
// The coefficients are weighted least-squares fits over Chebyshev nodes (for the rational one, iterated
// towards equal errors as by C. L. Lawson 1961), computed with 40 digits and rounded to float32; the errors
// given are those of the rounded coefficients.
//
// Included by kernels once per instruction set, inside no namespace.
#include "hwy/highway.h"

#if defined(HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_MATH_INL_H_
#undef HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_MATH_INL_H_
#else
#define HALFTONE_TENSOR_OPS_ACTIVATION_ACTIVATION_MATH_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
template <class D>
HWY_INLINE hn::Vec<D> Polynomial(D d, hn::Vec<D> /*x*/, float c0) {
  return hn::Set(d, c0);
}
template <class D, class... Floats>
HWY_INLINE hn::Vec<D> Polynomial(D d, hn::Vec<D> x, float c0, Floats... c) {
  return hn::MulAdd(Polynomial(d, x, c...), x, hn::Set(d, c0));
}

// min(x, limit) and max(x, limit), but a NaN stays, which Highway's Min and Max leave open.
template <class D>
HWY_INLINE hn::Vec<D> AtMost(D d, float limit, hn::Vec<D> x) {
  const auto v = hn::Set(d, limit);
  return hn::IfThenElse(hn::Gt(x, v), v, x);
}
template <class D>
HWY_INLINE hn::Vec<D> AtLeast(D d, float limit, hn::Vec<D> x) {
  const auto v = hn::Set(d, limit);
  return hn::IfThenElse(hn::Lt(x, v), v, x);
}

template <class D>
HWY_INLINE hn::Vec<D> MinusAbs(D d, hn::Vec<D> x) {
  return hn::Or(x, hn::SignBit(d));
}

// exp(x) = (1 + mantissa) * scale / 2^64.
template <class D>
struct SplitExp {
  hn::Vec<D> mantissa;  // in [-0.3, 0.42]
  hn::Vec<D> scale;     // a power of two
};

constexpr float kExpScale = 0x1p-64f;
// exp of less is 0 in float32.
constexpr float kExpUnderflow = -104.0f;

// Of x + low, x in [-130, 0], where low is less than half a unit in the last place of x: exp(n log(2) + r)
// with |r| <= log(2) / 2. The polynomial's relative error to exp(r) - 1 is 2.9e-9.
template <class D>
HWY_INLINE SplitExp<D> SplitExpOf(D d, hn::Vec<D> x, hn::Vec<D> low) {
  // The sum's lowest bits are those of n + 127 + 64, the exponent's code of 2^(n + 64).
  const auto magic = hn::Set(d, 0x1.8p23f + 127 + 64);
  const auto shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const auto n = hn::Sub(shifted, magic);
  // log(2) in two parts, of which the first has so few bits that its multiples are exact.
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693145751953125f), x);
  r = hn::Add(hn::NegMulAdd(n, hn::Set(d, 1.42860677e-6f), r), low);
  const auto q =
      Polynomial(d, r, 0.5f, 0.16666667f, 0.04166635f, 0.008333288f, 0.0013941163f, 0.00019905265f);
  const hn::RebindToUnsigned<D> du;
  return {hn::MulAdd(hn::Mul(r, r), q, r), hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, shifted)))};
}

template <class D>
HWY_INLINE hn::Vec<D> Join(D d, const SplitExp<D>& e) {
  // The rounding into subnormals is the last.
  return hn::Mul(hn::MulAdd(e.mantissa, e.scale, e.scale), hn::Set(d, kExpScale));
}

// exp(x) for x <= 0: 1 unit.
template <class D>
HWY_INLINE hn::Vec<D> ExpOfNegative(D d, hn::Vec<D> x) {
  return Join(d, SplitExpOf(d, AtLeast(d, kExpUnderflow, x), hn::Zero(d)));
}

// exp(x) - 1 for x <= 0: 1 unit.
template <class D>
HWY_INLINE hn::Vec<D> Expm1OfNegative(D d, hn::Vec<D> x) {
  const SplitExp<D> e = SplitExpOf(d, AtLeast(d, kExpUnderflow, x), hn::Zero(d));
  const auto scale = hn::Mul(e.scale, hn::Set(d, kExpScale));
  return hn::MulAdd(e.mantissa, scale, hn::Sub(scale, hn::Set(d, 1.0f)));
}

// log(1 + u) for u in [0, 1]: 2 units. The polynomial's relative error is 1.2e-8.
template <class D>
HWY_INLINE hn::Vec<D> Log1pOfFraction(D d, hn::Vec<D> u) {
  return hn::Mul(u, Polynomial(d, u, 1.0f, -0.49999985f, 0.33332616f, -0.24987608f, 0.19891626f, -0.16105947f,
                               0.12414407f, -0.08233892f, 0.04136165f, -0.013342115f, 0.0020154917f));
}

// |x|, but at most this, is what the two functions below take; beyond it exp(-x^2 / 2) is 0 in float32.
constexpr float kNormalLimit = 15.0f;

// exp(-a^2 / 2): 1 unit.
template <class D>
HWY_INLINE hn::Vec<D> ExpOfHalfSquare(D d, hn::Vec<D> a) {
  const auto square = hn::Mul(a, a);
  // What the rounding of a^2 has lost is up to 2^-18, and exp turns it into a relative error.
#if HWY_NATIVE_FMA
  const auto lost = hn::MulSub(a, a, square);
#else
  // T. J. Dekker 1971: products of numbers of 12 bits are exact.
  const hn::RebindToUnsigned<D> du;
  const auto high = hn::BitCast(d, hn::And(hn::BitCast(du, a), hn::Set(du, 0xfffff000u)));
  const auto low = hn::Sub(a, high);
  const auto twice = hn::Mul(hn::Add(high, high), low);
  const auto lost = hn::Add(hn::Add(hn::Sub(hn::Mul(high, high), square), twice), hn::Mul(low, low));
#endif
  const auto half = hn::Set(d, -0.5f);
  return Join(d, SplitExpOf(d, hn::Mul(square, half), hn::Mul(lost, half)));
}

// The upper tail of the normal distribution, P(X > a), over exp(-a^2 / 2), for a in [0, 15]. That is
// erfcx(a / sqrt(2)) / 2, smooth and without cancellation; a ratio of polynomials as in W. J. Cody 1969,
// "Rational Chebyshev approximations for the error function". Its relative error is 2.8e-8.
template <class D>
struct NormalTail {
  hn::Vec<D> numerator, denominator;
};
template <class D>
HWY_INLINE NormalTail<D> NormalTailOf(D d, hn::Vec<D> a) {
  return {Polynomial(d, a, 0.5f, 0.43926525f, 0.18395528f, 0.040876355f, 0.004152497f),
          Polynomial(d, a, 1.0f, 1.6764154f, 1.2054915f, 0.47137204f, 0.10246795f, 0.010408654f)};
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

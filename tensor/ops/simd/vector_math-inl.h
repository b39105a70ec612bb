// Vectors of exp, expm1, log1p and the normal distribution in float32, where activations and softmax need
// them. A NaN stays NaN. The largest errors, in units in the last place, are those of instruction sets with
// fused multiply-add; without, half a unit more.
//
// The coefficients are weighted least-squares fits over Chebyshev nodes (for the rational one, iterated
// towards equal errors as by C. L. Lawson 1961), computed with 40 digits and rounded to float32; the errors
// given are those of the rounded coefficients.
//
// Included by kernels once per instruction set, inside no namespace.
#include "hwy/highway.h"

#if defined(HALFTONE_TENSOR_OPS_SIMD_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HALFTONE_TENSOR_OPS_SIMD_VECTOR_MATH_INL_H_
#undef HALFTONE_TENSOR_OPS_SIMD_VECTOR_MATH_INL_H_
#else
#define HALFTONE_TENSOR_OPS_SIMD_VECTOR_MATH_INL_H_
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

// min(x, limit) and max(x, limit), but a NaN stays, which Highway's Min and Max leave open. x86 has them so
// if x comes second.
template <class D>
HWY_INLINE hn::Vec<D> AtMost(D d, float limit, hn::Vec<D> x) {
  const auto v = hn::Set(d, limit);
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Min(v, x);
#else
  return hn::IfThenElse(hn::Gt(x, v), v, x);
#endif
}
template <class D>
HWY_INLINE hn::Vec<D> AtLeast(D d, float limit, hn::Vec<D> x) {
  const auto v = hn::Set(d, limit);
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Max(v, x);
#else
  return hn::IfThenElse(hn::Lt(x, v), v, x);
#endif
}

template <class D>
HWY_INLINE hn::Vec<D> MinusAbs(D d, hn::Vec<D> x) {
  return hn::Or(x, hn::SignBit(d));
}

// 2^n for the integer n in [-127, 0] nearest to x * factor; 2^-127 as 0, so that exponentials end there
// without a subnormal number.
template <class D>
struct PowerOfTwo {
  hn::Vec<D> n, power;
};
template <class D>
HWY_INLINE PowerOfTwo<D> NearestPowerOfTwo(D d, hn::Vec<D> x, float factor) {
  // The sum's lowest bits are those of n + 127, the exponent's code of 2^n.
  const auto magic = hn::Set(d, 0x1.8p23f + 127);
  const auto sum = hn::MulAdd(x, hn::Set(d, factor), magic);
  const hn::RebindToUnsigned<D> du;
  return {hn::Sub(sum, magic), hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, sum)))};
}

constexpr float kLog2OfE = 1.44269504f;
// log(2) in two parts, of which the first has so few bits that its multiples are exact.
constexpr float kLog2High = 0.693145751953125f;
constexpr float kLog2Low = 1.42860677e-6f;
// Exponentials of this and less are 0 below.
constexpr float kExpUnderflow = -88.0f;
// exp(r) is 1 + r + r^2 (c2 + c3 r + ...) for |r| <= log(2) / 2, to 6e-9; less the 1 to 1.6e-8.
constexpr float kExp2 = 0.5f, kExp3 = 0.1666654f, kExp4 = 0.04166635f, kExp5 = 0.008366794f,
                kExp6 = 0.0013941163f;

// exp(x) = exp(r) 2^n.
template <class D>
struct ReducedExp {
  hn::Vec<D> r, power;
};
template <class D>
HWY_INLINE ReducedExp<D> ReduceExp(D d, hn::Vec<D> x) {
  x = AtLeast(d, kExpUnderflow, x);
  const PowerOfTwo<D> p = NearestPowerOfTwo(d, x, kLog2OfE);
  const auto r = hn::NegMulAdd(p.n, hn::Set(d, kLog2High), x);
  return {hn::NegMulAdd(p.n, hn::Set(d, kLog2Low), r), p.power};
}

// exp(x) for x <= 0: 1 unit.
template <class D>
HWY_INLINE hn::Vec<D> ExpOfNegative(D d, hn::Vec<D> x) {
  const ReducedExp<D> e = ReduceExp(d, x);
  return hn::Mul(Polynomial(d, e.r, 1.0f, 1.0f, kExp2, kExp3, kExp4, kExp5, kExp6), e.power);
}

// exp(x) - 1 for x <= 0: 1 unit.
template <class D>
HWY_INLINE hn::Vec<D> Expm1OfNegative(D d, hn::Vec<D> x) {
  const ReducedExp<D> e = ReduceExp(d, x);
  const auto q = Polynomial(d, e.r, kExp2, kExp3, kExp4, kExp5, kExp6);
  const auto m = hn::MulAdd(hn::Mul(e.r, e.r), q, e.r);
  return hn::MulAdd(m, e.power, hn::Sub(e.power, hn::Set(d, 1.0f)));
}

// log(1 + u) for u in [0, 1]: 2 units. The polynomial's relative error is 1.6e-8.
template <class D>
HWY_INLINE hn::Vec<D> Log1pOfFraction(D d, hn::Vec<D> u) {
  return hn::Mul(u, Polynomial(d, u, 1.0f, -0.49999923f, 0.33330205f, -0.24955378f, 0.19678909f, -0.15308061f,
                               0.106008776f, -0.05688295f, 0.019791102f, -0.003227271f));
}

// |x|, but at most this, is what the two functions below take: exp(-x^2 / 2) of it is 0.
constexpr float kNormalLimit = 13.265f;

// exp(-a^2 / 2): 1 unit.
template <class D>
HWY_INLINE hn::Vec<D> ExpOfHalfSquare(D d, hn::Vec<D> a) {
  // As ExpOfNegative, with s = -2r in the place of r.
  const auto square = hn::Mul(a, a);
  const PowerOfTwo<D> p = NearestPowerOfTwo(d, square, -kLog2OfE / 2);
  const auto multiple = hn::Mul(p.n, hn::Set(d, 2 * kLog2High));
  // exp would turn the rounding of a^2, up to 2^-18, into a relative error.
#if HWY_NATIVE_FMA
  auto s = hn::MulAdd(a, a, multiple);
#else
  // T. J. Dekker 1971: products of numbers of 12 bits are exact.
  const hn::RebindToUnsigned<D> du;
  const auto high = hn::BitCast(d, hn::And(hn::BitCast(du, a), hn::Set(du, 0xfffff000u)));
  const auto low = hn::Sub(a, high);
  const auto twice = hn::Mul(hn::Add(high, high), low);
  const auto lost = hn::Add(hn::Add(hn::Sub(hn::Mul(high, high), square), twice), hn::Mul(low, low));
  auto s = hn::Add(hn::Add(square, multiple), lost);
#endif
  s = hn::MulAdd(p.n, hn::Set(d, 2 * kLog2Low), s);
  return hn::Mul(Polynomial(d, s, 1.0f, -0.5f, kExp2 / 4, -kExp3 / 8, kExp4 / 16, -kExp5 / 32, kExp6 / 64),
                 p.power);
}

// The upper tail of the normal distribution, P(X > a), over exp(-a^2 / 2), for a in [0, 13.3]. That is
// erfcx(a / sqrt(2)) / 2, smooth and without cancellation; a ratio of polynomials as in W. J. Cody 1969,
// "Rational Chebyshev approximations for the error function". Its relative error is 2.0e-8.
template <class D>
struct NormalTail {
  hn::Vec<D> numerator, denominator;
};
template <class D>
HWY_INLINE NormalTail<D> NormalTailOf(D d, hn::Vec<D> a) {
  return {Polynomial(d, a, 0.5f, 0.4350363f, 0.18080406f, 0.03980854f, 0.003992266f),
          Polynomial(d, a, 1.0f, 1.6679574f, 1.1924422f, 0.46304765f, 0.099792734f, 0.010006981f)};
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard

#include "tensor/ops/activation/activation_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/activation/activation_kernels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"
#include "tensor/ops/simd/vector_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// An activation: F(d, x, a) and Slope(d, saved, a), which is f'. x may be infinite, and no infinity may meet
// a zero in a product; this is why the exponentials' arguments are limited before they are used as factors.

template <class D>
HWY_INLINE hn::Vec<D> One(D d) {
  return hn::Set(d, 1.0f);
}

template <class D>
HWY_INLINE auto IsNegative(D d, hn::Vec<D> x) {
  return hn::Lt(x, hn::Zero(d));
}

struct Relu {
  // Not Max, which may turn NaN into 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), One(d));
  }
};

struct Relu6 {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    return AtMost(d, 6.0f, AtLeast(d, 0.0f, x));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return hn::IfThenZeroElse(hn::Or(hn::Le(y, hn::Zero(d)), hn::Ge(y, hn::Set(d, 6.0f))), One(d));
  }
};

// a is the slope below 0.
struct Prelu {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V a) {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(a, x));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x, V a) {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), One(d), a);
  }
  // dy * df/da.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V LearnedGradient(D d, V x, V dy) {
    return hn::IfThenZeroElse(hn::Gt(x, hn::Zero(d)), hn::Mul(x, dy));
  }
};

struct LeakyRelu {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    return Prelu::F(d, x, hn::Set(d, 0.01f));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return Prelu::Slope(d, y, hn::Set(d, 0.01f));
  }
};

struct Hardswish {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const auto three = hn::Set(d, 3.0f);
    const auto between = hn::Mul(hn::Mul(x, hn::Add(x, three)), hn::Set(d, 1.0f / 6));
    return hn::IfThenZeroElse(hn::Le(x, hn::Neg(three)), hn::IfThenElse(hn::Ge(x, three), x, between));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x, V) {
    const auto three = hn::Set(d, 3.0f);
    const auto between = hn::MulAdd(x, hn::Set(d, 1.0f / 3), hn::Set(d, 0.5f));
    return hn::IfThenZeroElse(hn::Le(x, hn::Neg(three)), hn::IfThenElse(hn::Ge(x, three), One(d), between));
  }
};

struct Elu {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const auto below = Expm1OfNegative(d, AtMost(d, 0.0f, x));
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, below);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return hn::IfThenElse(hn::Gt(y, hn::Zero(d)), One(d), hn::Add(y, One(d)));
  }
};

struct Tanh {
  // With m = exp(-2 |x|) - 1: tanh(|x|) = -m / (m + 2).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const V z = MinusAbs(d, x), m = Expm1OfNegative(d, hn::Add(z, z));
    return hn::CopySign(hn::Div(m, hn::Add(m, hn::Set(d, 2.0f))), x);
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return hn::NegMulAdd(y, y, One(d));
  }
};

struct Sigmoid {
  // exp(x) / (1 + exp(x)) for x < 0, so that small results are exact to the last places.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const V e = ExpOfNegative(d, MinusAbs(d, x));
    return hn::Div(hn::IfThenElse(IsNegative(d, x), e, One(d)), hn::Add(One(d), e));
  }
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return hn::Mul(y, hn::Sub(One(d), y));
  }
};

struct Swish {
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const V limited = AtLeast(d, kExpUnderflow, x), e = ExpOfNegative(d, MinusAbs(d, x));
    const V numerator = hn::IfThenElse(IsNegative(d, x), hn::Mul(limited, e), x);
    return hn::Div(numerator, hn::Add(One(d), e));
  }
  // With s = sigmoid(-|x|): s (1 - |x| sigmoid(|x|)) for x < 0, and f'(x) = 1 - f'(-x).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x, V) {
    const V z = AtLeast(d, kExpUnderflow, MinusAbs(d, x)), e = ExpOfNegative(d, z);
    const V p = hn::Div(One(d), hn::Add(One(d), e));  // sigmoid(|x|)
    const V below = hn::Mul(hn::Mul(e, p), hn::MulAdd(z, p, One(d)));
    return hn::IfThenElse(IsNegative(d, x), below, hn::Sub(One(d), below));
  }
};

struct Softplus {
  // max(x, 0) + log(1 + exp(-|x|)): above 20 that is x in float32.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    return hn::Add(AtLeast(d, 0.0f, x), Log1pOfFraction(d, ExpOfNegative(d, MinusAbs(d, x))));
  }
  // sigmoid(x) = 1 - exp(-y).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V y, V) {
    return hn::Neg(Expm1OfNegative(d, hn::Neg(y)));
  }
};

// tanh(log(1 + w)) with w = exp(x) is (w^2 + 2w) / (w^2 + 2w + 2). With u = exp(-|x|) instead of w it is
// numerator / denominator, below for x < 0 and x >= 0, where neither can overflow.
struct Mish {
  template <class D>
  struct Parts {
    hn::Vec<D> u, numerator, denominator;
  };
  template <class D>
  static HWY_INLINE Parts<D> Split(D d, hn::Vec<D> x) {
    const auto u = ExpOfNegative(d, MinusAbs(d, x)), two = hn::Set(d, 2.0f);
    const auto negative = IsNegative(d, x);
    const auto numerator = hn::IfThenElse(negative, hn::Mul(u, hn::Add(u, two)), hn::MulAdd(u, two, One(d)));
    const auto rest = hn::IfThenElse(negative, two, hn::Mul(hn::Add(u, u), u));
    return {u, numerator, hn::Add(numerator, rest)};
  }

  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const Parts<D> t = Split(d, x);
    return hn::Div(hn::Mul(AtLeast(d, kExpUnderflow, x), t.numerator), t.denominator);
  }
  // tanh(.) + x (1 - tanh(.)^2) sigmoid(x); the factor of x is 4 u (1 + u) / denominator^2 for x < 0, and u
  // times that for x >= 0.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x, V) {
    const Parts<D> t = Split(d, x);
    const V inverse = hn::Div(One(d), t.denominator);
    const V z = AtLeast(d, kExpUnderflow, AtMost(d, -kExpUnderflow, x));
    const V power = hn::IfThenElse(IsNegative(d, x), t.u, hn::Mul(t.u, t.u));
    const V factor = hn::Mul(hn::Mul(hn::Set(d, 4.0f), power), hn::Mul(hn::Add(One(d), t.u), inverse));
    return hn::Mul(hn::MulAdd(z, factor, t.numerator), inverse);
  }
};

struct Gelu {
  // With a = |x| and the upper tail h = P(X > a) of the normal distribution: max(x, 0) - a h for either sign.
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V F(D d, V x, V) {
    const V a = AtMost(d, kNormalLimit, hn::Abs(x));
    const NormalTail<D> tail = NormalTailOf(d, a);
    const V h = hn::Div(hn::Mul(ExpOfHalfSquare(d, a), tail.numerator), tail.denominator);
    return hn::NegMulAdd(a, h, AtLeast(d, 0.0f, x));
  }
  // h - a phi(a) for x < 0, with the density phi, and f'(x) = 1 - f'(-x).
  template <class D, class V = hn::Vec<D>>
  static HWY_INLINE V Slope(D d, V x, V) {
    const V a = AtMost(d, kNormalLimit, hn::Abs(x));
    const NormalTail<D> tail = NormalTailOf(d, a);
    const V ratio = hn::Div(tail.numerator, tail.denominator);
    const V below = hn::Mul(ExpOfHalfSquare(d, a), hn::NegMulAdd(a, hn::Set(d, 0.398942280f), ratio));
    return hn::IfThenElse(IsNegative(d, x), below, hn::Sub(One(d), below));
  }
};

#if HWY_TARGET != HWY_SCALAR
// The bfloat16 elements of even and of odd place among the first 2N, as vectors of N floats: their codes are
// the lower and the upper halves of N words, so that no element has to move to another lane.
template <class D>
HWY_INLINE hn::Vec<D> LoadEven(D d, const bfloat16* from) {
  const hn::RebindToUnsigned<D> du;
  const hn::Repartition<uint16_t, D> d16;
  const auto words = hn::BitCast(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
  return hn::BitCast(d, hn::ShiftLeft<16>(words));
}
template <class D>
HWY_INLINE hn::Vec<D> LoadOdd(D d, const bfloat16* from) {
  const hn::RebindToUnsigned<D> du;
  const hn::Repartition<uint16_t, D> d16;
  const auto words = hn::BitCast(du, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
  return hn::BitCast(d, hn::And(words, hn::Set(du, 0xffff0000u)));
}
template <class D>
HWY_INLINE void StoreEvenOdd(D d, hn::Vec<D> even, hn::Vec<D> odd, bfloat16* to) {
  const hn::RebindToUnsigned<D> du;
  const hn::Repartition<uint16_t, D> d16;
  // To nearest even, as RoundToBfloat16, but for NaNs with a mantissa too long for bfloat16. There are none:
  // a NaN here is that of a bfloat16 input, made quiet, or the one that arithmetic gives by default.
  const auto round = [du](hn::Vec<D> v) HWY_ATTR {
    const auto bits = hn::BitCast(du, v);
    const auto odd_bit = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    return hn::Add(hn::Add(bits, hn::Set(du, 0x7fff)), odd_bit);
  };
  const auto upper = hn::And(round(odd), hn::Set(du, 0xffff0000u));
  const auto words = hn::Or(hn::ShiftRight<16>(round(even)), upper);
  hn::StoreU(hn::BitCast(d16, words), d16, reinterpret_cast<uint16_t*>(to));
}
#endif

// to[i] = f(arrays[i]...) for i in [0, n), where f(d, v...) takes and gives vectors. What is left over is a
// vector too, filled up with zeros, so that an element's result does not depend on its place.
template <typename T, class F, class... Arrays>
HWY_INLINE void MapVectors(size_t n, T* to, const F& f, const Arrays*... arrays) {
  const FloatTag d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (std::is_same_v<T, bfloat16>) {
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
      StoreEvenOdd(d, f(d, LoadEven(d, arrays + i)...), f(d, LoadOdd(d, arrays + i)...), to + i);
    }
  }
#endif
  for (; i + lanes <= n; i += lanes) StoreFloats(f(d, LoadFloats(d, arrays + i)...), d, to + i);
  if (i == n) return;
  const auto padded = [=](const T* from) HWY_ATTR {
    T buffer[hn::MaxLanes(d)] = {};
    std::copy(from + i, from + n, buffer);
    return LoadFloats(d, buffer);
  };
  T buffer[hn::MaxLanes(d)];
  StoreFloats(f(d, padded(arrays)...), d, buffer);
  std::copy(buffer, buffer + (n - i), to + i);
}

// The learned number; of a NaN the default one, see StoreEvenOdd.
float LearnedFloat(double learned) {
  return std::isnan(learned) ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(learned);
}

template <class Function>
void Forward(DType dtype, double learned, const void* x, void* y, size_t n) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    using T = decltype(type);
    const auto a = hn::Set(FloatTag(), LearnedFloat(learned));
    MapVectors(
        n, static_cast<T*>(y), [a](auto d, auto v) HWY_ATTR { return Function::F(d, v, a); },
        static_cast<const T*>(x));
  });
}

template <class Function>
void Backward(DType dtype, double learned, const void* saved, const void* dy, void* dx, size_t n) {
  VisitStorage(dtype, [=](auto type) HWY_ATTR {
    using T = decltype(type);
    const auto a = hn::Set(FloatTag(), LearnedFloat(learned));
    MapVectors(
        n, static_cast<T*>(dx),
        [a](auto d, auto s, auto g) HWY_ATTR {
          const auto slope = Function::Slope(d, s, a);
          return hn::IfThenZeroElse(hn::Eq(slope, hn::Zero(d)), hn::Mul(slope, g));
        },
        static_cast<const T*>(saved), static_cast<const T*>(dy));
  });
}

// Sums in float32 over few enough elements that the rounding stays near that of one addition, then in double.
constexpr size_t kFloatSum = 1024;

template <class Function>
double BackwardLearned(DType dtype, double /*learned*/, const void* saved, const void* dy, size_t n) {
  double sum = 0;
  VisitStorage(dtype, [=, &sum](auto type) HWY_ATTR {
    using T = decltype(type);
    for (size_t begin = 0; begin < n; begin += kFloatSum) {
      const FloatTag d;
      const T* s = static_cast<const T*>(saved) + begin;
      const T* g = static_cast<const T*>(dy) + begin;
      const size_t count = std::min(kFloatSum, n - begin), lanes = hn::Lanes(d);
      auto vectors = hn::Zero(d);
      size_t i = 0;
      for (; i + lanes <= count; i += lanes) {
        vectors = hn::Add(vectors, Function::LearnedGradient(d, LoadFloats(d, s + i), LoadFloats(d, g + i)));
      }
      sum += hn::GetLane(hn::SumOfLanes(d, vectors));
      const OneFloatTag d1;
      for (; i < count; ++i) {
        sum += hn::GetLane(Function::LearnedGradient(d1, LoadFloats(d1, s + i), LoadFloats(d1, g + i)));
      }
    }
  });
  return sum;
}

constexpr ActivationKernels kKernels[] = {
    {"relu", Forward<Relu>, Backward<Relu>},
    {"sigmoid", Forward<Sigmoid>, Backward<Sigmoid>},
    {"tanh", Forward<Tanh>, Backward<Tanh>},
    {"gelu", Forward<Gelu>, Backward<Gelu>},
    {"leaky_relu", Forward<LeakyRelu>, Backward<LeakyRelu>},
    {"prelu", Forward<Prelu>, Backward<Prelu>, BackwardLearned<Prelu>},
    {"swish", Forward<Swish>, Backward<Swish>},
    {"softplus", Forward<Softplus>, Backward<Softplus>},
    {"relu6", Forward<Relu6>, Backward<Relu6>},
    {"hardswish", Forward<Hardswish>, Backward<Hardswish>},
    {"elu", Forward<Elu>, Backward<Elu>},
    {"mish", Forward<Mish>, Backward<Mish>},
};

const ActivationKernels* Find(absl::string_view name) {
  for (const ActivationKernels& kernels : kKernels) {
    if (kernels.name == name) return &kernels;
  }
  return nullptr;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace halftone::ops {
namespace {

HWY_EXPORT(Find);

}  // namespace

const ActivationKernels* FindActivationKernels(absl::string_view name) {
  return HWY_DYNAMIC_DISPATCH(Find)(name);
}

}  // namespace halftone::ops
#endif  // HWY_ONCE

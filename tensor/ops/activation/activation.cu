#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/packed.cuh"
#include "tensor/cuda/sum_all.cuh"
#include "tensor/ops/activation/activation_device_kernels.h"

namespace halftone::ops {
namespace {

// The formulas of activation_kernels.cc for one number: F(x, a) and Slope(saved, a), which is f'. x may be
// infinite, and no infinity may meet a zero in a product; this is why factors are limited.

// A NaN stays.
template <typename A>
__device__ A AtMost(A limit, A x) {
  return x > limit ? limit : x;
}
template <typename A>
__device__ A AtLeast(A limit, A x) {
  return x < limit ? limit : x;
}

// exp of this is 0.
template <typename A>
inline constexpr A kExpUnderflow = std::is_same_v<A, double> ? -746 : -104;

template <typename A>
__device__ A ExpOfMinusAbs(A x) {
  return std::exp(-std::abs(x));
}

struct Relu {
  template <typename A>
  static __device__ A F(A x, A) {
    return x <= 0 ? A(0) : x;
  }
  template <typename A>
  static __device__ A Slope(A y, A) {
    return y <= 0 ? A(0) : A(1);
  }
};

struct Relu6 {
  template <typename A>
  static __device__ A F(A x, A) {
    return AtMost(A(6), AtLeast(A(0), x));
  }
  template <typename A>
  static __device__ A Slope(A y, A) {
    return y <= 0 || y >= 6 ? A(0) : A(1);
  }
};

// a is the slope below 0.
struct Prelu {
  template <typename A>
  static __device__ A F(A x, A a) {
    return x > 0 ? x : a * x;
  }
  template <typename A>
  static __device__ A Slope(A x, A a) {
    return x > 0 ? A(1) : a;
  }
  // dy * df/da.
  template <typename A>
  static __device__ A LearnedGradient(A x, A dy) {
    return x >= 0 ? A(0) : x * dy;
  }
};

struct LeakyRelu {
  template <typename A>
  static __device__ A F(A x, A) {
    return Prelu::F(x, A(0.01));
  }
  template <typename A>
  static __device__ A Slope(A y, A) {
    return Prelu::Slope(y, A(0.01));
  }
};

struct Hardswish {
  template <typename A>
  static __device__ A F(A x, A) {
    return x <= -3 ? A(0) : x >= 3 ? x : x * (x + 3) * A(1.0 / 6);
  }
  template <typename A>
  static __device__ A Slope(A x, A) {
    return x <= -3 ? A(0) : x >= 3 ? A(1) : std::fma(x, A(1.0 / 3), A(0.5));
  }
};

struct Elu {
  template <typename A>
  static __device__ A F(A x, A) {
    return x > 0 ? x : std::expm1(x);
  }
  template <typename A>
  static __device__ A Slope(A y, A) {
    return y > 0 ? A(1) : y + 1;
  }
};

struct Tanh {
  template <typename A>
  static __device__ A F(A x, A) {
    return std::tanh(x);
  }
  template <typename A>
  static __device__ A Slope(A y, A) {
    return std::fma(-y, y, A(1));
  }
};

struct Sigmoid {
  // exp(x) / (1 + exp(x)) for x < 0, so that small results are exact to the last places.
  template <typename A>
  static __device__ A F(A x, A) {
    const A e = ExpOfMinusAbs(x);
    return (x < 0 ? e : A(1)) / (1 + e);
  }
  template <typename A>
  static __device__ A Slope(A y, A) {
    return y * (1 - y);
  }
};

struct Swish {
  template <typename A>
  static __device__ A F(A x, A) {
    const A e = ExpOfMinusAbs(x);
    return (x < 0 ? AtLeast(kExpUnderflow<A>, x) * e : x) / (1 + e);
  }
  // With s = sigmoid(-|x|): s (1 - |x| sigmoid(|x|)) for x < 0, and f'(x) = 1 - f'(-x).
  template <typename A>
  static __device__ A Slope(A x, A) {
    const A z = AtLeast(kExpUnderflow<A>, -std::abs(x)), e = std::exp(z);
    const A p = 1 / (1 + e);  // sigmoid(|x|)
    const A below = e * p * std::fma(z, p, A(1));
    return x < 0 ? below : 1 - below;
  }
};

struct Softplus {
  // max(x, 0) + log(1 + exp(-|x|)).
  template <typename A>
  static __device__ A F(A x, A) {
    return AtLeast(A(0), x) + std::log1p(ExpOfMinusAbs(x));
  }
  // sigmoid(x) = 1 - exp(-y).
  template <typename A>
  static __device__ A Slope(A y, A) {
    return -std::expm1(-y);
  }
};

// tanh(log(1 + w)) with w = exp(x) is (w^2 + 2w) / (w^2 + 2w + 2). With u = exp(-|x|) instead of w it is
// numerator / denominator, where neither can overflow.
struct Mish {
  template <typename A>
  struct Parts {
    A u, numerator, denominator;
  };
  template <typename A>
  static __device__ Parts<A> Split(A x) {
    const A u = ExpOfMinusAbs(x), numerator = x < 0 ? u * (u + 2) : std::fma(u, A(2), A(1));
    return {u, numerator, numerator + (x < 0 ? A(2) : (u + u) * u)};
  }
  template <typename A>
  static __device__ A F(A x, A) {
    const Parts<A> t = Split(x);
    return AtLeast(kExpUnderflow<A>, x) * t.numerator / t.denominator;
  }
  // tanh(.) + x (1 - tanh(.)^2) sigmoid(x); the factor of x is 4 u (1 + u) / denominator^2 for x < 0, and u
  // times that for x >= 0.
  template <typename A>
  static __device__ A Slope(A x, A) {
    const Parts<A> t = Split(x);
    const A inverse = 1 / t.denominator, z = AtLeast(kExpUnderflow<A>, AtMost(-kExpUnderflow<A>, x));
    const A power = x < 0 ? t.u : t.u * t.u;
    return std::fma(z, 4 * power * ((1 + t.u) * inverse), t.numerator) * inverse;
  }
};

// The upper tail of the normal distribution, P(X > a), and its density, for a >= 0.
template <typename A>
struct Normal {
  A tail, density;
};

__device__ inline Normal<double> NormalOf(double a) {
  return {std::erfc(a * M_SQRT1_2) / 2, M_2_SQRTPI * M_SQRT1_2 / 2 * std::exp(-a * a / 2)};
}

// NormalTailOf of vector_math-inl.h times exp(-a^2 / 2), which would turn the rounding of a^2 into a relative
// error.
__device__ inline Normal<float> NormalOf(float a) {
  const float square = a * a, lost = std::fma(a, a, -square), rounded = std::exp(-0.5f * square);
  const float e = std::fma(rounded, -0.5f * lost, rounded);
  const auto step = [a](float sum, float c) { return std::fma(sum, a, c); };
  const float numerator = step(step(step(step(0.003992266f, 0.03980854f), 0.18080406f), 0.4350363f), 0.5f);
  const float denominator =
      step(step(step(step(step(0.010006981f, 0.099792734f), 0.46304765f), 1.1924422f), 1.6679574f), 1.0f);
  return {e * numerator / denominator, e * 0.398942280f};
}

// NormalOf this is 0.
template <typename A>
inline constexpr A kNormalLimit = std::is_same_v<A, double> ? 40 : 15;

struct Gelu {
  // With a = |x| and the upper tail h: max(x, 0) - a h for either sign.
  template <typename A>
  static __device__ A F(A x, A) {
    const A a = AtMost(kNormalLimit<A>, std::abs(x));
    return std::fma(-a, NormalOf(a).tail, AtLeast(A(0), x));
  }
  // h - a phi(a) for x < 0, with the density phi, and f'(x) = 1 - f'(-x).
  template <typename A>
  static __device__ A Slope(A x, A) {
    const A a = AtMost(kNormalLimit<A>, std::abs(x));
    const Normal<A> normal = NormalOf(a);
    const A below = std::fma(-a, normal.density, normal.tail);
    return x < 0 ? below : 1 - below;
  }
};

// What is done to each element.
template <class Function>
struct Forward {
  template <typename A>
  static __device__ A Of(A a, A x) {
    return Function::F(x, a);
  }
};
template <class Function>
struct Backward {
  template <typename A>
  static __device__ A Of(A a, A saved, A dy) {
    const A slope = Function::Slope(saved, a);
    return slope == 0 ? A(0) : slope * dy;
  }
};

// Where the learned number is; both null: nowhere.
struct Learned {
  const float* f32 = nullptr;
  const double* f64 = nullptr;

  template <typename A>
  __device__ A Get() const {
    return f64 != nullptr ? static_cast<A>(*f64) : f32 != nullptr ? static_cast<A>(*f32) : A(0);
  }
};

Learned LearnedOf(const Tensor& learned) {
  if (!learned.defined()) return {};
  if (learned.dtype() == DType::kF64) return {.f64 = learned.device_data<double>()};
  return {.f32 = learned.device_data<float>()};
}

// to[i] = Op::Of(a, from[i]...). All arrays are those of whole tensors, and so aligned.
template <class Op, typename T, typename... From>
__global__ void MapKernel(int64_t n, Learned learned, T* to, From... from) {
  constexpr int kPacked = cuda::kPacked<T>;
  using Packed = cuda::Packed<T, kPacked>;
  const auto a = learned.template Get<cuda::Wide<T>>();
  const int64_t packed = n / kPacked;
  for (int64_t p = cuda::GlobalThread(); p < packed; p += cuda::GlobalThreads()) {
    Packed result;
    const auto compute = [&](const auto&... values) {
      for (int k = 0; k < kPacked; ++k) {
        cuda::Store(result.element + k, Op::Of(a, cuda::Load(values.element + k)...));
      }
    };
    compute(reinterpret_cast<const Packed*>(from)[p]...);
    reinterpret_cast<Packed*>(to)[p] = result;
  }
  for (int64_t i = packed * kPacked + cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    cuda::Store(to + i, Op::Of(a, cuda::Load(from + i)...));
  }
}

template <class Op, typename T, typename... From>
void Map(const Tensor& learned, Tensor& to, const From*... from) {
  const int64_t per_block = cuda::kThreads * cuda::kPacked<T>;
  const int64_t blocks = std::min<int64_t>((to.elements() + per_block - 1) / per_block, 16384);
  cuda::Launch(to.device(), {.blocks = blocks}, MapKernel<Op, T, const From*...>, to.elements(),
               LearnedOf(learned), to.device_data<T>(), from...);
}

template <class Function>
void RunForward(const Tensor& x, const Tensor& learned, Tensor& y) {
  VisitFloat(y.dtype(), [&](auto type) {
    using T = decltype(type);
    Map<Forward<Function>, T>(learned, y, x.device_data<T>());
  });
}

template <class Function>
void RunBackward(const Tensor& saved, const Tensor& dy, const Tensor& learned, Tensor& dx) {
  VisitFloat(dx.dtype(), [&](auto type) {
    using T = decltype(type);
    Map<Backward<Function>, T>(learned, dx, saved.device_data<T>(), dy.device_data<T>());
  });
}

// sums[block]: of dy * df/da over the elements of the block.
template <class Function, typename T>
__global__ void LearnedSumsKernel(int64_t n, const T* saved, const T* dy, double* sums) {
  double sum = 0;
  for (int64_t i = cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    sum += Function::LearnedGradient(cuda::Load(saved + i), cuda::Load(dy + i));
  }
  sum = cuda::BlockReduce(sum, cuda::Plus());
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class Function>
void RunBackwardLearned(const Tensor& saved, const Tensor& dy, Tensor& gradient) {
  const Device& device = dy.device();
  const int64_t n = dy.elements(), blocks = std::clamp<int64_t>(n / 4096, 1, 1024);
  Tensor sums = Tensor::Empty(dy.device(), DType::kF64, {blocks});
  VisitFloat(dy.dtype(), [&](auto type) {
    using T = decltype(type);
    cuda::Launch(device, {.blocks = blocks}, LearnedSumsKernel<Function, T>, n, saved.device_data<T>(),
                 dy.device_data<T>(), sums.device_data<double>());
  });
  auto* const add =
      gradient.dtype() == DType::kF64 ? cuda::SumAll<double, double> : cuda::SumAll<double, float>;
  add(sums, 1, gradient);
}

struct Row {
  absl::string_view name;  // of the activation
  void (*forward)(const Tensor& x, const Tensor& learned, Tensor& y);
  void (*backward)(const Tensor& saved, const Tensor& dy, const Tensor& learned, Tensor& dx);
  // Null where nothing is learned.
  void (*backward_learned)(const Tensor& saved, const Tensor& dy, Tensor& gradient) = nullptr;
};

constexpr Row kRows[] = {
    {"relu", RunForward<Relu>, RunBackward<Relu>},
    {"sigmoid", RunForward<Sigmoid>, RunBackward<Sigmoid>},
    {"tanh", RunForward<Tanh>, RunBackward<Tanh>},
    {"gelu", RunForward<Gelu>, RunBackward<Gelu>},
    {"leaky_relu", RunForward<LeakyRelu>, RunBackward<LeakyRelu>},
    {"prelu", RunForward<Prelu>, RunBackward<Prelu>, RunBackwardLearned<Prelu>},
    {"swish", RunForward<Swish>, RunBackward<Swish>},
    {"softplus", RunForward<Softplus>, RunBackward<Softplus>},
    {"relu6", RunForward<Relu6>, RunBackward<Relu6>},
    {"hardswish", RunForward<Hardswish>, RunBackward<Hardswish>},
    {"elu", RunForward<Elu>, RunBackward<Elu>},
    {"mish", RunForward<Mish>, RunBackward<Mish>},
};

// Null if there is none.
const Row* Find(const Activation& activation) {
  for (const Row& row : kRows) {
    if (row.name == activation.name) return &row;
  }
  return nullptr;
}

}  // namespace

const ActivationDeviceKernels kActivationDeviceKernels = {
    .supports = [](const Activation& activation) { return Find(activation) != nullptr; },
    .forward = [](const Activation& activation, const Tensor& x, const Tensor& learned,
                  Tensor& y) { Find(activation)->forward(x, learned, y); },
    .backward = [](const Activation& activation, const Tensor& saved, const Tensor& dy, const Tensor& learned,
                   Tensor& dx) { Find(activation)->backward(saved, dy, learned, dx); },
    .backward_learned = [](const Activation& activation, const Tensor& saved, const Tensor& dy,
                           Tensor& gradient) { Find(activation)->backward_learned(saved, dy, gradient); },
};

}  // namespace halftone::ops

// The forward pass of linear maps of few rows, in float32 arithmetic. With very few it is as fast as memory
// gives the weights: 16-bit ones are widened in registers, and half as many bytes are half the time. With
// more, a panel of weights is widened once for all of them, in the cache.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/linear/panels.cc"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "hwy/foreach_target.h"  // must come before highway.h

#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

#ifndef HALFTONE_TENSOR_OPS_LINEAR_PANELS_ONCE_
#define HALFTONE_TENSOR_OPS_LINEAR_PANELS_ONCE_
namespace halftone::ops {

// x [m, k], y [m, n] and bias [n] (or null) are float32.
struct Panels {
  DType dtype;  // of w
  int64_t m, k, n;
  const float *x, *bias;
  const void* w;
  float* y;
};

// Outputs of a panel; and rows of x that stay in the cache while all panels pass.
constexpr int64_t kPanel = 4;
constexpr int64_t kRowBytes = 1 << 19;

}  // namespace halftone::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

// Rows of x that are multiplied with a panel at a time: as many sums as there are registers for.
constexpr size_t kRows = HWY_TARGET <= HWY_AVX3 ? 6 : 3;

// Asks for `bytes` of memory that will be read soon, into the second cache: the first one is full.
HWY_INLINE void Prefetch(const void* from, int64_t bytes) {
  constexpr int64_t kLine = 64;
  for (int64_t i = 0; i < bytes; i += kLine) __builtin_prefetch(static_cast<const char*>(from) + i, 0, 2);
}

#if HWY_TARGET != HWY_SCALAR
// The sum of a vector's parts of 128 bits, lane by lane: four floats.
template <class D>
HWY_INLINE void StoreSumOfBlocks(D d, hn::Vec<D> v, float* HWY_RESTRICT to) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    StoreSumOfBlocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), to);
  } else {
    hn::StoreU(v, d, to);
  }
}
#endif

// What the lanes of each vector sum up to.
template <size_t N>
HWY_INLINE void StoreTotals(const hn::Vec<FloatTag> (&sums)[N], float* HWY_RESTRICT to) {
  const FloatTag d;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (N == 4) {  // at once: lane b of every 128 bits becomes a part of sum b
    const hn::Repartition<uint64_t, FloatTag> d64;
    const auto pair = [&](auto a, auto b) HWY_ATTR {
      return hn::BitCast(d64, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
    };
    const auto ab = pair(sums[0], sums[1]), cd = pair(sums[2], sums[3]);
    return StoreSumOfBlocks(d,
                            hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, ab, cd)),
                                    hn::BitCast(d, hn::InterleaveUpper(d64, ab, cd))),
                            to);
  }
#endif
  for (size_t b = 0; b < N; ++b) to[b] = hn::GetLane(hn::SumOfLanes(d, sums[b]));
}

// y for rows [row, row + M) and outputs [j, j + N) from the rows w of N outputs.
template <size_t M, size_t N, typename T>
HWY_INLINE void Multiply(const Panels& p, int64_t row, int64_t j, const T* HWY_RESTRICT w) {
  const FloatTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float* HWY_RESTRICT x = p.x + row * p.k;
  // Unrolled, the sums are registers.
  hn::Vec<FloatTag> sums[M][N];
#pragma GCC unroll 8
  for (size_t a = 0; a < M; ++a) {
#pragma GCC unroll 8
    for (size_t b = 0; b < N; ++b) sums[a][b] = hn::Zero(d);
  }
  int64_t i = 0;
  for (; i + lanes <= p.k; i += lanes) {
    hn::Vec<FloatTag> weights[N];
#pragma GCC unroll 8
    for (size_t b = 0; b < N; ++b) weights[b] = LoadFloats(d, w + static_cast<int64_t>(b) * p.k + i);
#pragma GCC unroll 8
    for (size_t a = 0; a < M; ++a) {
      const auto xs = hn::LoadU(d, x + static_cast<int64_t>(a) * p.k + i);
#pragma GCC unroll 8
      for (size_t b = 0; b < N; ++b) sums[a][b] = hn::MulAdd(xs, weights[b], sums[a][b]);
    }
  }
#pragma GCC unroll 8
  for (size_t a = 0; a < M; ++a) {
    const int64_t r = row + static_cast<int64_t>(a);
    float totals[N];
    StoreTotals<N>(sums[a], totals);
#pragma GCC unroll 8
    for (size_t b = 0; b < N; ++b) {
      const int64_t o = static_cast<int64_t>(b);
      float sum = totals[b];
      for (int64_t t = i; t < p.k; ++t) sum += p.x[r * p.k + t] * static_cast<float>(w[o * p.k + t]);
      p.y[r * p.n + j + o] = p.bias == nullptr ? sum : sum + p.bias[j + o];
    }
  }
}

// The same for `rows` of them, below kRows.
template <size_t M, size_t N, typename T>
HWY_INLINE void MultiplyRest(const Panels& p, int64_t row, int64_t rows, int64_t j, const T* w) {
  if constexpr (M > 0) {
    if (rows == static_cast<int64_t>(M)) return Multiply<M, N>(p, row, j, w);
    MultiplyRest<M - 1, N>(p, row, rows, j, w);
  }
}

// Rows [begin, end) and N outputs.
template <size_t N, typename T>
HWY_INLINE void Panel(const Panels& p, int64_t begin, int64_t end, int64_t j, float* wide) {
  const T* w = static_cast<const T*>(p.w) + j * p.k;
  constexpr auto kStep = static_cast<int64_t>(kRows);
  const auto bytes = static_cast<int64_t>(N * static_cast<size_t>(p.k) * sizeof(T));
  const bool last = j + 2 * static_cast<int64_t>(N) > p.n;
  const int64_t steps = (end - begin) / kStep + 1, share = last ? 0 : (bytes / steps + 63) / 64 * 64;
  const auto multiply = [&](const auto* weights) HWY_ATTR {
    // The next panel comes from memory while this one is computed.
    const char* next = reinterpret_cast<const char*>(w) + bytes;
    int64_t row = begin;
    for (; row + kStep <= end; row += kStep, next += share) {
      Prefetch(next, share);
      Multiply<kRows, N>(p, row, j, weights);
    }
    Prefetch(next, share);
    MultiplyRest<kRows - 1, N>(p, row, end - row, j, weights);
  };
  if (std::is_same_v<T, float> || end - begin < kStep) return multiply(w);
  ForVectors(N * static_cast<size_t>(p.k),
             [&](auto d, size_t i) HWY_ATTR { hn::StoreU(LoadFloats(d, w + i), d, wide + i); });
  multiply(wide);
}

}  // namespace

// Outputs [begin, end) of rows [first, last).
void PanelsForward(const Panels& p, int64_t first, int64_t last, int64_t begin, int64_t end) {
  VisitStorage(p.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    std::vector<float> wide(static_cast<size_t>(kPanel * p.k));
    int64_t j = begin;
    for (; j + kPanel <= end; j += kPanel) Panel<kPanel, T>(p, first, last, j, wide.data());
    for (; j < end; ++j) Panel<1, T>(p, first, last, j, wide.data());
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/parallel.h"
#include "tensor/onednn/onednn.h"
#include "tensor/ops/linear/implementations.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(PanelsForward);

// That of the gradients.
const LinearImplementation& Gradients(const LinearProblem& p) {
  return p.dtype == DType::kF32 ? kLinearOneDnn : kLinearWidened;
}

// Measured: with more rows oneDNN is as fast, and with bfloat16 hardware always faster.
bool Supports(const LinearProblem& p) {
  if (p.m > (p.dtype == DType::kF32 ? 64 : 128)) return false;
  return p.dtype == DType::kF32 ? kLinearOneDnn.supports(p)
                                : kLinearWidened.supports(p) && !kLinearOneDnn.supports(p);
}

void Forward(const LinearProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  const bool narrow = p.dtype != DType::kF32;
  Tensor wide_x = narrow ? Tensor::Empty(x.device(), DType::kF32, x.shape()) : x;
  Tensor wide_y = narrow ? Tensor::Empty(x.device(), DType::kF32, y->shape()) : *y;
  if (p.wide_x) {
    onednn::RoundRange(x.data<float>(), x.elements(), p.dtype, wide_x.data<float>());
  } else if (narrow) {
    onednn::WidenRange(x, 0, x.elements(), wide_x.data<float>());
  }
  const Tensor wide_bias = bias.defined() && bias.dtype() != DType::kF32 ? onednn::Widen(bias) : bias;
  const Panels panels = {.dtype = p.dtype,
                         .m = p.m,
                         .k = p.k,
                         .n = p.n,
                         .x = wide_x.data<float>(),
                         .bias = bias.defined() ? wide_bias.data<float>() : nullptr,
                         .w = w.raw(),
                         .y = wide_y.data<float>()};
  const int64_t rows = std::max<int64_t>(64, kRowBytes / (p.k * static_cast<int64_t>(sizeof(float))));
  for (int64_t first = 0; first < p.m; first += rows) {
    const int64_t last = std::min(first + rows, p.m);
    constexpr int64_t kProducts = 1 << 14;  // worth a thread
    const int64_t grain = kPanel * (kProducts / (p.k * (last - first) * kPanel) + 1);
    ParallelFor(static_cast<size_t>(p.n), static_cast<size_t>(grain), [&](size_t begin, size_t end) {
      HWY_DYNAMIC_DISPATCH(PanelsForward)
      (panels, first, last, static_cast<int64_t>(begin), static_cast<int64_t>(end));
    });
  }
  if (p.wide_y) {
    onednn::RoundRange(wide_y.data<float>(), y->elements(), p.dtype, y->data<float>());
  } else if (narrow) {
    onednn::NarrowRange(wide_y.data<float>(), 0, y->elements(), y);
  }
}

void BackwardData(const LinearProblem& p, const Tensor& dy, const Tensor& w, Tensor* dx) {
  Gradients(p).backward_data(p, dy, w, dx);
}

void BackwardWeights(const LinearProblem& p, const Tensor& x, const Tensor& dy, WeightGradients* grads) {
  Gradients(p).backward_weights(p, x, dy, grads);
}

}  // namespace

constinit const LinearImplementation kLinearPanels = {
    .name = "panels",
    .supports = Supports,
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights = BackwardWeights,
};

}  // namespace halftone::ops
#endif  // HWY_ONCE

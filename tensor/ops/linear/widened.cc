// Linear maps of 16-bit tensors in float32 arithmetic. Forward a matrix product of our own, after Goto and
// van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008): weights are widened where they
// would have to be copied anyway, and results are rounded as they leave the registers, so neither costs a
// pass over memory. Backward oneDNN's products of widened copies.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/ops/linear/widened.cc"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/foreach_target.h"  // must come before highway.h

#include "hwy/highway.h"
#include "tensor/ops/simd/simd_float-inl.h"

#ifndef HALFTONE_TENSOR_OPS_LINEAR_WIDENED_ONCE_
#define HALFTONE_TENSOR_OPS_LINEAR_WIDENED_ONCE_
namespace halftone::ops {

// x [m, k], w [n, k], y [m, n] as in LinearProblem; bias [n] (or null) is float32.
struct WidenedProduct {
  DType dtype;
  bool wide_x, wide_y;
  int64_t k, n;
  const void *x, *w;
  const float* bias;
  void* y;
};

// Rows [first, last) of x by outputs [begin, end), of which there are at most kOutputs.
struct WidenedPart {
  int64_t first, last, begin, end;
};

// Weights that are widened at once: so many fit into the second cache, beside some rows of x.
constexpr int64_t kOutputs = 128;
constexpr int64_t kInputs = 1024;

}  // namespace halftone::ops
#endif

HWY_BEFORE_NAMESPACE();
namespace halftone::ops {
namespace HWY_NAMESPACE {
namespace {

constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(FloatTag()));
// A tile of y is as many sums as there are registers for: rows of x by two vectors of outputs.
constexpr int64_t kRows = HWY_TARGET <= HWY_AVX3 ? 14 : 6;
constexpr int64_t kTileOutputs = 2 * kLanes;
// Between rows of x: not a power of two, or they would share one set of the first cache.
constexpr int64_t kStride = kInputs + 16;
// Inputs that are transposed at a time, in quads that are moved as one.
constexpr int64_t kStep = 32, kQuad = 4;
// A fourth of a tile's outputs, one quad each; at least one.
constexpr int64_t kQuadRow = std::max(kQuad, kTileOutputs);

// [4, kTileOutputs] at `to` from rows r = 0 to 3, of which each has, one behind another, the four inputs of
// outputs r, 4 + r, 8 + r and so on.
template <typename T>
HWY_INLINE void WidenQuads(const T (*from)[kQuadRow], float* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR  // no vectors
  for (int64_t i = 0; i < kQuad; ++i) {
    for (int64_t o = 0; o < kTileOutputs; ++o) {
      to[i * kTileOutputs + o] = static_cast<float>(from[o % kQuad][o / kQuad * kQuad + i]);
    }
  }
#else
  const FloatTag d;
  const hn::Repartition<uint64_t, FloatTag> d64;
  for (int64_t o = 0; o < kTileOutputs; o += kLanes) {
    const auto a0 = LoadFloats(d, from[0] + o), a1 = LoadFloats(d, from[1] + o);
    const auto a2 = LoadFloats(d, from[2] + o), a3 = LoadFloats(d, from[3] + o);
    const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d, a0, a1));
    const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d, a2, a3));
    const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d, a0, a1));
    const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d, a2, a3));
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, low01, low23)), d, to + o);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, low01, low23)), d, to + kTileOutputs + o);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, high01, high23)), d, to + 2 * kTileOutputs + o);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, high01, high23)), d, to + 3 * kTileOutputs + o);
  }
#endif
}

// panel [inputs, kTileOutputs] from w [outputs, inputs], whose rows are k apart; outputs beyond are zero.
template <typename T>
HWY_INLINE void WidenPanel(const T* w, int64_t k, int64_t outputs, int64_t inputs,
                           float* HWY_RESTRICT panel) {
  constexpr int64_t kQuads = kStep / kQuad;
  T quads[kQuads][kQuad][kQuadRow] = {};
  for (int64_t i = 0; i < inputs; i += kStep) {
    const int64_t columns = std::min(kStep, inputs - i);
    const T* from = w + i;
    // The next panel, in the order of its addresses: rows are too far apart for a processor to see what
    // comes.
    constexpr int64_t kLine = 64 / sizeof(T);
    const T* next = w + kTileOutputs * k + i * kTileOutputs;
    for (int64_t line = 0; line < kStep * kTileOutputs; line += kLine) __builtin_prefetch(next + line, 0, 2);
    for (int64_t o = 0; o < outputs; ++o, from += k) {
      for (int64_t q = 0; q * kQuad < columns; ++q) {
        T* quad = &quads[q][o % kQuad][o / kQuad * kQuad];
        if (columns - q * kQuad >= kQuad) {
          std::memcpy(quad, from + q * kQuad, kQuad * sizeof(T));
        } else {
          std::copy(from + q * kQuad, from + columns, quad);
        }
      }
    }
    for (int64_t q = 0; q < kQuads; ++q) WidenQuads(quads[q], panel + (i + q * kQuad) * kTileOutputs);
  }
}

// Inputs [begin, begin + count) of a row of x, as float32 numbers of dtype T.
template <typename T>
HWY_INLINE void ReadRow(const WidenedProduct& p, int64_t row, int64_t begin, int64_t count,
                        float* HWY_RESTRICT to) {
  if (p.wide_x) {
    const float* from = static_cast<const float*>(p.x) + row * p.k + begin;
    T rounded[kLanes];
    ForVectors(static_cast<size_t>(count), [&](auto d, size_t i) HWY_ATTR {
      StoreFloats(hn::LoadU(d, from + i), d, rounded);
      hn::StoreU(LoadFloats(d, rounded), d, to + i);
    });
  } else {
    const T* from = static_cast<const T*>(p.x) + row * p.k + begin;
    ForVectors(static_cast<size_t>(count),
               [&](auto d, size_t i) HWY_ATTR { hn::StoreU(LoadFloats(d, from + i), d, to + i); });
  }
}

// What is needed next, asked for while a tile is computed: kQuad rows of x, and weights. Bytes between rows,
// and that are passed with each input.
struct Ahead {
  const char *x, *w;
  int64_t x_row, x_step, w_step;
};

// sums [M, kTileOutputs] (+)= x [M, inputs] by a panel [inputs, kTileOutputs].
template <int64_t M>
HWY_INLINE void Multiply(const float* HWY_RESTRICT x, const float* HWY_RESTRICT panel, int64_t inputs,
                         bool add, const Ahead& ahead, float* HWY_RESTRICT sums) {
  const FloatTag d;
  // Unrolled, these are registers.
  hn::Vec<FloatTag> low[M], high[M];
#pragma GCC unroll 16
  for (int64_t a = 0; a < M; ++a) {
    low[a] = add ? hn::LoadU(d, sums + a * kTileOutputs) : hn::Zero(d);
    high[a] = add ? hn::LoadU(d, sums + a * kTileOutputs + kLanes) : hn::Zero(d);
  }
  for (int64_t i = 0; i < inputs; ++i) {
    __builtin_prefetch(ahead.x + i % kQuad * ahead.x_row + i / kQuad * ahead.x_step, 0, 2);
    __builtin_prefetch(ahead.w + i * ahead.w_step, 0, 2);
    const auto w0 = hn::LoadU(d, panel + i * kTileOutputs),
               w1 = hn::LoadU(d, panel + i * kTileOutputs + kLanes);
#pragma GCC unroll 16
    for (int64_t a = 0; a < M; ++a) {
      const auto xs = hn::Set(d, x[a * kStride + i]);
      low[a] = hn::MulAdd(xs, w0, low[a]);
      high[a] = hn::MulAdd(xs, w1, high[a]);
    }
  }
#pragma GCC unroll 16
  for (int64_t a = 0; a < M; ++a) {
    hn::StoreU(low[a], d, sums + a * kTileOutputs);
    hn::StoreU(high[a], d, sums + a * kTileOutputs + kLanes);
  }
}

// The same for `rows` of them.
template <int64_t M>
HWY_INLINE void MultiplyRows(int64_t rows, const float* x, const float* panel, int64_t inputs, bool add,
                             const Ahead& ahead, float* sums) {
  if constexpr (M > 0) {
    if (rows == M) return Multiply<M>(x, panel, inputs, add, ahead, sums);
    MultiplyRows<M - 1>(rows, x, panel, inputs, add, ahead, sums);
  }
}

// y of a row, from its output `output` on, from `count` sums.
template <typename T>
HWY_INLINE void WriteRow(const WidenedProduct& p, const float* sums, int64_t row, int64_t output,
                         int64_t count) {
  T rounded[kLanes];
  ForVectors(static_cast<size_t>(count), [&](auto d, size_t i) HWY_ATTR {
    auto sum = hn::LoadU(d, sums + i);
    if (p.bias != nullptr) sum = hn::Add(sum, hn::LoadU(d, p.bias + output + i));
    const size_t at = static_cast<size_t>(row * p.n + output) + i;
    if (p.wide_y) {
      StoreFloats(sum, d, rounded);
      hn::StoreU(LoadFloats(d, rounded), d, static_cast<float*>(p.y) + at);
    } else {
      StoreFloats(sum, d, static_cast<T*>(p.y) + at);
    }
  });
}

template <typename T>
HWY_INLINE void Part(const WidenedProduct& p, const WidenedPart& part, float* panels, float* x, float* sums) {
  const T* w = static_cast<const T*>(p.w) + part.begin * p.k;
  const int64_t outputs = part.end - part.begin, tiles = (outputs + kTileOutputs - 1) / kTileOutputs;
  const auto x_size = static_cast<int64_t>(p.wide_x ? sizeof(float) : sizeof(T));
  const bool whole = p.k <= kInputs;
  for (int64_t input = 0; input < p.k; input += kInputs) {
    const int64_t inputs = std::min(kInputs, p.k - input);
    for (int64_t o = 0; o < outputs; o += kTileOutputs) {
      WidenPanel(w + o * p.k + input, p.k, std::min(kTileOutputs, outputs - o), inputs, panels + o * kInputs);
    }
    Ahead ahead = {.x_row = p.k * x_size, .x_step = kQuad * x_size};
    // The next part's weights lie behind these; its share of them is every tile's.
    const int64_t all_tiles = (part.last - part.first + kRows - 1) / kRows * tiles;
    ahead.w = reinterpret_cast<const char*>(w + outputs * p.k);
    ahead.w_step = whole && part.end < p.n ? outputs * static_cast<int64_t>(sizeof(T)) / all_tiles + 1 : 0;
    float* tile = sums;
    for (int64_t row = part.first; row < part.last; row += kRows) {
      const int64_t rows = std::min(kRows, part.last - row);
      for (int64_t a = 0; a < rows; ++a) ReadRow<T>(p, row + a, input, inputs, x + a * kStride);
      ahead.x = static_cast<const char*>(p.x) + ((row + kRows) * p.k + input) * x_size;
      for (int64_t o = 0; o < outputs; o += kTileOutputs, tile += kRows * kTileOutputs) {
        if (whole) tile = sums;  // not needed again
        MultiplyRows<kRows>(rows, x, panels + o * kInputs, inputs, input > 0, ahead, tile);
        ahead.x += kQuad * ahead.x_row;
        ahead.w += inputs * ahead.w_step;
        if (input + inputs < p.k) continue;
        for (int64_t a = 0; a < rows; ++a) {
          WriteRow<T>(p, tile + a * kTileOutputs, row + a, part.begin + o,
                      std::min(kTileOutputs, outputs - o));
        }
      }
    }
  }
}

}  // namespace

// Floats of scratch memory for a part of so many rows.
int64_t WidenedScratch(int64_t k, int64_t rows) {
  const int64_t tiles = k <= kInputs ? 1 : (rows + kRows - 1) / kRows * (kOutputs / kTileOutputs);
  return kOutputs * kInputs + kRows * kStride + tiles * kRows * kTileOutputs;
}

void WidenedForward(const WidenedProduct& p, const WidenedPart& part, float* scratch) {
  VisitStorage(p.dtype, [&](auto type) HWY_ATTR {
    float* x = scratch + kOutputs * kInputs;
    Part<decltype(type)>(p, part, scratch, x, x + kRows * kStride);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace halftone::ops
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <atomic>

#include "base/parallel.h"
#include "tensor/onednn/onednn.h"
#include "tensor/ops/linear/implementations.h"

namespace halftone::ops {
namespace {

HWY_EXPORT(WidenedScratch);
HWY_EXPORT(WidenedForward);

void Say(Device& device, DType dtype) {
  device.SayOnce(
      dtype == DType::kF16
          ? "float16 linear maps: 16-bit storage, float32 arithmetic (this CPU has no fast float16)"
          : "bfloat16 linear maps: 16-bit storage, float32 arithmetic (this CPU has no fast bfloat16)");
}

LinearProblem Wide(LinearProblem p) {
  p.dtype = DType::kF32;
  return p;
}

bool Supports(const LinearProblem& p) {
  return !p.Empty() && (p.dtype == DType::kF16 || p.dtype == DType::kBF16);
}

int64_t Ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }

void Forward(const LinearProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias, Tensor* y) {
  Say(x.device(), p.dtype);
  const Tensor wide_bias = bias.defined() && bias.dtype() != DType::kF32 ? onednn::Widen(bias) : bias;
  const WidenedProduct product = {.dtype = p.dtype,
                                  .wide_x = p.wide_x,
                                  .wide_y = p.wide_y,
                                  .k = p.k,
                                  .n = p.n,
                                  .x = x.raw(),
                                  .w = w.raw(),
                                  .bias = bias.defined() ? wide_bias.data<float>() : nullptr,
                                  .y = y->raw()};
  // Rows are cut only where there would be fewer parts than threads: each cut widens all weights again.
  const int64_t threads = NumThreads(), columns = Ceil(p.n, kOutputs);
  constexpr int64_t kFewestRows = 64, kMostRows = 4096;
  const int64_t cuts = std::max(Ceil(p.m, kMostRows), std::min(Ceil(threads, columns), p.m / kFewestRows));
  const int64_t rows = Ceil(p.m, std::max<int64_t>(cuts, 1)), parts = columns * Ceil(p.m, rows);
  const int64_t scratch = Ceil(HWY_DYNAMIC_DISPATCH(WidenedScratch)(p.k, rows), 16) * 16;
  Tensor memory = Tensor::Empty(x.device(), DType::kF32, {std::min(threads, parts), scratch});
  std::atomic<int64_t> ranges = 0;
  ParallelFor(static_cast<size_t>(parts), 1, [&](size_t begin, size_t end) {
    float* range_scratch = memory.data<float>() + ranges++ * scratch;
    for (auto part = static_cast<int64_t>(begin); part < static_cast<int64_t>(end); ++part) {
      const int64_t row = part / columns * rows, output = part % columns * kOutputs;
      HWY_DYNAMIC_DISPATCH(WidenedForward)
      (product, {row, std::min(row + rows, p.m), output, std::min(output + kOutputs, p.n)}, range_scratch);
    }
  });
}

void BackwardData(const LinearProblem& p, const Tensor& dy, const Tensor& w, Tensor* dx) {
  Say(dy.device(), p.dtype);
  Tensor wide_dx = Tensor::Empty(dy.device(), DType::kF32, dx->shape());
  kLinearOneDnn.backward_data(Wide(p), onednn::Widen(dy), onednn::Widen(w), &wide_dx);
  onednn::NarrowRange(wide_dx.data<float>(), 0, dx->elements(), dx);
}

void BackwardWeights(const LinearProblem& p, const Tensor& x, const Tensor& dy, WeightGradients* grads) {
  Say(x.device(), p.dtype);
  kLinearOneDnn.backward_weights(Wide(p), onednn::Widen(x), onednn::Widen(dy), grads);
}

}  // namespace

constinit const LinearImplementation kLinearWidened = {
    .name = "widened",
    .supports = Supports,
    .forward = Forward,
    .backward_data = BackwardData,
    .backward_weights = BackwardWeights,
};

}  // namespace halftone::ops
#endif  // HWY_ONCE

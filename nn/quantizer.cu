#include "nn/quantizer.cuh"

#include <algorithm>
#include <cfloat>
#include <cstdint>

#include "quant/block_scale.h"
#include "quant/codebook_search.h"
#include "quant/grid.h"
#include "quant/scaled_reference.h"
#include "quant/scales.h"
#include "tensor/cuda/kernel.cuh"

namespace halftone::nn {
namespace {

using quant_internal::BlockScaleFactors;
using quant_internal::E8m0Rule;
using quant_internal::FloatGrid;
using quant_internal::HasFloatGrid;
using quant_internal::IntegerGrid;

// --- Scales

// By one block a part of a row: the smallest and the largest finite number, 0 among them.
__global__ void RangeKernel(const float* x, int64_t row_size, int parts, int64_t part_size, float* lowest,
                            float* highest) {
  const int64_t row = blockIdx.x / static_cast<unsigned>(parts),
                part = blockIdx.x % static_cast<unsigned>(parts);
  const int64_t end = std::min((part + 1) * part_size, row_size);
  float below = 0, above = 0;  // magnitudes
  for (int64_t i = part * part_size + threadIdx.x; i < end; i += cuda::kThreads) {
    const float v = x[row * row_size + i];
    if (!IsFinite(v)) continue;
    below = std::max(below, -v);
    above = std::max(above, v);
  }
  below = cuda::BlockReduce(below, cuda::Maximum());
  above = cuda::BlockReduce(above, cuda::Maximum());
  if (threadIdx.x != 0) return;
  lowest[blockIdx.x] = -below;
  highest[blockIdx.x] = above;
}

// By one block a row: finish(row, its range).
template <typename Finish>
__global__ void FinishRangeKernel(const float* lowest, const float* highest, int parts, Finish finish) {
  const int64_t first = int64_t{blockIdx.x} * parts;
  float below = 0, above = 0;
  for (int i = static_cast<int>(threadIdx.x); i < parts; i += cuda::kThreads) {
    below = std::max(below, -lowest[first + i]);
    above = std::max(above, highest[first + i]);
  }
  below = cuda::BlockReduce(below, cuda::Maximum());
  above = cuda::BlockReduce(above, cuda::Maximum());
  if (threadIdx.x == 0) finish(int64_t{blockIdx.x}, -below, above);
}

template <typename Finish>
void WithRanges(const Tensor& x, int64_t rows, const Finish& finish) {
  constexpr int64_t kPart = 16384, kMostParts = 1024;
  const int64_t row_size = x.elements() / rows;
  const int64_t parts = std::clamp<int64_t>((row_size + kPart - 1) / kPart, 1, kMostParts);
  Tensor lowest = Tensor::Empty(x.device(), DType::kF32, {rows * parts}),
         highest = Tensor::Empty(x.device(), DType::kF32, {rows * parts});
  cuda::Launch(x.device(), {.blocks = rows * parts}, RangeKernel, x.device_data<float>(), row_size,
               static_cast<int>(parts), (row_size + parts - 1) / parts, lowest.device_data<float>(),
               highest.device_data<float>());
  cuda::Launch(x.device(), {.blocks = rows}, FinishRangeKernel<Finish>, lowest.device_data<float>(),
               highest.device_data<float>(), static_cast<int>(parts), finish);
}

struct WriteScale {
  double largest;
  float* scales;
  __device__ void operator()(int64_t row, float lowest, float highest) const {
    scales[row] = quant_internal::ExactScaleOf(std::max(highest, -lowest), largest);
  }
};

struct WriteAffineScale {
  IntegerFormat format;
  float* scales;
  int32_t* zero_points;
  __device__ void operator()(int64_t row, float lowest, float highest) const {
    const bool all_zero = lowest == highest;
    scales[row] = all_zero ? 1 : quant_internal::AffineScaleOf(format, lowest, highest);
    zero_points[row] = all_zero ? 0 : quant_internal::ZeroPointOf(format, lowest, scales[row]);
  }
};

struct WriteDelayedScale {
  double largest;
  bool remember;
  float* history;
  int64_t length;
  float* scale;
  __device__ void operator()(int64_t, float lowest, float highest) const {
    const float now = std::max(highest, -lowest);
    float before = 0;
    for (int64_t i = 0; i < length; ++i) before = std::max(before, history[i]);
    if (remember) {
      for (int64_t i = 0; i + 1 < length; ++i) history[i] = history[i + 1];
      history[length - 1] = now;
    }
    *scale = quant_internal::ExactScaleOf(before == 0 ? now : before, largest);
  }
};

struct WriteTensorScale {
  float* tensor_scale;
  __device__ void operator()(int64_t, float lowest, float highest) const {
    *tensor_scale = quant_internal::TensorScaleOf(std::max(highest, -lowest));
  }
};

void CurrentScales(const Tensor& x, double largest, Tensor& scales) {
  WithRanges(x, scales.elements(), WriteScale{largest, scales.device_data<float>()});
}

void AffineScales(const IntegerFormat& format, const Tensor& x, DeviceScales& s) {
  WithRanges(x, s.scales.elements(),
             WriteAffineScale{format, s.scales.device_data<float>(), s.zero_points.device_data<int32_t>()});
}

void DelayedScale(const Tensor& x, double largest, bool remember, Tensor& history, Tensor& scale) {
  WithRanges(x, 1,
             WriteDelayedScale{largest, remember, history.device_data<float>(), history.elements(),
                               scale.device_data<float>()});
}

void LearnedScales(const Tensor& learned, Tensor& scales) {
  const float* from = learned.device_data<float>();
  float* to = scales.device_data<float>();
  cuda::ForEach(scales.device(), scales.elements(),
                [=] __device__(int64_t i) { to[i] = from[i] < FLT_MIN ? FLT_MIN : from[i]; });
}

// --- Rounding

// What becomes of one number of a row.
struct RoundOnGrid {
  FloatGrid grid;
  __device__ float operator()(int64_t, int64_t, float x, float scale) const {
    return reference::Product(x, RoundToValue(grid, x / scale), scale);
  }
};

struct RoundSlowly {
  FloatFormat format;
  bool stochastic;
  Rng rng;
  __device__ float operator()(int64_t i, int64_t, float x, float scale) const {
    return stochastic ? reference::QuantizeOne(format, x, scale, Rounding::kStochastic,
                                               rng.Bits(static_cast<uint64_t>(i)))
                            .y
                      : reference::QuantizeOne(format, x, scale, Rounding::kNearestEven, 0).y;
  }
};

struct RoundInteger {
  IntegerFormat format;
  const int32_t* zero_points;  // null: 0
  bool stochastic;
  Rng rng;
  __device__ int ZeroPoint(int64_t row) const { return zero_points == nullptr ? 0 : zero_points[row]; }
  __device__ float operator()(int64_t i, int64_t row, float x, float scale) const {
    const int zero_point = ZeroPoint(row);
    if (!stochastic) {
      return reference::Product(x, RoundToValue(IntegerGrid(format, zero_point), x / scale), scale);
    }
    return reference::QuantizeOne(format, x, scale, zero_point, Rounding::kStochastic,
                                  rng.Bits(static_cast<uint64_t>(i)))
        .y;
  }
};

template <typename Round>
void RoundAll(const Tensor& x, const DeviceScales& s, const Round& round, Tensor& y) {
  const Rows rows = RowsOf(x, s);
  const float* from = x.device_data<float>();
  float* to = y.device_data<float>();
  cuda::ForEach(x.device(), x.elements(), [=] __device__(int64_t i) {
    const int64_t row = rows.Of(i);
    to[i] = round(i, row, from[i], rows.Scale(row));
  });
}

void RoundFloats(const FloatFormat& format, const Tensor& x, const DeviceScales& s,
                 const std::optional<Rng>& random, Tensor& y) {
  if (!random.has_value() && HasFloatGrid(format)) return RoundAll(x, s, RoundOnGrid{FloatGrid(format)}, y);
  RoundAll(x, s, RoundSlowly{format, random.has_value(), random.value_or(Rng(0))}, y);
}

RoundInteger IntegerRounding(const IntegerFormat& format, const DeviceScales& s,
                             const std::optional<Rng>& random) {
  return {format, s.zero_points.defined() ? s.zero_points.device_data<int32_t>() : nullptr,
          random.has_value(), random.value_or(Rng(0))};
}

void RoundIntegers(const IntegerFormat& format, const Tensor& x, const DeviceScales& s,
                   const std::optional<Rng>& random, Tensor& y) {
  RoundAll(x, s, IntegerRounding(format, s, random), y);
}

struct Blocks {
  int64_t row_size, per_row, count;
  int size;
};

// Of a block's elements: onto a float's values or, in steps of kInt8Unit, integers.
constexpr float kInt8Unit = 1.0f / 64;
struct RoundElement {
  bool is_float, is_mx, stochastic;
  FloatFormat format;
  FloatGrid grid;
  IntegerGrid integers;
  Rng rng;

  __device__ float operator()(int64_t i, float x, float factor) const {
    float q = x * factor;
    if (!stochastic) return is_float ? RoundToValue(grid, q) : RoundToValue(integers, q);
    // A number too small for float is as good as its smallest normal one: it rounds the same way.
    if (is_mx && x != 0 && std::fabs(q) < FLT_MIN) q = x < 0 ? -FLT_MIN : FLT_MIN;
    const uint32_t bits = rng.Bits(static_cast<uint64_t>(i));
    if (is_float) {
      return static_cast<float>(
          Decode(format, Encode(format, q, Rounding::kStochastic, Overflow::kSaturate, bits)));
    }
    if (q != q) return 0;
    const float steps = std::clamp(q / kInt8Unit, -128.0f, 127.0f);
    const auto rounded = static_cast<float>(reference::RoundToInteger(steps, Rounding::kStochastic, bits));
    return (rounded + 0.0f) * kInt8Unit;  // no -0
  }
};

// By as many threads a block as it has elements.
__global__ void RoundBlocksKernel(Blocks blocks, RoundElement round, E8m0Rule rule, const float* tensor_scale,
                                  const float* x, float* y) {
  const int64_t block = cuda::GlobalThread() / blocks.size;
  const int64_t row = blocks.per_row == blocks.count ? 0 : block / blocks.per_row;
  const int64_t in_row = (block - row * blocks.per_row) * blocks.size + cuda::GlobalThread() % blocks.size;
  const bool is_there = block < blocks.count && in_row < blocks.row_size;
  const int64_t i = row * blocks.row_size + in_row;
  const float v = is_there ? x[i] : 0;
  int32_t amax = IsFinite(v) ? std::bit_cast<int32_t>(v) & 0x7fffffff : 0;
  for (int mask = blocks.size / 2; mask > 0; mask /= 2) amax = std::max(amax, cuda::ShuffleXor(amax, mask));
  if (!is_there) return;
  const BlockScaleFactors f = round.is_mx ? quant_internal::E8m0FactorsOf(rule, amax)
                                          : quant_internal::E4m3FactorsOf(*tensor_scale, amax);
  y[i] = reference::Product(v, round(i, v, f.factor), f.scale);
}

void RoundBlocks(const BlockFormat& format, BlockScaleRule rule, const Tensor& x, int64_t row_size,
                 const std::optional<Rng>& random, Tensor& y) {
  if (x.elements() == 0) return;
  const bool is_mx = format.scale == BlockScale::kE8m0;
  // Rows of whole blocks are as good as one.
  if (row_size % format.block == 0) row_size = x.elements();
  const auto per_row = static_cast<int64_t>(format.BlocksPerRow(static_cast<size_t>(row_size)));
  const Blocks blocks = {row_size, per_row, x.elements() / row_size * per_row, format.block};
  const FloatFormat element = format.element.value_or(kFloat4E2m1fn);
  const RoundElement round = {.is_float = format.element.has_value(),
                              .is_mx = is_mx,
                              .stochastic = random.has_value(),
                              .format = element,
                              .grid = FloatGrid(element),
                              .integers = IntegerGrid(-128, 127, 0, kInt8Unit),
                              .rng = random.value_or(Rng(0))};
  Tensor tensor_scale = Tensor::Empty(x.device(), DType::kF32, {});
  if (!is_mx) WithRanges(x, 1, WriteTensorScale{tensor_scale.device_data<float>()});
  const int64_t threads = blocks.count * blocks.size;
  cuda::Launch(x.device(), {.blocks = (threads + cuda::kThreads - 1) / cuda::kThreads}, RoundBlocksKernel,
               blocks, round, quant_internal::E8m0RuleOf(format, rule), tensor_scale.device_data<float>(),
               x.device_data<float>(), y.device_data<float>());
}

// --- Codebooks

void MakeSearch(const Tensor& values, Tensor& search) {
  const float* from = values.device_data<float>();
  float* to = search.device_data<float>();
  const int64_t size = values.elements();
  cuda::ForEach(values.device(), size, [=] __device__(int64_t i) {
    to[i] = from[i] + 0.0f;  // no -0
    if (i + 1 < size) to[size + i] = MiddleRoundedDown(from[i] + 0.0f, from[i + 1] + 0.0f);
  });
}

__global__ void RoundToValuesKernel(const float* search_from, int size, Rows rows, int64_t n, const float* x,
                                    float* y) {
  __shared__ Search search;
  LoadSearch(search_from, size, search);
  for (int64_t i = cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    const float scale = rows.Scale(rows.Of(i)), v = x[i];
    y[i] = IsFinite(v) ? search.values[Nearest(search, size, v / scale)] * scale : v;
  }
}

void RoundToValues(const Tensor& search, const Tensor& x, const DeviceScales& s, Tensor& y) {
  constexpr int64_t kMostBlocks = 4096;
  const int64_t blocks = (x.elements() + cuda::kThreads - 1) / cuda::kThreads;
  cuda::Launch(x.device(), {.blocks = std::min(blocks, kMostBlocks)}, RoundToValuesKernel,
               search.device_data<float>(), ValuesOf(search), RowsOf(x, s), x.elements(),
               x.device_data<float>(), y.device_data<float>());
}

}  // namespace

const QuantizerKernels kQuantizerKernels = {
    .current_scales = CurrentScales,
    .affine_scales = AffineScales,
    .delayed_scale = DelayedScale,
    .learned_scales = LearnedScales,
    .make_search = MakeSearch,
    .round_floats = RoundFloats,
    .round_integers = RoundIntegers,
    .round_blocks = RoundBlocks,
    .round_to_values = RoundToValues,
    .float_gradients = FloatGradients,
    .integer_gradients = IntegerGradients,
    .value_gradients = ValueGradients,
};

}  // namespace halftone::nn

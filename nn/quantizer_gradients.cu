#include <algorithm>
#include <cstdint>

#include "nn/quantizer.cuh"
#include "quant/grid.h"
#include "quant/scaled_reference.h"
#include "tensor/cuda/kernel.cuh"

namespace halftone::nn {
namespace {

using quant_internal::FloatGrid;
using quant_internal::HasFloatGrid;
using quant_internal::IntegerGrid;

// Element i of a piece is added to partial sum i % kLanes, and the partial sums in order, as on the host.
constexpr int kLanes = 16;
// Of scaled formats; of codebooks. As in quant/scaled_kernels.h and quant/codebook.cc.
constexpr int64_t kScaledPiece = 2048, kCodebookPiece = 65536;

// By one block a row: to[row] = factor * the sum of its parts, in order.
__global__ void AddPartsKernel(const double* sums, int64_t parts, double factor, float* to) {
  __shared__ double staged[cuda::kThreads];
  const double* from = sums + int64_t{blockIdx.x} * parts;
  double sum = 0;  // thread 0's
  for (int64_t first = 0; first < parts; first += cuda::kThreads) {
    const auto n = static_cast<int>(std::min<int64_t>(cuda::kThreads, parts - first));
    if (static_cast<int>(threadIdx.x) < n) staged[threadIdx.x] = from[first + threadIdx.x];
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int i = 0; i < n; ++i) sum += staged[i];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) to[blockIdx.x] = static_cast<float>(factor * sum);
}

struct Range {
  float lowest, highest;
};

struct FloatGradient {
  FloatFormat format;
  FloatGrid grid;  // where the format has one
  bool has_grid;
  Range range;
  __device__ Range Ends(int64_t) const { return range; }
  __device__ float Value(int64_t, float q) const {
    if (has_grid) return RoundToValue(grid, q);
    return static_cast<float>(
        Decode(format, Encode(format, q, Rounding::kNearestEven, Overflow::kSaturate, 0)));
  }
};

struct IntegerGradient {
  IntegerFormat format;
  const int32_t* zero_points;  // null: 0
  __device__ IntegerGrid Grid(int64_t row) const {
    return IntegerGrid(format, zero_points == nullptr ? 0 : zero_points[row]);
  }
  __device__ Range Ends(int64_t row) const { return {Grid(row).lowest, Grid(row).highest}; }
  __device__ float Value(int64_t row, float q) const { return RoundToValue(Grid(row), q); }
};

// By kLanes threads a piece. sums: of pieces; null: not wanted.
template <typename Gradient>
__global__ void ScaledGradientKernel(Gradient gradient, Rows rows, int64_t pieces_per_row, const float* x,
                                     const float* dy, float* dx, double* sums) {
  __shared__ double lanes[cuda::kThreads];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kLanes;
  const int64_t piece = cuda::GlobalThread() / kLanes;
  const bool is_there = piece < rows.count * pieces_per_row;
  double sum = 0;
  if (is_there) {
    const int64_t row = piece / pieces_per_row, begin = piece % pieces_per_row * kScaledPiece;
    const int64_t end = std::min(begin + kScaledPiece, rows.size);
    const float scale = rows.Scale(row);
    const Range ends = gradient.Ends(row);
    for (int64_t k = begin + lane; k < end; k += kLanes) {
      const int64_t i = row * rows.size + k;
      const reference::Gradients g = reference::BackwardOne(x[i], scale, gradient.Value(row, x[i] / scale),
                                                            ends.lowest, ends.highest, dy[i]);
      dx[i] = g.dx;
      sum += g.dscale;
    }
  }
  lanes[thread] = sum;
  __syncthreads();
  if (sums == nullptr || !is_there || lane != 0) return;
  sum = 0;
  for (int k = 0; k < kLanes; ++k) sum += lanes[thread + k];
  sums[piece] = sum;
}

template <typename Gradient>
void ScaledGradients(const Gradient& gradient, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                     QuantizerGradients& to) {
  const Rows rows = RowsOf(x, s);
  const int64_t per_row = (rows.size + kScaledPiece - 1) / kScaledPiece, pieces = rows.count * per_row;
  const bool wanted = to.dscales.defined();
  Tensor sums = Tensor::Empty(x.device(), DType::kF64, {wanted ? pieces : 0});
  cuda::Launch(x.device(), {.blocks = (pieces * kLanes + cuda::kThreads - 1) / cuda::kThreads},
               ScaledGradientKernel<Gradient>, gradient, rows, per_row, x.device_data<float>(),
               dy.device_data<float>(), to.dx.device_data<float>(),
               wanted ? sums.device_data<double>() : nullptr);
  if (!wanted) return;
  cuda::Launch(x.device(), {.blocks = rows.count}, AddPartsKernel, sums.device_data<double>(), per_row,
               to.scale_factor, to.dscales.device_data<float>());
}

// The parts of codebook.cc's sums: a block is a part of one row, or several whole rows.
struct CodebookBlocks {
  int64_t parts;          // of a row
  int64_t rows_together;  // 1 where a row has several parts
  int64_t count;
};

CodebookBlocks BlocksOf(const Rows& rows) {
  const int64_t parts = std::max<int64_t>(1, (rows.size + kCodebookPiece - 1) / kCodebookPiece);
  const int64_t together = parts > 1 ? 1 : kCodebookPiece / std::max<int64_t>(1, rows.size);
  return {parts, together, (rows.count + together - 1) / together * parts};
}

constexpr int kChunk = 1024;
constexpr int kValueLanes = 8, kFewValues = 8;

// What codebook_kernels.cc has of a chunk, and what it adds up to.
struct Chunk {
  uint8_t codes[kChunk];
  float gradients[kChunk];  // dy where x is finite, else 0
  float terms[kChunk];      // of the scale's gradient
  float sums[kFewValues * kLanes];
};

// dx of n elements, and the chunk, filled up to a multiple of kLanes with zeros. By all threads of a block.
__device__ void FillChunk(const Search& search, int size, float scale, const float* x, const float* dy,
                          float* dx, int n, Chunk& chunk) {
  const float first = search.values[0] * scale, last = search.values[size - 1] * scale;
  const int whole = (n + kLanes - 1) / kLanes * kLanes;
  for (int i = static_cast<int>(threadIdx.x); i < whole; i += cuda::kThreads) {
    const bool is_there = i < n;
    const float v = is_there ? x[i] : 0, q = v / scale, g = is_there && IsFinite(v) ? dy[i] : 0;
    const bool inside = v >= first && v <= last;
    const int code = is_there ? Nearest(search, size, q) : 0;
    chunk.codes[i] = static_cast<uint8_t>(code);
    chunk.gradients[i] = g;
    chunk.terms[i] = is_there ? g * (search.values[code] - (inside ? q : 0)) : 0;
    if (is_there) dx[i] = inside ? g : 0;
  }
}

// Adds a chunk to lanes[code * kValueLanes + i % kValueLanes]. By all threads of a block.
__device__ void AddToValues(const Chunk& chunk, int n, double scale, double* lanes) {
  constexpr int kClasses = cuda::kThreads / kValueLanes;  // a thread has the codes of one class, in one lane
  const int lane = static_cast<int>(threadIdx.x) % kValueLanes,
            mine = static_cast<int>(threadIdx.x) / kValueLanes;
  for (int i = lane; i < n; i += kValueLanes) {
    const int code = chunk.codes[i];
    if (code % kClasses == mine) lanes[code * kValueLanes + lane] += chunk.gradients[i] * scale;
  }
}

// The same where values are few: sums of a chunk are floats.
__device__ void AddToFewValues(Chunk& chunk, int n, int size, double scale, double* lanes) {
  const int thread = static_cast<int>(threadIdx.x);
  const int whole = (n + kLanes - 1) / kLanes * kLanes;
  if (thread < size * kLanes) {
    float sum = 0;
    for (int i = thread % kLanes; i < whole; i += kLanes) {
      sum += chunk.codes[i] == thread / kLanes ? chunk.gradients[i] : 0;
    }
    chunk.sums[thread] = sum;
  }
  __syncthreads();
  if (thread >= size * kValueLanes) return;
  for (int k = thread % kValueLanes; k < kLanes; k += kValueLanes) {
    lanes[thread] += chunk.sums[thread / kValueLanes * kLanes + k] * scale;
  }
}

// value_sums: [blocks][size]; scale_sums: [rows][parts].
__global__ void ValueGradientKernel(const float* search_from, int size, Rows rows, CodebookBlocks blocks,
                                    const float* x, const float* dy, float* dx, double* value_sums,
                                    double* scale_sums) {
  __shared__ Search search;
  __shared__ double lanes[kMaxValues * kValueLanes];
  __shared__ double term_lanes[kLanes];
  __shared__ Chunk chunk;
  const int thread = static_cast<int>(threadIdx.x);
  LoadSearch(search_from, size, search);
  for (int i = thread; i < size * kValueLanes; i += cuda::kThreads) lanes[i] = 0;
  const int64_t part = blockIdx.x % blocks.parts,
                first_row = blockIdx.x / blocks.parts * blocks.rows_together;
  const int64_t end_row = std::min(rows.count, first_row + blocks.rows_together);
  for (int64_t row = first_row; row < end_row; ++row) {
    const float scale = rows.Scale(row);
    const int64_t end = std::min(rows.size, (part + 1) * kCodebookPiece);
    double term_sum = 0;
    for (int64_t begin = part * kCodebookPiece; begin < end; begin += kChunk) {
      const int64_t at = row * rows.size + begin;
      const int n = static_cast<int>(std::min<int64_t>(kChunk, end - begin));
      __syncthreads();  // the chunk before may still be read
      FillChunk(search, size, scale, x + at, dy + at, dx + at, n, chunk);
      __syncthreads();
      size <= kFewValues ? AddToFewValues(chunk, n, size, scale, lanes) : AddToValues(chunk, n, scale, lanes);
      if (thread < kLanes) {
        for (int i = thread; i < (n + kLanes - 1) / kLanes * kLanes; i += kLanes) term_sum += chunk.terms[i];
      }
    }
    if (thread < kLanes) term_lanes[thread] = term_sum;
    __syncthreads();
    if (thread == 0) {
      double sum = 0;
      for (int k = 0; k < kLanes; ++k) sum += term_lanes[k];
      scale_sums[row * blocks.parts + part] = sum;
    }
  }
  __syncthreads();
  for (int j = thread; j < size; j += cuda::kThreads) {
    double sum = 0;
    for (int k = 0; k < kValueLanes; ++k) sum += lanes[j * kValueLanes + k];
    value_sums[int64_t{blockIdx.x} * size + j] = sum;
  }
}

// By one block: the sums over all blocks, in order, times factor and over the mean square of the scales.
__global__ void AddValuesKernel(const double* sums, int64_t blocks, int size, double factor, Rows rows,
                                float* to) {
  double unit = 0;
  for (int64_t row = 0; row < rows.count; ++row) {
    const double scale = rows.Scale(row);
    unit += scale * scale;
  }
  unit /= static_cast<double>(rows.count);
  for (int j = static_cast<int>(threadIdx.x); j < size; j += cuda::kThreads) {
    double sum = 0;
    for (int64_t b = 0; b < blocks; ++b) sum += sums[b * size + j];
    to[j] = static_cast<float>(factor / unit * sum);
  }
}

__global__ void StopOutsideKernel(const float* search, int size, Rows rows, int64_t n, const float* x,
                                  const float* dy, float* dx) {
  const float lowest = search[0], highest = search[size - 1];
  for (int64_t i = cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    const float scale = rows.Scale(rows.Of(i)), v = x[i];
    dx[i] = IsFinite(v) && v >= lowest * scale && v <= highest * scale ? dy[i] : 0;
  }
}

}  // namespace

void FloatGradients(const FloatFormat& format, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                    QuantizerGradients& to) {
  const auto highest = static_cast<float>(format.largest_finite());
  const bool has_grid = HasFloatGrid(format);
  ScaledGradients(FloatGradient{format,
                                FloatGrid(has_grid ? format : kFloat16),
                                has_grid,
                                {format.has_sign ? -highest : 0, highest}},
                  x, s, dy, to);
}

void IntegerGradients(const IntegerFormat& format, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                      QuantizerGradients& to) {
  const auto* zero_points = s.zero_points.defined() ? s.zero_points.device_data<int32_t>() : nullptr;
  ScaledGradients(IntegerGradient{format, zero_points}, x, s, dy, to);
}

void ValueGradients(const Tensor& search, const Tensor& x, const DeviceScales& s, const Tensor& dy,
                    QuantizerGradients& to) {
  const Rows rows = RowsOf(x, s);
  const int size = ValuesOf(search);
  const auto* from = search.device_data<float>();
  const auto* px = x.device_data<float>();
  const auto* pdy = dy.device_data<float>();
  auto* pdx = to.dx.device_data<float>();
  if (!to.dscales.defined() && !to.dvalues.defined()) {
    constexpr int64_t kMostBlocks = 4096;
    const int64_t blocks = (x.elements() + cuda::kThreads - 1) / cuda::kThreads;
    return cuda::Launch(x.device(), {.blocks = std::min(blocks, kMostBlocks)}, StopOutsideKernel, from, size,
                        rows, x.elements(), px, pdy, pdx);
  }
  const CodebookBlocks blocks = BlocksOf(rows);
  Tensor value_sums = Tensor::Empty(x.device(), DType::kF64, {blocks.count, size});
  Tensor scale_sums = Tensor::Empty(x.device(), DType::kF64, {rows.count, blocks.parts});
  auto* values = value_sums.device_data<double>();
  auto* scales = scale_sums.device_data<double>();
  cuda::Launch(x.device(), {.blocks = blocks.count}, ValueGradientKernel, from, size, rows, blocks, px, pdy,
               pdx, values, scales);
  if (to.dscales.defined()) {
    cuda::Launch(x.device(), {.blocks = rows.count}, AddPartsKernel, scales, blocks.parts, to.scale_factor,
                 to.dscales.device_data<float>());
  }
  if (to.dvalues.defined()) {
    cuda::Launch(x.device(), {.blocks = 1}, AddValuesKernel, values, blocks.count, size, to.value_factor,
                 rows, to.dvalues.device_data<float>());
  }
}

}  // namespace halftone::nn

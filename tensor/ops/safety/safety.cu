#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "tensor/cuda/kernel.cuh"
#include "tensor/ops/safety/safety_counts.h"

namespace halftone::ops {
namespace {

constexpr int64_t kMostBlocks = 1024;
constexpr int kBins = NumberCounts::kBins;
constexpr uint64_t kExponentMask = uint64_t{0x7ff} << 52;

struct Minimum {
  template <typename T>
  __host__ __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

__device__ void Increment(unsigned* counter) {
#ifdef __CUDACC__
  atomicAdd(counter, 1u);
#else
  ++*counter;
#endif
}

template <typename T>
__device__ T BlockSum(T value) {
  return cuda::BlockReduce(value, cuda::Plus());
}

// The largest of the threads' values, and of those that have it the first index.
__device__ void BlockFirstLargest(double& value, int64_t& index) {
  const double largest = cuda::BlockReduce(value, cuda::Maximum());
  index = cuda::BlockReduce(value == largest ? index : kNowhere, Minimum());
  value = largest;
}

// All but the exponents: of the threads of a block together.
__device__ void BlockReduceCounts(NumberCounts& c) {
  c.nans = BlockSum(c.nans);
  c.infinities = BlockSum(c.infinities);
  c.zeros = BlockSum(c.zeros);
  c.first_nonfinite = cuda::BlockReduce(c.first_nonfinite, Minimum());
  c.min_magnitude = cuda::BlockReduce(c.min_magnitude, Minimum());
  BlockFirstLargest(c.max_magnitude, c.max_index);
}

__device__ void BlockReduceCounts(FormatCounts& c) {
  c.overflows = BlockSum(c.overflows);
  c.underflows = BlockSum(c.underflows);
  c.subnormals = BlockSum(c.subnormals);
  c.exact = BlockSum(c.exact);
  c.relative_errors = BlockSum(c.relative_errors);
  c.squared_errors = BlockSum(c.squared_errors);
  c.squares = BlockSum(c.squares);
  BlockFirstLargest(c.max_relative_error, c.max_error_index);
}

__device__ void Clear(NumberCounts& c) {
  c.nans = c.infinities = c.zeros = 0;
  c.first_nonfinite = c.max_index = kNowhere;
  c.max_magnitude = 0;
  c.min_magnitude = std::numeric_limits<double>::infinity();
}

__device__ double Magnitude(double x) { return x < 0 ? -x : x; }

// What lies beyond the bins is in the first or the last one.
__device__ int BinOf(double magnitude) {
  const auto field = static_cast<int>((std::bit_cast<uint64_t>(magnitude) & kExponentMask) >> 52);
  return std::clamp(field - 1023 - ExponentHistogram::kLowest, 0, kBins - 1);
}

// to: [blocks].
template <typename T>
__global__ void CountNumbersKernel(const T* x, int64_t n, NumberCounts* to) {
  __shared__ unsigned bins[kBins];
  for (int b = static_cast<int>(threadIdx.x); b < kBins; b += cuda::kThreads) bins[b] = 0;
  __syncthreads();
  NumberCounts c;
  Clear(c);
  for (int64_t i = cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    const double magnitude = Magnitude(static_cast<double>(x[i]));
    if (magnitude - magnitude != 0) {
      ++(magnitude != magnitude ? c.nans : c.infinities);
      c.first_nonfinite = std::min(c.first_nonfinite, i);
    } else if (magnitude == 0) {
      ++c.zeros;
    } else {
      Increment(&bins[BinOf(magnitude)]);
      c.min_magnitude = std::min(c.min_magnitude, magnitude);
      if (magnitude > c.max_magnitude) {
        c.max_magnitude = magnitude;
        c.max_index = i;
      }
    }
  }
  BlockReduceCounts(c);
  NumberCounts& mine = to[blockIdx.x];
  for (int b = static_cast<int>(threadIdx.x); b < kBins; b += cuda::kThreads) mine.exponents[b] = bins[b];
  if (threadIdx.x != 0) return;
  mine.nans = c.nans;
  mine.infinities = c.infinities;
  mine.zeros = c.zeros;
  mine.first_nonfinite = c.first_nonfinite;
  mine.max_index = c.max_index;
  mine.max_magnitude = c.max_magnitude;
  mine.min_magnitude = c.min_magnitude;
}

// By one block: from[0] becomes that of all.
__global__ void AddNumbersKernel(NumberCounts* from, int blocks) {
  NumberCounts c;
  Clear(c);
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += cuda::kThreads) {
    const NumberCounts& f = from[b];
    c.nans += f.nans;
    c.infinities += f.infinities;
    c.zeros += f.zeros;
    c.first_nonfinite = std::min(c.first_nonfinite, f.first_nonfinite);
    c.min_magnitude = std::min(c.min_magnitude, f.min_magnitude);
    if (f.max_magnitude > c.max_magnitude ||
        (f.max_magnitude == c.max_magnitude && f.max_index < c.max_index)) {
      c.max_magnitude = f.max_magnitude;
      c.max_index = f.max_index;
    }
  }
  BlockReduceCounts(c);
  __syncthreads();  // from[0] is read above
  for (int bin = static_cast<int>(threadIdx.x); bin < kBins; bin += cuda::kThreads) {
    for (int b = 1; b < blocks; ++b) from[0].exponents[bin] += from[b].exponents[bin];
  }
  if (threadIdx.x != 0) return;
  from[0].nans = c.nans;
  from[0].infinities = c.infinities;
  from[0].zeros = c.zeros;
  from[0].first_nonfinite = c.first_nonfinite;
  from[0].max_index = c.max_index;
  from[0].max_magnitude = c.max_magnitude;
  from[0].min_magnitude = c.min_magnitude;
}

// As safety.cc's doubles: x + magic - magic rounds x onto the format's values.
template <typename T>
__global__ void CountFormatKernel(const T* x, int64_t n, SafetyTarget target, FormatCounts* to) {
  const uint64_t lowest = static_cast<uint64_t>(target.normal_exponent + 1023) << 52;
  const uint64_t to_magic = (static_cast<uint64_t>(52 - target.mantissa_bits) << 52) | (uint64_t{1} << 51);
  const double smallest_normal = std::bit_cast<double>(lowest);
  FormatCounts c = {.max_error_index = kNowhere};
  for (int64_t i = cuda::GlobalThread(); i < n; i += cuda::GlobalThreads()) {
    const double magnitude = Magnitude(static_cast<double>(x[i]));
    if (magnitude - magnitude != 0) continue;
    if (magnitude >= target.overflow_from) {
      ++c.overflows;
      continue;
    }
    const uint64_t exponent = std::max(std::bit_cast<uint64_t>(magnitude) & kExponentMask, lowest);
    const double magic = std::bit_cast<double>(exponent + to_magic);
    const double rounded = (magnitude + magic) - magic, error = Magnitude(rounded - magnitude);
    c.exact += error == 0;
    c.underflows += rounded == 0 && magnitude != 0;
    c.subnormals += rounded != 0 && rounded < smallest_normal;
    c.squared_errors += error * error;
    c.squares += magnitude * magnitude;
    if (error == 0) continue;
    const double relative = error / magnitude;
    c.relative_errors += relative;
    if (relative > c.max_relative_error) {
      c.max_relative_error = relative;
      c.max_error_index = i;
    }
  }
  BlockReduceCounts(c);
  if (threadIdx.x == 0) to[blockIdx.x] = c;
}

// By one block: from[0] becomes that of all.
__global__ void AddFormatKernel(FormatCounts* from, int blocks) {
  FormatCounts c = {.max_error_index = kNowhere};
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += cuda::kThreads) {
    const FormatCounts& f = from[b];
    c.overflows += f.overflows;
    c.underflows += f.underflows;
    c.subnormals += f.subnormals;
    c.exact += f.exact;
    c.relative_errors += f.relative_errors;
    c.squared_errors += f.squared_errors;
    c.squares += f.squares;
    if (f.max_relative_error > c.max_relative_error ||
        (f.max_relative_error == c.max_relative_error && f.max_error_index < c.max_error_index)) {
      c.max_relative_error = f.max_relative_error;
      c.max_error_index = f.max_error_index;
    }
  }
  BlockReduceCounts(c);
  __syncthreads();  // from[0] is read above
  if (threadIdx.x == 0) from[0] = c;
}

// n counts on the device.
template <typename Counts>
struct OnDevice {
  OnDevice(Device& device, int64_t n)
      : bytes(Tensor::Empty(device, DType::kU8, {n * static_cast<int64_t>(sizeof(Counts))})) {}
  Counts* data() { return reinterpret_cast<Counts*>(bytes.device_data<uint8_t>()); }
  void Read(Counts& to) const { std::memcpy(&to, bytes.raw(), sizeof(to)); }

  Tensor bytes;
};

template <typename T>
void CountOf(const Tensor& x, absl::Span<const SafetyTarget> targets, NumberCounts& numbers,
             absl::Span<FormatCounts> counts) {
  Device& device = x.device();
  constexpr int64_t kShare = cuda::kThreads * 16;
  const int64_t blocks = std::min((x.elements() + kShare - 1) / kShare, kMostBlocks);
  const auto* from = x.device_data<T>();
  OnDevice<NumberCounts> of_numbers(device, blocks);
  cuda::Launch(device, {.blocks = blocks}, CountNumbersKernel<T>, from, x.elements(), of_numbers.data());
  cuda::Launch(device, {.blocks = 1}, AddNumbersKernel, of_numbers.data(), static_cast<int>(blocks));
  std::vector<OnDevice<FormatCounts>> of_formats;
  for (const SafetyTarget& target : targets) {
    of_formats.emplace_back(device, blocks);
    FormatCounts* const to = of_formats.back().data();
    cuda::Launch(device, {.blocks = blocks}, CountFormatKernel<T>, from, x.elements(), target, to);
    cuda::Launch(device, {.blocks = 1}, AddFormatKernel, to, static_cast<int>(blocks));
  }
  of_numbers.Read(numbers);
  for (size_t f = 0; f < targets.size(); ++f) of_formats[f].Read(counts[f]);
}

}  // namespace

const SafetyCountKernels kSafetyCountKernels = {
    .count = [](const Tensor& x, absl::Span<const SafetyTarget> targets, NumberCounts& numbers,
                absl::Span<FormatCounts> counts) {
      x.dtype() == DType::kF32 ? CountOf<float>(x, targets, numbers, counts)
                               : CountOf<double>(x, targets, numbers, counts);
    }};

}  // namespace halftone::ops

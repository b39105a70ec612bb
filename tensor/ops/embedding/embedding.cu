#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/check.h"
#include "tensor/cuda/kernel.cuh"
#include "tensor/cuda/packed.cuh"
#include "tensor/ops/embedding/embedding_kernels.h"

namespace halftone::ops {
namespace {

// The number at place r, in [0, rows).
__device__ inline int64_t NumberAt(const int64_t* index, int64_t r, int64_t rows) {
  const int64_t i = index[r];
#ifdef __CUDACC__
  if (i < 0 || i >= rows) __trap();
#else
  HALFTONE_CHECK(i >= 0 && i < rows);
#endif
  return i;
}

// As many as one launch takes.
constexpr int kMostLookups = 4;
template <typename T>
struct Tables {
  int count = 0;
  const T* table[kMostLookups];
  const int64_t* index[kMostLookups];
  int64_t rows[kMostLookups];
};

// y, or y + what is in it: the sum of the tables' rows. kN divides d.
template <typename T, int kN>
void Gather(const Tables<T>& tables, bool add, Tensor& y) {
  const int64_t across = y.shape()[-1] / kN;
  T* to = y.device_data<T>();
  cuda::ForEach(y.device(), y.elements() / kN, [=] __device__(int64_t i) {
    const int64_t r = i / across, column = i % across * kN, d = across * kN;
    T sum[kN] = {};
    if (add) cuda::LoadPacked<kN>(to + i * kN, sum);
    for (int t = 0; t < tables.count; ++t) {
      T row[kN];
      cuda::LoadPacked<kN>(tables.table[t] + NumberAt(tables.index[t], r, tables.rows[t]) * d + column, row);
      for (int k = 0; k < kN; ++k) sum[k] = t == 0 && !add ? row[k] : sum[k] + row[k];
    }
    cuda::StorePacked<kN>(to + i * kN, sum);
  });
}

template <typename T>
void ForwardOf(absl::Span<const Lookup> lookups, Tensor& y) {
  for (size_t done = 0; done < lookups.size(); done += kMostLookups) {
    Tables<T> tables;
    for (const Lookup& l : lookups.subspan(done, kMostLookups)) {
      tables.table[tables.count] = l.table.device_data<T>();
      tables.index[tables.count] = l.index.device_data<int64_t>();
      tables.rows[tables.count++] = l.table.shape()[0];
    }
    y.shape()[-1] % cuda::kPacked<T> == 0 ? Gather<T, cuda::kPacked<T>>(tables, done > 0, y)
                                          : Gather<T, 1>(tables, done > 0, y);
  }
}

// The places of the index in the order of their numbers, those of one number in their own order, as keys
// (number << 32 | place), no two of which are equal: runs are sorted and then merged, each key by itself
// finding its rank. So nothing depends on which thread comes first, as it would with atomics.
constexpr int64_t kRun = cuda::kThreads;  // that a block sorts

__device__ inline int64_t NumberOf(int64_t key) { return key >> 32; }
__device__ inline int64_t PlaceOf(int64_t key) { return key & 0xFFFFFFFF; }

// Of the first of the sorted keys in [begin, end) that is `key` or greater; `end` if none is.
__device__ inline int64_t LowerBound(const int64_t* keys, int64_t begin, int64_t end, int64_t key) {
  while (begin < end) {
    const int64_t middle = begin + (end - begin) / 2;
    if (keys[middle] < key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

__global__ void SortRunsKernel(int64_t n, const int64_t* index, int64_t rows, int64_t* keys) {
  __shared__ int64_t run[kRun];
  const int64_t first = blockIdx.x * kRun, place = first + threadIdx.x;
  const int64_t count = n - first < kRun ? n - first : kRun;
  const int64_t key = place < n ? NumberAt(index, place, rows) << 32 | place : 0;
  run[threadIdx.x] = key;
  __syncthreads();
  if (place >= n) return;
  int64_t rank = 0;
  for (int64_t i = 0; i < count; ++i) rank += run[i] < key;
  keys[first + rank] = key;
}

// Of neighbouring runs of `run` keys.
void MergeRuns(const Tensor& from, int64_t run, Tensor& to) {
  const int64_t n = from.elements();
  const int64_t* keys = from.device_data<int64_t>();
  int64_t* merged = to.device_data<int64_t>();
  cuda::ForEach(from.device(), n, [=] __device__(int64_t i) {
    const int64_t own = i / run, other = (own ^ 1) * run;
    const int64_t begin = other < n ? other : n, end = other + run < n ? other + run : n;
    const int64_t below = LowerBound(keys, begin, end, keys[i]) - begin;
    merged[(own & ~int64_t{1}) * run + i % run + below] = keys[i];
  });
}

Tensor SortedKeys(const Tensor& index, int64_t rows) {
  const int64_t n = index.elements();
  HALFTONE_CHECK(n < int64_t{1} << 32 && rows < int64_t{1} << 31);
  Tensor keys = Tensor::Empty(index.device(), DType::kI64, {n}),
         merged = Tensor::Empty(index.device(), DType::kI64, {n});
  cuda::Launch(index.device(), {.blocks = (n + kRun - 1) / kRun, .threads = kRun}, SortRunsKernel, n,
               index.device_data<int64_t>(), rows, keys.device_data<int64_t>());
  for (int64_t run = kRun; run < n; run *= 2) {
    MergeRuns(keys, run, merged);
    std::swap(keys, merged);
  }
  return keys;
}

// Blocks sum over this many keys, one column a thread. What they have of numbers that other blocks have keys
// of as well goes to `parts` [chunks, 2, d]: first that of a number which the chunk before ends with, then
// that of one which this chunk begins and the next goes on with.
constexpr int64_t kChunk = 64;

template <typename T>
struct Sums {
  int64_t n, d, column_blocks, padding_row;
  const int64_t* keys;
  const T* dy;
  double* parts;
  T* gradient;

  __device__ int64_t Chunk() const { return blockIdx.x / column_blocks; }
  __device__ int64_t Column() const { return blockIdx.x % column_blocks * blockDim.x + threadIdx.x; }
  __device__ int64_t End(int64_t chunk) const { return (chunk + 1) * kChunk < n ? (chunk + 1) * kChunk : n; }
  __device__ double& Part(int64_t chunk, int which) const {
    return parts[(2 * chunk + which) * d + Column()];
  }
  // Whether the keys on both sides of `at` are of one number.
  __device__ bool GoesOn(int64_t at) const {
    return at > 0 && at < n && NumberOf(keys[at - 1]) == NumberOf(keys[at]);
  }
  __device__ void Write(int64_t number, double sum) const {
    if (number != padding_row) gradient[number * d + Column()] = static_cast<T>(sum);
  }
};

template <typename T>
__global__ void SumChunksKernel(Sums<T> s) {
  const int64_t chunk = s.Chunk(), begin = chunk * kChunk, end = s.End(chunk);
  if (s.Column() >= s.d) return;
  double sum = 0;
  bool from_before = s.GoesOn(begin);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t key = s.keys[i];
    sum += static_cast<double>(s.dy[PlaceOf(key) * s.d + s.Column()]);
    if (i + 1 < end && s.GoesOn(i + 1)) continue;
    if (from_before) {
      s.Part(chunk, 0) = sum;
    } else if (s.GoesOn(i + 1)) {
      s.Part(chunk, 1) = sum;
    } else {
      s.Write(NumberOf(key), sum);
    }
    sum = 0;
    from_before = false;
  }
}

// For the number that goes on from the block's chunk to others, if it begins there.
template <typename T>
__global__ void JoinChunksKernel(Sums<T> s) {
  const int64_t chunk = s.Chunk(), begin = chunk * kChunk, end = s.End(chunk);
  if (s.Column() >= s.d || !s.GoesOn(end)) return;
  const int64_t number = NumberOf(s.keys[end]);
  if (begin > 0 && NumberOf(s.keys[begin - 1]) == number) return;
  const int64_t last = (LowerBound(s.keys, end, s.n, (number + 1) << 32) - 1) / kChunk;
  double sum = s.Part(chunk, 1);
  for (int64_t c = chunk + 1; c <= last; ++c) sum += s.Part(c, 0);
  s.Write(number, sum);
}

template <typename T>
void BackwardOf(const Tensor& dy, const Tensor& index, int64_t padding_row, Tensor& gradient) {
  const int64_t n = index.elements(), d = gradient.shape()[1];
  const int64_t chunks = (n + kChunk - 1) / kChunk, column_blocks = (d + cuda::kThreads - 1) / cuda::kThreads;
  const Tensor keys = SortedKeys(index, gradient.shape()[0]);
  Tensor parts = Tensor::Empty(dy.device(), DType::kF64, {chunks, 2, d});
  const Sums<T> sums = {.n = n,
                        .d = d,
                        .column_blocks = column_blocks,
                        .padding_row = padding_row,
                        .keys = keys.device_data<int64_t>(),
                        .dy = dy.device_data<T>(),
                        .parts = parts.device_data<double>(),
                        .gradient = gradient.device_data<T>()};
  const cuda::Grid grid = {.blocks = chunks * column_blocks};
  cuda::Launch(dy.device(), grid, SumChunksKernel<T>, sums);
  cuda::Launch(dy.device(), grid, JoinChunksKernel<T>, sums);
}

}  // namespace

const EmbeddingKernels kEmbeddingKernels = {
    .forward =
        [](absl::Span<const Lookup> lookups, Tensor& y) {
          y.dtype() == DType::kF64 ? ForwardOf<double>(lookups, y) : ForwardOf<float>(lookups, y);
        },
    .backward =
        [](const Tensor& dy, const Tensor& index, int64_t padding_row, Tensor& gradient) {
          dy.dtype() == DType::kF64 ? BackwardOf<double>(dy, index, padding_row, gradient)
                                    : BackwardOf<float>(dy, index, padding_row, gradient);
        },
};

}  // namespace halftone::ops

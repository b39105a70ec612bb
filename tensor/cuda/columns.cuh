// Kernels over the columns of a matrix [rows, columns] whose rows lie one after the other: channels of
// images, features of a batch.
//
// A block has `width` threads across, with kColumns neighbouring columns each, and kThreads / width rows of
// such threads. A few blocks lie beside one another, and each covers a slice of the rows: how many depends on
// the matrix alone, and so the order of sums does. To be included where kernel.cuh may be.
#ifndef HALFTONE_TENSOR_CUDA_COLUMNS_CUH_
#define HALFTONE_TENSOR_CUDA_COLUMNS_CUH_

#include "tensor/cuda/packed.cuh"
#include "tensor/tensor.h"

namespace halftone::cuda {

inline constexpr int kRowsAtATime = 4;  // that a thread reads before it computes

struct ColumnGrid {
  int64_t rows = 0, columns = 0;
  int width = 1;              // threads across a block, a power of two
  int64_t column_blocks = 1;  // blocks across the matrix
  int64_t slices = 1, slice_rows = 0;

  // `packed` divides `columns`.
  static ColumnGrid Of(int64_t rows, int64_t columns, int packed, int64_t most_blocks) {
    ColumnGrid grid = {.rows = rows, .columns = columns};
    const int64_t across = columns / packed;
    while (grid.width < across && grid.width < kWarp) grid.width *= 2;
    grid.column_blocks = std::max<int64_t>(1, (across + grid.width - 1) / grid.width);
    const int64_t fewest_rows = kThreads / grid.width * kRowsAtATime;
    const int64_t most_slices = std::max<int64_t>(1, most_blocks / grid.column_blocks);
    grid.slice_rows = std::max(fewest_rows, (rows + most_slices - 1) / most_slices);
    grid.slices = (rows + grid.slice_rows - 1) / grid.slice_rows;
    return grid;
  }

  Grid blocks() const { return {.blocks = column_blocks * slices}; }
};

// Where a thread is.
struct ColumnPlace {
  __device__ ColumnPlace(const ColumnGrid& grid, int columns)
      : slice(blockIdx.x / grid.column_blocks),
        column((blockIdx.x % grid.column_blocks * grid.width + threadIdx.x % grid.width) * columns),
        lane(static_cast<int>(threadIdx.x) / grid.width),
        lanes(static_cast<int>(blockDim.x) / grid.width),
        row(slice * grid.slice_rows + lane),
        end(row - lane + grid.slice_rows < grid.rows ? row - lane + grid.slice_rows : grid.rows) {}

  int64_t slice, column;
  int lane, lanes;   // of the threads that have this column
  int64_t row, end;  // the thread's are row, row + lanes, ... < end
};

// Body: kColumns;
//   Begin(column)  makes ready for columns column ... column + kColumns - 1
//   Row(row)       is called for every row, in any order
template <typename Body>
__global__ void ForColumnsKernel(ColumnGrid grid, Body body) {
  const ColumnPlace place(grid, Body::kColumns);
  if (place.column >= grid.columns) return;
  body.Begin(place.column);
  for (int64_t row = place.row; row < place.end; row += place.lanes) body.Row(row);
}

template <typename Body>
void ForColumns(const Device& device, int64_t rows, int64_t columns, const Body& body) {
  constexpr int64_t kMostBlocks = 8192;
  const ColumnGrid grid = ColumnGrid::Of(rows, columns, Body::kColumns, kMostBlocks);
  Launch(device, grid.blocks(), ForColumnsKernel<Body>, grid, body);
}

// Body: kColumns; State, a trivial struct, which is {} for no rows;
//   Begin(column, first_row)           the same first_row for all that are merged before Write
//   Add(row, lanes, state)             adds kRowsAtATime rows: row, row + lanes, ...
//   AddOne(row, state)
//   Merge(other, state)
//   Write(slice, column, state)
template <typename Body>
__global__ void ReduceColumnsKernel(ColumnGrid grid, Body body) {
  using State = typename Body::State;
  __shared__ State states[kThreads];
  const ColumnPlace place(grid, Body::kColumns);
  const bool inside = place.column < grid.columns;
  State state = {};
  if (inside) {
    body.Begin(place.column, place.row - place.lane);
    int64_t row = place.row;
    for (; row + (kRowsAtATime - 1) * place.lanes < place.end; row += kRowsAtATime * place.lanes) {
      body.Add(row, place.lanes, state);
    }
    for (; row < place.end; row += place.lanes) body.AddOne(row, state);
  }
  for (int half = place.lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (place.lane >= half && place.lane < 2 * half) states[threadIdx.x] = state;
    __syncthreads();
    if (place.lane < half) body.Merge(states[threadIdx.x + half * grid.width], state);
  }
  if (inside && place.lane == 0) body.Write(place.slice, place.column, state);
}

// What the slices have of each column, merged by a warp a column. Body: kValues;
//   Load(column, slice, values)
//   Merge(other, values)           values of 0 are those of nothing
//   Finish(column, values)
template <typename Body>
__global__ void MergeSlicesKernel(int64_t columns, int64_t slices, Body body) {
  const int64_t column = GlobalThread() / kWarp;
  if (column >= columns) return;
  double values[Body::kValues] = {}, other[Body::kValues];
  for (int64_t slice = threadIdx.x % kWarp; slice < slices; slice += kWarp) {
    body.Load(column, slice, other);
    body.Merge(other, values);
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    for (int i = 0; i < Body::kValues; ++i) other[i] = ShuffleXor(values[i], mask);
    body.Merge(other, values);
  }
  if (threadIdx.x % kWarp == 0) body.Finish(column, values);
}

template <typename Body>
void MergeSlices(const Device& device, int64_t columns, int64_t slices, const Body& body) {
  constexpr int64_t kColumnsOfABlock = kThreads / kWarp;
  Launch(device, {.blocks = (columns + kColumnsOfABlock - 1) / kColumnsOfABlock}, MergeSlicesKernel<Body>,
         columns, slices, body);
}

inline constexpr int64_t kMostReducingBlocks = 1024;  // the slices of which a second kernel merges

template <typename Row>
struct SumsBody {
  static constexpr int kColumns = Row::kColumns, kSums = Row::kSums;
  struct State {
    typename Row::Sum sum[kSums][kColumns];
  };

  __device__ void Begin(int64_t column, int64_t) { row_of.Begin(column); }
  __device__ void Add(int64_t row, int lanes, State& state) {
    static_assert(kRowsAtATime == 4);
    State a, b, c, d;
    row_of.Terms(row, a.sum);
    row_of.Terms(row + lanes, b.sum);
    row_of.Terms(row + 2 * lanes, c.sum);
    row_of.Terms(row + 3 * lanes, d.sum);
    for (int s = 0; s < kSums; ++s) {
      for (int i = 0; i < kColumns; ++i)
        state.sum[s][i] += (a.sum[s][i] + b.sum[s][i]) + (c.sum[s][i] + d.sum[s][i]);
    }
  }
  __device__ void AddOne(int64_t row, State& state) {
    State terms;
    row_of.Terms(row, terms.sum);
    Merge(terms, state);
  }
  __device__ void Merge(const State& other, State& state) {
    for (int s = 0; s < kSums; ++s) {
      for (int c = 0; c < kColumns; ++c) state.sum[s][c] += other.sum[s][c];
    }
  }
  __device__ void Write(int64_t slice, int64_t column, const State& state) {
    for (int c = 0; c < kColumns; ++c) {
      for (int s = 0; s < kSums; ++s) partial[((column + c) * slices + slice) * kSums + s] = state.sum[s][c];
    }
  }

  Row row_of;
  double* partial;  // [columns, slices, kSums]
  int64_t slices;
};

template <int kSums, typename Then>
struct MergeSumsBody {
  static constexpr int kValues = kSums;

  __device__ void Load(int64_t column, int64_t slice, double (&values)[kSums]) {
    for (int s = 0; s < kSums; ++s) values[s] = partial[(column * slices + slice) * kSums + s];
  }
  __device__ void Merge(const double (&other)[kSums], double (&values)[kSums]) {
    for (int s = 0; s < kSums; ++s) values[s] += other[s];
  }
  __device__ void Finish(int64_t column, const double (&values)[kSums]) { then(column, values); }

  const double* partial;
  int64_t slices;
  Then then;
};

// Sums over the rows, of kSums numbers of each element; partial sums of type Sum, merged in double.
// Row: kColumns, kSums, Sum;
//   Begin(column)
//   Terms(row, Sum (&terms)[kSums][kColumns])
// then(column, const double (&sums)[kSums])
template <typename Row, typename Then>
void SumColumns(Device& device, int64_t rows, int64_t columns, const Row& row, const Then& then) {
  const ColumnGrid grid = ColumnGrid::Of(rows, columns, Row::kColumns, kMostReducingBlocks);
  Tensor partial = Tensor::Empty(device, DType::kF64, {columns, grid.slices, Row::kSums});
  Launch(device, grid.blocks(), ReduceColumnsKernel<SumsBody<Row>>, grid,
         SumsBody<Row>{row, partial.device_data<double>(), grid.slices});
  MergeSlices(device, columns, grid.slices,
              MergeSumsBody<Row::kSums, Then>{partial.device_data<double>(), grid.slices, then});
}

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_COLUMNS_CUH_

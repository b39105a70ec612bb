// One launch for many arrays, which in a model differ a thousandfold in size: each is cut into blocks of its
// own, and a kernel's argument says whose they are.
#ifndef HALFTONE_NN_OPTIM_MANY_ARRAYS_CUH_
#define HALFTONE_NN_OPTIM_MANY_ARRAYS_CUH_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "tensor/cuda/kernel.cuh"

namespace halftone::cuda {

inline constexpr size_t kArgumentBytes = 3584;  // of the 4096 that a kernel's arguments may have

// Array has an int64_t `elements`.
template <typename Array>
struct ManyArrays {
  static constexpr int kMost = static_cast<int>(kArgumentBytes / (sizeof(Array) + sizeof(int32_t)));
  Array arrays[kMost];
  int32_t first_block[kMost];  // of the launch's
  int count;
};

// Calls launch(arrays, number of the first of them, blocks) until all arrays have had their blocks, of
// `elements` elements each.
template <typename Array, typename F>
void InLaunches(absl::Span<const Array> all, int64_t elements, const F& launch) {
  ManyArrays<Array> some = {};
  int64_t blocks = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    some.arrays[some.count] = all[i];
    some.first_block[some.count] = static_cast<int32_t>(blocks);
    blocks += (all[i].elements + elements - 1) / elements;
    ++some.count;
    if (some.count < some.kMost && i + 1 < all.size()) continue;
    launch(some, i + 1 - static_cast<size_t>(some.count), blocks);
    some.count = 0;
    blocks = 0;
  }
}

// Whose this block is.
template <typename Array>
__device__ inline int ArrayOfBlock(const ManyArrays<Array>& some) {
  int first = 0, last = some.count - 1;
  while (first < last) {
    const int middle = (first + last + 1) / 2;
    if (some.first_block[middle] <= static_cast<int32_t>(blockIdx.x)) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  return first;
}

}  // namespace halftone::cuda

#endif  // HALFTONE_NN_OPTIM_MANY_ARRAYS_CUH_

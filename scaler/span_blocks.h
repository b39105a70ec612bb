// One parallel loop over many arrays: the arrays of a model differ a thousandfold in size, so threads share
// fixed blocks of them rather than whole arrays.
#ifndef HALFTONE_SCALER_SPAN_BLOCKS_H_
#define HALFTONE_SCALER_SPAN_BLOCKS_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/parallel.h"

namespace halftone {

// Cuts n arrays, size_of(i) elements each, into blocks of `block` elements (an array's last one may be
// shorter) that are numbered array after array.
class SpanBlocks {
 public:
  template <typename SizeOf>
  SpanBlocks(size_t n, const SizeOf& size_of, size_t block) : block_(block), sizes_(n), first_(n + 1) {
    for (size_t i = 0; i < n; ++i) {
      sizes_[i] = size_of(i);
      first_[i + 1] = first_[i] + (sizes_[i] + block - 1) / block;
    }
  }

  size_t count() const { return first_.back(); }
  // Array i's blocks are those numbered first(i) to first(i + 1) - 1.
  size_t first(size_t i) const { return first_[i]; }

  // Calls body(array, begin, end, number) for every block, from several threads. The blocks are the same for
  // any number of threads. Runs inline where there are few.
  void ParallelForEach(
      absl::FunctionRef<void(size_t array, size_t begin, size_t end, size_t number)> body) const {
    constexpr size_t kGrain = 8;  // blocks worth starting a thread for
    ParallelFor(count(), kGrain, [&](size_t from, size_t to) {
      size_t i = std::upper_bound(first_.begin(), first_.end(), from) - first_.begin() - 1;
      for (size_t b = from; b < to; ++b) {
        while (b >= first_[i + 1]) ++i;
        const size_t begin = (b - first_[i]) * block_;
        body(i, begin, std::min(begin + block_, sizes_[i]), b);
      }
    });
  }

 private:
  size_t block_;
  std::vector<size_t> sizes_;
  std::vector<size_t> first_;  // the number of each array's first block, then the number of all blocks
};

}  // namespace halftone

#endif  // HALFTONE_SCALER_SPAN_BLOCKS_H_

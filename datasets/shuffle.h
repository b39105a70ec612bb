// A shuffled order for every epoch.
#ifndef HALFTONE_DATASETS_SHUFFLE_H_
#define HALFTONE_DATASETS_SHUFFLE_H_

#include <cstdint>
#include <numeric>
#include <utility>

#include "absl/types/span.h"
#include "base/philox.h"

namespace halftone {

// A permutation of 0 .. order.size() - 1, a pure function of (seed, epoch, size): Fisher and Yates's, in
// Durstenfeld's form (CACM Algorithm 235). epoch: below 2^32.
inline void ShuffledOrder(uint64_t seed, int64_t epoch, absl::Span<uint32_t> order) {
  const Rng rng = Rng(seed).AtStep(epoch).Stream(HashStream("datasets.shuffle"));
  std::iota(order.begin(), order.end(), 0u);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[rng.Below(i - 1, static_cast<uint32_t>(i))]);
  }
}

}  // namespace halftone

#endif  // HALFTONE_DATASETS_SHUFFLE_H_

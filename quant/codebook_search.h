// What the vector code of quant/codebook.h needs to find the nearest value of a codebook.
#ifndef HALFTONE_QUANT_CODEBOOK_SEARCH_H_
#define HALFTONE_QUANT_CODEBOOK_SEARCH_H_

#include <bit>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace halftone {

// The largest float that is not above the exact (a + b) / 2, for finite a <= b. So a float is above that
// middle exactly where it is above this one.
constexpr float MiddleRoundedDown(float a, float b) {
  // sum + error is a + b exactly (Knuth's TwoSum).
  const double wide_a = a, wide_b = b, sum = wide_a + wide_b, part = sum - wide_a;
  const double error = (wide_a - (sum - part)) + (wide_b - part);
  const auto middle = static_cast<float>(sum / 2);
  const bool above = middle > sum / 2 || (middle == sum / 2 && error < 0);
  if (!above) return middle;
  // The next float below.
  const auto bits = std::bit_cast<int32_t>(middle);
  return middle == 0 ? -0x1p-149f : std::bit_cast<float>(middle > 0 ? bits - 1 : bits + 1);
}

struct CodebookSearch {
  static constexpr int kMaxSize = 256;

  // `sorted_values`: finite, 2 to kMaxSize of them.
  explicit CodebookSearch(absl::Span<const float> sorted_values);

  // How many thresholds are below q: the code of the value nearest to q, that of the lower value where two
  // are equally near. 0 for NaN.
  int Nearest(float q) const;

  int size;
  // kMaxSize of them: the last value stands in all places from `size` on.
  std::vector<float> values;
  // thresholds[j] is the middle between the values j and j + 1. kMaxSize of them: infinity, which nothing is
  // above, from size - 1 on.
  std::vector<float> thresholds;
  // The first tree_size - 1 thresholds again, as a binary search reads them: the middle one is tree[1], and
  // those to the left and right of tree[i] are tree[2 * i] and tree[2 * i + 1]. Padded to kMaxSize.
  int tree_size;  // 4, 8, 16, 64 or 256: the least that is at least `size`
  std::vector<float> tree;

  // Of more than 16 values, a table that does without a search. With
  //
  //   magnitude = clamp(the bits of |q|, lowest, highest) - lowest,  key = q > 0 ? magnitude : -1 - magnitude,
  //
  // q is above a threshold exactly where its key is above the threshold's. Keys that differ in the lower
  // `shift` bits alone share a bucket, buckets[key >> shift] from the middle of the vector on, which holds
  // (code of its least key << shift) + a number that carries over into the code when those bits of a key
  // above the bucket's threshold are added. So
  //
  //   code = (buckets[key >> shift] + (key & ((1 << shift) - 1))) >> shift.
  //
  // Empty where a bucket would have two thresholds, however many there are; the tree does it then.
  std::vector<int32_t> buckets;
  int32_t lowest = 0, highest = 0;
  int shift = 0;

 private:
  int32_t KeyOf(float q) const;
  void MakeBuckets();
};

}  // namespace halftone

#endif  // HALFTONE_QUANT_CODEBOOK_SEARCH_H_

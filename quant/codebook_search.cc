#include "quant/codebook_search.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace halftone {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Of each sign, so that the table stays in the first level's cache or near it.
constexpr int32_t kMaxBuckets = 4096;
// A code has 8 bits; with the sign that makes 32.
constexpr int kMaxShift = 23;

int32_t MagnitudeBits(float q) { return std::bit_cast<int32_t>(std::abs(q)); }

}  // namespace

CodebookSearch::CodebookSearch(absl::Span<const float> sorted_values)
    : size(static_cast<int>(sorted_values.size())),
      values(sorted_values.begin(), sorted_values.end()),
      thresholds(kMaxSize, kInfinity),
      tree_size(size <= 4    ? 4
                : size <= 8  ? 8
                : size <= 16 ? 16
                : size <= 64 ? 64
                             : kMaxSize),
      tree(kMaxSize, kInfinity) {
  HALFTONE_CHECK(size >= 2 && size <= kMaxSize);
  for (int j = 0; j + 1 < size; ++j) thresholds[j] = MiddleRoundedDown(values[j], values[j + 1]);
  values.resize(kMaxSize, values.back());
  for (int level = 1; level < tree_size; level *= 2) {
    const int spacing = tree_size / level;
    for (int i = 0; i < level; ++i) tree[level + i] = thresholds[i * spacing + spacing / 2 - 1];
  }
  if (size > 16) MakeBuckets();
}

int CodebookSearch::Nearest(float q) const {
  const auto end = thresholds.begin() + (size - 1);
  return static_cast<int>(std::lower_bound(thresholds.begin(), end, q) - thresholds.begin());
}

int32_t CodebookSearch::KeyOf(float q) const {
  const int32_t magnitude = std::clamp(MagnitudeBits(q), lowest, highest) - lowest;
  return q > 0 ? magnitude : -1 - magnitude;
}

void CodebookSearch::MakeBuckets() {
  int32_t smallest = MagnitudeBits(kInfinity);  // of thresholds other than 0
  for (int j = 0; j + 1 < size; ++j) {
    if (thresholds[j] != 0) smallest = std::min(smallest, MagnitudeBits(thresholds[j]));
    highest = std::max(highest, MagnitudeBits(thresholds[j]) + 1);
  }
  // The fewest buckets with a threshold each at most.
  std::vector<int32_t> keys(size - 1);
  const auto share_a_bucket = [this](int32_t a, int32_t b) { return a >> shift == b >> shift; };
  for (shift = kMaxShift; shift > 0; --shift) {
    // So that the smallest threshold and 0 do not share one.
    lowest = std::min(std::max(smallest - (1 << shift), 0), highest);
    std::transform(thresholds.begin(), thresholds.begin() + (size - 1), keys.begin(),
                   [this](float threshold) { return KeyOf(threshold); });
    if (std::adjacent_find(keys.begin(), keys.end(), share_a_bucket) == keys.end()) break;
  }
  const int32_t count = ((highest - lowest) >> shift) + 1;
  if (shift == 0 || count > kMaxBuckets) return;

  buckets.reserve(2 * count);
  int code = 0;
  for (int32_t bucket = -count; bucket < count; ++bucket) {
    const bool has_threshold = code + 1 < size && keys[code] >> shift == bucket;
    const int32_t in_bucket = (1 << shift) - 1;
    buckets.push_back((code << shift) + (has_threshold ? in_bucket - (keys[code] & in_bucket) : 0));
    code += has_threshold;
  }
}

}  // namespace halftone

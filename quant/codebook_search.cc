#include "quant/codebook_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace halftone {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

float MiddleRoundedDown(float a, float b) {
  // sum + error is a + b exactly (Knuth's TwoSum).
  const double wide_a = a, wide_b = b, sum = wide_a + wide_b, part = sum - wide_a;
  const double error = (wide_a - (sum - part)) + (wide_b - part);
  const auto middle = static_cast<float>(sum / 2);
  const bool above = middle > sum / 2 || (middle == sum / 2 && error < 0);
  return above ? std::nextafter(middle, -kInfinity) : middle;
}

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
}

int CodebookSearch::Nearest(float q) const {
  const auto end = thresholds.begin() + (size - 1);
  return static_cast<int>(std::lower_bound(thresholds.begin(), end, q) - thresholds.begin());
}

}  // namespace halftone

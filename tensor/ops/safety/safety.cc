#include "tensor/ops/safety/safety.h"

#include <cmath>
#include <vector>

#include "base/check.h"
#include "tensor/ops/safety/safety_counts.h"

namespace halftone::ops {
namespace {

uint64_t Index(int64_t index) { return index == kNowhere ? kNoIndex : static_cast<uint64_t>(index); }

NumberStats StatsOf(const NumberCounts& counts, int64_t elements) {
  NumberStats stats = {.elements = static_cast<uint64_t>(elements),
                       .nans = static_cast<uint64_t>(counts.nans),
                       .infinities = static_cast<uint64_t>(counts.infinities),
                       .zeros = static_cast<uint64_t>(counts.zeros),
                       .first_nonfinite = Index(counts.first_nonfinite),
                       .max_magnitude = counts.max_magnitude,
                       .max_index = Index(counts.max_index),
                       .min_magnitude = counts.min_magnitude};
  for (int i = 0; i < NumberCounts::kBins; ++i) {
    stats.exponents.Add(ExponentHistogram::kLowest + i, static_cast<uint64_t>(counts.exponents[i]));
  }
  return stats;
}

FormatStats StatsOf(const FormatCounts& counts, uint64_t finite) {
  return {.overflows = static_cast<uint64_t>(counts.overflows),
          .underflows = static_cast<uint64_t>(counts.underflows),
          .subnormals = static_cast<uint64_t>(counts.subnormals),
          .exact = static_cast<uint64_t>(counts.exact),
          .measured = finite - static_cast<uint64_t>(counts.overflows),
          .max_relative_error = counts.max_relative_error,
          .max_error_index = Index(counts.max_error_index),
          .relative_errors = counts.relative_errors,
          .squared_errors = counts.squared_errors,
          .squares = counts.squares};
}

}  // namespace

void AddToCheck(const Tensor& x, SafetyCheck& check) {
  HALFTONE_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64);
  if (x.elements() == 0) return;
  const auto* kernels = x.device().Kernels<SafetyCountKernels>();
  if (kernels == nullptr)
    return x.dtype() == DType::kF32 ? check.Add(x.span<float>()) : check.Add(x.span<double>());
  std::vector<SafetyTarget> targets;
  for (size_t f = 0; f < check.formats().size(); ++f) {
    const FloatFormat& format = check.formats()[f];
    const int scale = check.scale_exponents()[f];
    targets.push_back({.overflow_from = std::ldexp(OverflowThreshold(format), -scale),
                       .normal_exponent = 1 - format.bias - scale,
                       .mantissa_bits = format.mantissa_bits});
  }
  NumberCounts numbers;
  std::vector<FormatCounts> counts(targets.size());
  kernels->count(x, targets, numbers, absl::MakeSpan(counts));
  const NumberStats stats = StatsOf(numbers, x.elements());
  std::vector<FormatStats> of_formats;
  for (const FormatCounts& c : counts) of_formats.push_back(StatsOf(c, stats.finite()));
  check.Merge(stats, of_formats);
}

}  // namespace halftone::ops

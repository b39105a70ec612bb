#include "quant/quantization_error.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/parallel.h"

namespace halftone {
namespace {

constexpr size_t kBlock = 1 << 14;

QuantizationError OfBlock(const float* x, const float* y, size_t n) {
  QuantizationError e;
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    const double from = x[i], error = static_cast<double>(y[i]) - from;
    ++e.elements;
    e.nonzero += x[i] != 0;
    e.underflows += x[i] != 0 && y[i] == 0;
    e.squares += from * from;
    e.squared_errors += error * error;
  }
  return e;
}

}  // namespace

void QuantizationError::Add(absl::Span<const float> x, absl::Span<const float> y) {
  HALFTONE_CHECK(x.size() == y.size());
  std::vector<QuantizationError> parts((x.size() + kBlock - 1) / kBlock);
  ParallelForBlocks(x.size(), kBlock, [&](size_t block, size_t begin, size_t end) {
    parts[block] = OfBlock(x.data() + begin, y.data() + begin, end - begin);
  });
  for (const QuantizationError& part : parts) Merge(part);
}

void QuantizationError::Merge(const QuantizationError& other) {
  elements += other.elements;
  nonzero += other.nonzero;
  underflows += other.underflows;
  squares += other.squares;
  squared_errors += other.squared_errors;
}

double QuantizationError::underflow_share() const {
  return nonzero == 0 ? 0 : static_cast<double>(underflows) / static_cast<double>(nonzero);
}

double QuantizationError::sqnr_db() const {
  if (squared_errors == 0) return std::numeric_limits<double>::infinity();
  return squares == 0 ? 0 : 10 * std::log10(squares / squared_errors);
}

}  // namespace halftone

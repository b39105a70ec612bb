// Scales for quant/scaled.h: from the numbers themselves, and from those of earlier steps.
//
// Everything here is the same on every instruction set and for any number of threads. Infinities and NaNs do
// not count; where no other finite element than zeros is, the scale is 1. Scales are at least FLT_MIN and
// finite.
#ifndef HALFTONE_QUANT_SCALES_H_
#define HALFTONE_QUANT_SCALES_H_

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "fp16/format.h"
#include "quant/integer_format.h"

namespace halftone {

// What of a row becomes the largest value.
enum class ScaleRule {
  kAmax,        // the largest magnitude
  kPercentile,  // a percentile of the magnitudes: larger ones saturate
  // The magnitude amax * i / 100, i = 100, 99, ..., 21, whose scale has the least sum of squared errors of
  // FakeQuantize to nearest even; of equal sums the largest. Source: GPTQ's grid search (Frantar et al.,
  // 2022). With power_of_two: of amax's power of two and the three below.
  kMse,
};

struct ScaleOptions {
  ScaleRule rule = ScaleRule::kAmax;
  // The magnitude of rank ceil(percentile / 100 * n) of the n finite ones, from the smallest (nearest rank,
  // exact); amax where that is 0. In (0, 100].
  double percentile = 99.9;
  // The scale is rounded up to a power of two: multiplying by it is exact.
  bool power_of_two = false;
};

// The largest magnitude of finite elements; 0 where there is none.
float Amax(absl::Span<const float> x);

// The scale that makes `amax` the largest value: amax / largest as a float, or the next one where amax /
// scale would be above `largest`, so that no element is clipped and loses its gradient. 1 where amax is 0.
// amax: finite, >= 0.
float ScaleOf(float amax, double largest, bool power_of_two = false);

// One scale a row (quant/scaled.h says what that is). The largest value of integers is
// IntegerFormat::highest().
void ComputeScales(const FloatFormat& format, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales);
void ComputeScales(const IntegerFormat& format, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales);

// Affine integers (CHECKed): the range from the smallest to the largest finite element, widened to contain 0,
// is that of the codes; 0 has a code of its own, the zero point. With kPercentile the range is cut to the
// magnitude of that rank, with kMse to the best of the parts named there.
void ComputeScales(const IntegerFormat& format, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales, absl::Span<int32_t> zero_points);

// For other quantisers, such as codebooks, with a largest value; not kMse (CHECKed).
void ComputeScales(double largest, absl::Span<const float> x, const ScaleOptions& options,
                   absl::Span<float> scales);

// LSQ (Esser et al., "Learned Step Size Quantization", 2020): the scale to start learning from, 2 mean|x| /
// sqrt(largest), and the factor of its gradient, 1 / sqrt(n * largest), of n elements to a scale.
float LsqInitialScale(absl::Span<const float> x, double largest);
double LsqGradientFactor(size_t n, double largest);

// The largest magnitudes of the last steps, for scales of numbers not yet seen: delayed scaling, as in
// NVIDIA's Transformer Engine (amax_history_len, amax_compute_algo = "max").
//
//   AmaxHistory history(16);
//   const float scale = ScaleOf(history.Max(), format.largest_finite());
//   history.Add(Amax(x));
class AmaxHistory {
 public:
  // Keeps the last `length` (> 0, CHECKed).
  explicit AmaxHistory(size_t length);

  // An infinity, a NaN or a negative number is not added: one bad step does not spoil the next ones.
  void Add(float amax);
  // 0 where there is none yet.
  float Max() const;

  // For checkpoints: at most `length` of them, the oldest first.
  absl::Span<const float> values() const { return values_; }
  // InvalidArgument, and nothing is changed: a value that Add would not have added, or more than `length`.
  absl::Status Restore(absl::Span<const float> values);

 private:
  size_t length_;
  std::vector<float> values_;
};

// Below: what scales.cc has in common with GPUs.

namespace quant_internal {

constexpr float InRange(double scale) {
  return static_cast<float>(std::clamp<double>(scale, FLT_MIN, FLT_MAX));
}

// ScaleOf, without power_of_two.
constexpr float ExactScaleOf(float amax, double largest) {
  if (amax == 0) return 1;
  const auto divisor = static_cast<float>(largest);
  const float scale = InRange(amax / divisor);
  const bool clips = amax / scale > divisor && scale < FLT_MAX;
  return clips ? std::bit_cast<float>(std::bit_cast<int32_t>(scale) + 1) : scale;  // the next float
}

// Of affine integers and a range with 0 in it, of more than one number.
constexpr float AffineScaleOf(const IntegerFormat& format, float lowest, float highest) {
  const double width = static_cast<double>(highest) - lowest;
  return InRange(width / (format.highest() - format.lowest()));
}

constexpr int32_t ZeroPointOf(const IntegerFormat& format, float lowest, float scale) {
  constexpr float kMagic = 0x1.8p23f;  // rounds smaller numbers to integers, to nearest even
  const float codes = (std::clamp(lowest / scale, -0x1p20f, 0.0f) + kMagic) - kMagic;
  const auto zero = static_cast<double>(static_cast<float>(format.lowest()) - codes);
  return static_cast<int32_t>(std::clamp<double>(zero, format.lowest(), format.highest()));
}

}  // namespace quant_internal

}  // namespace halftone

#endif  // HALFTONE_QUANT_SCALES_H_

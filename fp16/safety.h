// What becomes of numbers when they are stored in a narrower format: counted before anything is converted.
//
//   SafetyCheck check({kFloat16, kBfloat16});
//   check.Add(values);                                  // as often as there are more, in their order
//   check.numbers().max_magnitude                       // 7.1e4
//   check.of(0).overflows                               // 3, in float16
//   Judge(check.numbers(), check.of(0), check.formats()[0], SafetyLimits()).safe()    // false
//   FindScaleRange(check.numbers(), kFloat16).highest   // -1: times 2^-1 nothing overflows
//
// One pass over the numbers, SIMD, whatever the number of formats; no allocation after construction. Partial
// checks of consecutive pieces are merged, so several threads may share the work.
//
// Rounding is to nearest even (IEEE 754-2019, 4.3.1; what every format of OFP8 asks for). Subnormal results
// are kept, not flushed to zero.
#ifndef HALFTONE_FP16_SAFETY_H_
#define HALFTONE_FP16_SAFETY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "fp16/format.h"

namespace halftone {

inline constexpr uint64_t kNoIndex = std::numeric_limits<uint64_t>::max();

// How many finite numbers other than 0 have the exponent floor(log2(|x|)). The first and the last bin also
// hold what lies beyond them, which only doubles do.
class ExponentHistogram {
 public:
  static constexpr int kLowest = -149;  // the smallest subnormal float's
  static constexpr int kHighest = 127;  // the largest float's

  uint64_t operator[](int exponent) const { return bins_[static_cast<size_t>(exponent - kLowest)]; }
  void Add(int exponent, uint64_t count) {
    bins_[static_cast<size_t>(exponent < kLowest    ? 0
                              : exponent > kHighest ? kHighest - kLowest
                                                    : exponent - kLowest)] += count;
  }
  // How many have an exponent below `exponent`.
  uint64_t Below(int exponent) const;
  void Merge(const ExponentHistogram& other);

 private:
  std::array<uint64_t, kHighest - kLowest + 1> bins_ = {};
};

// The numbers themselves, whatever becomes of them. "Finite" below: neither infinite nor NaN.
struct NumberStats {
  uint64_t elements = 0;
  uint64_t nans = 0;
  uint64_t infinities = 0;
  uint64_t zeros = 0;                   // of either sign
  uint64_t first_nonfinite = kNoIndex;  // the index of the first NaN or infinity
  double max_magnitude = 0;             // of the finite ones; 0 where there is none
  uint64_t max_index = kNoIndex;        // of the first with that magnitude
  // Of the finite ones other than 0; infinity where there is none.
  double min_magnitude = std::numeric_limits<double>::infinity();
  ExponentHistogram exponents;

  uint64_t finite() const { return elements - nans - infinities; }
  uint64_t nonzero() const { return finite() - zeros; }  // and finite
};

// What becomes of the finite numbers in one format. The errors are those of the `measured` numbers: the
// finite ones that do not overflow. A number's relative error is |rounded - x| / |x|, and 0 for 0.
struct FormatStats {
  uint64_t overflows = 0;   // rounded beyond the largest finite value
  uint64_t underflows = 0;  // not 0, but rounded to 0. -0 is no underflow
  uint64_t subnormals = 0;  // rounded to a subnormal value, other than 0
  uint64_t exact = 0;       // the format has the number; zeros are among them
  uint64_t measured = 0;
  // To within 2^-20 of itself: of numbers whose errors differ by less, any may be the one named.
  double max_relative_error = 0;
  uint64_t max_error_index = kNoIndex;  // no index while every error is 0
  double relative_errors = 0;           // their sum
  double squared_errors = 0;            // sum of (rounded - x)^2
  double squares = 0;                   // sum of x^2
  // The sums are right to about 5 digits, but differ in the last ones between instruction sets and between
  // divisions into pieces. Squares beyond a double's range, of numbers beyond 1e+-150, are lost.

  double mean_relative_error() const;  // 0 where nothing was measured
  double rms_error() const;            // in the numbers' own unit; 0 where nothing was measured
  // The signal-to-quantisation-noise ratio, 10 log10(squares / squared_errors), in dB: infinity without
  // error, 0 where all is rounded to 0.
  double sqnr_db() const;
};

// The smallest magnitude that is rounded beyond the largest finite value.
double OverflowThreshold(const FloatFormat& format);

// Not thread safe: a thread has its own, and they are merged.
class SafetyCheck {
 public:
  // Every format must be valid and have a sign. For format f the numbers are checked as if multiplied by
  // 2^scale_exponents[f] first, exactly, as a loss scale or a weight's scale would be; numbers(), the squares
  // and the squared errors stay those of the numbers as they are given. No exponents at all: zeros. Each is
  // within +-kMaxScaleExponent.
  explicit SafetyCheck(absl::Span<const FloatFormat> formats, absl::Span<const int> scale_exponents = {});
  ~SafetyCheck();
  SafetyCheck(SafetyCheck&&) noexcept;
  SafetyCheck& operator=(SafetyCheck&&) noexcept;

  void Add(absl::Span<const float> values);
  void Add(absl::Span<const double> values);
  // `next`: of the same formats and scales, of numbers that follow this one's. Indices are moved accordingly.
  void Merge(const SafetyCheck& next);
  // The same for what was counted elsewhere: stats for each of formats().
  void Merge(const NumberStats& numbers, absl::Span<const FormatStats> stats);

  absl::Span<const FloatFormat> formats() const;
  absl::Span<const int> scale_exponents() const;  // as many
  const NumberStats& numbers() const;
  const FormatStats& of(size_t format) const;  // an index into formats()

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline constexpr int kMaxScaleExponent = 256;

// The power-of-two scales under which nothing overflows and the fewest numbers underflow: 2^k for k in
// [lowest, highest], both within +-kMaxScaleExponent.
struct ScaleRange {
  int lowest = -kMaxScaleExponent;
  int highest = kMaxScaleExponent;
  // How many underflow under each of these scales all the same; numbers that are a power of two exactly at
  // the edge are not counted, for the histogram does not show them.
  uint64_t underflows = 0;

  // The scale of the range that changes the least. What just does not underflow under it is subnormal, and
  // loses digits: where accuracy counts, a scale nearer to `highest`.
  int nearest_to_one() const { return lowest > 0 ? lowest : highest < 0 ? highest : 0; }
};

// The range is empty (lowest > highest) where no scale within the limits keeps the largest number finite.
// lowest may be higher by 1 than need be where numbers underflow all the same.
ScaleRange FindScaleRange(const NumberStats& numbers, const FloatFormat& format);

struct SafetyLimits {
  uint64_t max_overflows = 0;
  double max_underflow_fraction = 0.01;  // of the finite numbers other than 0
  double min_sqnr_db = 20;
  // Whether infinities pass where the format has them. NaNs never do.
  bool allow_infinities = false;
};

// Which limits are broken; safe where none is.
struct Verdict {
  bool nans = false;
  bool infinities = false;
  bool overflows = false;
  bool underflows = false;
  bool sqnr = false;

  bool safe() const { return !nans && !infinities && !overflows && !underflows && !sqnr; }
  // Whether a scale may help: what is broken, if anything, is not the numbers' own fault.
  bool may_be_scaled() const { return !nans && !infinities; }
};

Verdict Judge(const NumberStats& numbers, const FormatStats& stats, const FloatFormat& format,
              const SafetyLimits& limits);

}  // namespace halftone

#endif  // HALFTONE_FP16_SAFETY_H_

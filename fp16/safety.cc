#include "fp16/safety.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "fp16/safety_kernels.h"

namespace halftone {
namespace {

using safety_internal::BlockErrors;
using safety_internal::DoubleGrid;
using safety_internal::Exponents;
using safety_internal::FloatGrid;
using safety_internal::kBlock;
using safety_internal::kGroup;

constexpr int kFloatBias = 127;
constexpr int kNonfiniteField = 255;
constexpr double kSmallestNormalDouble = std::numeric_limits<double>::min();

// Of blocks of floats that are measured as floats: their squares, and those of their errors, are within
// a float's range.
constexpr int kHighestField = kFloatBias + 60;
constexpr int kLowestField = kFloatBias - 40;  // of a block's largest number

int Exponent(double x) { return std::ilogb(x); }

int SmallestNormalExponent(const FloatFormat& format) { return 1 - format.bias; }

// Magnitudes up to 2^it become 0: the middle of 0 and the smallest subnormal value, 0 being the even one.
int UnderflowExponent(const FloatFormat& format) {
  return SmallestNormalExponent(format) - format.mantissa_bits - 1;
}

// The magic constant's exponent, relative to that of the spacing's binade, and its second bit.
template <typename Bits>
Bits ExponentToMagic(int digits, const FloatFormat& format) {
  return (static_cast<Bits>(digits - format.mantissa_bits) << digits) | (Bits{1} << (digits - 1));
}

// A format's thresholds in the numbers' own unit, the scale taken into account.
struct Target {
  explicit Target(const FloatFormat& format, int scale) {
    HALFTONE_CHECK(format.valid() && format.has_sign);
    normal_exponent = SmallestNormalExponent(format) - scale;
    overflow_from = std::ldexp(OverflowThreshold(format), -scale);
    const double smallest_normal = std::ldexp(1.0, normal_exponent);
    const double underflow_to = std::ldexp(1.0, UnderflowExponent(format) - scale);
    doubles = {.lowest_exponent = std::bit_cast<uint64_t>(smallest_normal),
               .exponent_to_magic = ExponentToMagic<uint64_t>(52, format),
               .subnormal_below = smallest_normal - underflow_to,
               .underflow_to = underflow_to};
    // Where the scaled format has more exponents than floats, only zeros are below.
    const bool in_float = normal_exponent >= -126;
    fits_floats = format.mantissa_bits <= 20 && normal_exponent <= kHighestField - kFloatBias;
    if (!fits_floats) return;
    floats = {.lowest_exponent = static_cast<uint32_t>(std::max(normal_exponent, -126) + kFloatBias) << 23,
              .exponent_to_magic = ExponentToMagic<uint32_t>(23, format),
              .subnormal_below =
                  in_float ? static_cast<float>(doubles.subnormal_below) : std::numeric_limits<float>::min(),
              .underflow_to = in_float ? static_cast<float>(underflow_to) : 0};
  }

  int normal_exponent;
  double overflow_from;
  bool fits_floats;
  FloatGrid floats;
  DoubleGrid doubles;
  float largest_seen = 0;  // of the kernels' relative errors
};

// Where the largest relative error of a block is; as the kernels, one number after the other.
template <typename T, typename GridT>
std::pair<double, size_t> FindLargestError(const T* x, size_t n, const GridT& grid) {
  using Bits = decltype(grid.lowest_exponent);
  const Bits mask = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  std::pair<double, size_t> largest = {0, 0};
  for (size_t i = 0; i < n; ++i) {
    const Bits exponent = std::max<Bits>(std::bit_cast<Bits>(x[i]) & mask, grid.lowest_exponent);
    const T magic = std::bit_cast<T>(static_cast<Bits>(exponent + grid.exponent_to_magic));
    const T error = x[i] - (x[i] + magic - magic);
    const double relative = x[i] == 0 ? 0 : std::fabs(static_cast<double>(error) / x[i]);
    if (relative > largest.first) largest = {relative, i};
  }
  return largest;
}

// A block's facts that do not depend on the format.
struct Block {
  size_t padded;   // its length, a multiple of kGroup
  size_t fillers;  // zeros that stand for no number: padding, and what was taken out
  size_t zeros;    // fillers among them
  int lowest = 0;  // floor(log2) of the smallest and largest magnitude, where nonzero
  int highest = 0;
  bool nonzero = false;
  uint64_t first_index;
};

}  // namespace

struct SafetyCheck::State {
  State(absl::Span<const FloatFormat> f, absl::Span<const int> s)
      : scales(s.begin(), s.end()), formats(f.begin(), f.end()), stats(f.size()) {
    if (scales.empty()) scales.resize(formats.size(), 0);
    HALFTONE_CHECK(scales.size() == formats.size());
    for (size_t i = 0; i < formats.size(); ++i) {
      HALFTONE_CHECK(std::abs(scales[i]) <= kMaxScaleExponent);
      targets.emplace_back(formats[i], scales[i]);
      all.push_back(i);
      (targets[i].fits_floats ? in_floats : in_doubles).push_back(i);
    }
  }

  void AddBlock(const float* x, size_t n);
  void AddBlock(const double* x, size_t n);
  template <typename T, typename GridT>
  void AddFormats(const T* x, const Block& block, absl::Span<const size_t> which, GridT Target::*grid,
                  T* without_overflows);
  template <typename T, typename GridT>
  void MeasureFormats(const T* x, const Block& block, absl::Span<const size_t> which, GridT Target::*grid);
  void SeeMax(double magnitude, uint64_t index) {
    if (magnitude <= numbers.max_magnitude) return;
    numbers.max_magnitude = magnitude;
    numbers.max_index = index;
  }

  std::vector<int> scales;  // exponents
  std::vector<FloatFormat> formats;
  NumberStats numbers;
  std::vector<FormatStats> stats;
  std::vector<Target> targets;
  // Indices of the formats: all, those that blocks of floats are measured in as floats, and the others.
  std::vector<size_t> all, in_floats, in_doubles;
  // A block that had to be padded or rid of numbers; one without what overflows in a format; one as doubles.
  alignas(64) std::array<float, kBlock> floats, fewer_floats;
  alignas(64) std::array<double, kBlock> doubles, fewer_doubles;
};

void SafetyCheck::State::AddBlock(const float* x, size_t n) {
  Block block = {.padded = (n + kGroup - 1) / kGroup * kGroup, .first_index = numbers.elements};
  block.fillers = block.padded - n;
  numbers.elements += n;
  if (block.fillers > 0) {
    std::fill(std::copy_n(x, n, floats.begin()), floats.begin() + block.padded, 0.0f);
    x = floats.data();
  }
  Exponents exponents = safety_internal::ScanExponents(x, block.padded);
  if (exponents.highest == kNonfiniteField) {
    for (size_t i = 0; i < n; ++i) {
      const bool finite = std::isfinite(x[i]);
      if (!finite) {
        std::isnan(x[i]) ? ++numbers.nans : ++numbers.infinities;
        numbers.first_nonfinite = std::min(numbers.first_nonfinite, block.first_index + i);
        ++block.fillers;
      }
      floats[i] = finite ? x[i] : 0;
    }
    std::fill(floats.begin() + n, floats.begin() + block.padded, 0.0f);
    x = floats.data();
    exponents = safety_internal::ScanExponents(x, block.padded);
  }

  bool subnormals = false;
  block.zeros = exponents.count[0];
  if (block.zeros > block.fillers) {
    block.zeros = static_cast<size_t>(std::count(x, x + block.padded, 0.0f));
    subnormals = block.zeros < exponents.count[0];
  }
  numbers.zeros += block.zeros - block.fillers;
  block.nonzero = block.zeros < block.padded;
  if (block.nonzero) {
    for (int field = exponents.lowest; field <= exponents.highest; ++field) {
      numbers.exponents.Add(field - kFloatBias, exponents.count[static_cast<size_t>(field)]);
    }
    block.lowest = exponents.lowest - kFloatBias;
    block.highest = exponents.highest - kFloatBias;
    if (subnormals) {
      block.lowest = ExponentHistogram::kLowest;
      for (size_t i = 0; i < block.padded; ++i) {
        const double magnitude = std::fabs(x[i]);
        if (magnitude == 0 || magnitude >= std::numeric_limits<float>::min()) continue;
        numbers.exponents.Add(Exponent(magnitude), 1);
      }
    }
    if (std::ldexp(2.0, block.highest) > numbers.max_magnitude) {
      const float max = safety_internal::MaxMagnitude(x, block.padded);
      if (max > numbers.max_magnitude) {
        const float* at = std::find_if(x, x + n, [&](float v) { return std::fabs(v) == max; });
        SeeMax(max, block.first_index + static_cast<uint64_t>(at - x));
      }
    }
    if (std::ldexp(1.0, block.lowest) < numbers.min_magnitude) {
      numbers.min_magnitude =
          std::min<double>(numbers.min_magnitude, safety_internal::MinMagnitude(x, block.padded));
    }
  }
  const bool as_floats = !block.nonzero || (!subnormals && exponents.highest <= kHighestField &&
                                            exponents.highest >= kLowestField);
  if (as_floats) AddFormats(x, block, in_floats, &Target::floats, fewer_floats.data());
  const absl::Span<const size_t> others = as_floats ? in_doubles : all;
  if (others.empty()) return;
  std::copy_n(x, block.padded, doubles.begin());
  AddFormats(doubles.data(), block, others, &Target::doubles, fewer_doubles.data());
}

void SafetyCheck::State::AddBlock(const double* x, size_t n) {
  Block block = {.padded = (n + kGroup - 1) / kGroup * kGroup, .first_index = numbers.elements};
  block.fillers = block.padded - n;
  block.zeros = block.fillers;
  numbers.elements += n;
  std::fill(doubles.begin() + n, doubles.begin() + block.padded, 0.0);
  double max = 0, min = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < n; ++i) {
    doubles[i] = 0;
    const double magnitude = std::fabs(x[i]);
    if (!std::isfinite(magnitude)) {
      std::isnan(magnitude) ? ++numbers.nans : ++numbers.infinities;
      numbers.first_nonfinite = std::min(numbers.first_nonfinite, block.first_index + i);
      ++block.fillers;
      ++block.zeros;
      continue;
    }
    if (magnitude == 0) {
      ++numbers.zeros;
      ++block.zeros;
      continue;
    }
    numbers.exponents.Add(Exponent(magnitude), 1);
    numbers.min_magnitude = std::min(numbers.min_magnitude, magnitude);
    SeeMax(magnitude, block.first_index + i);
    if (magnitude < kSmallestNormalDouble) {
      // 0 in every format, whatever the scale; too small for the kernels.
      for (FormatStats& s : stats) {
        ++s.underflows;
        ++s.measured;
        s.relative_errors += 1;
        if (s.max_relative_error < 1) s.max_error_index = block.first_index + i;
        s.max_relative_error = 1;
      }
      ++block.fillers;
      ++block.zeros;
      continue;
    }
    doubles[i] = x[i];
    max = std::max(max, magnitude);
    min = std::min(min, magnitude);
  }
  block.nonzero = max > 0;
  if (block.nonzero) {
    block.lowest = Exponent(min);
    block.highest = Exponent(max);
  }
  AddFormats(doubles.data(), block, all, &Target::doubles, fewer_doubles.data());
}

// `which`: indices of formats.
template <typename T, typename GridT>
void SafetyCheck::State::AddFormats(const T* x, const Block& block, absl::Span<const size_t> which,
                                    GridT Target::*grid, T* without_overflows) {
  std::array<size_t, safety_internal::kFormatsAtOnce> together;
  size_t count = 0;
  for (const size_t f : which) {
    const double overflow_from = targets[f].overflow_from;
    size_t overflows = 0;
    if (block.nonzero && block.highest >= Exponent(overflow_from)) {
      for (size_t i = 0; i < block.padded; ++i) {
        const bool over = std::fabs(x[i]) >= overflow_from;
        overflows += over;
        without_overflows[i] = over ? 0 : x[i];
      }
    }
    if (overflows > 0) {
      stats[f].overflows += overflows;
      Block rest = block;
      rest.fillers += overflows;
      rest.zeros += overflows;
      MeasureFormats(without_overflows, rest, {&f, 1}, grid);
      continue;
    }
    together[count++] = f;
    if (count < together.size()) continue;
    MeasureFormats(x, block, together, grid);
    count = 0;
  }
  if (count > 0) MeasureFormats(x, block, absl::MakeConstSpan(together).first(count), grid);
}

template <typename T, typename GridT>
void SafetyCheck::State::MeasureFormats(const T* x, const Block& block, absl::Span<const size_t> which,
                                        GridT Target::*grid) {
  std::array<GridT, safety_internal::kFormatsAtOnce> grids;
  std::array<BlockErrors, safety_internal::kFormatsAtOnce> errors;
  bool has_subnormals = false;
  for (size_t i = 0; i < which.size(); ++i) {
    grids[i] = targets[which[i]].*grid;
    has_subnormals |= block.nonzero && block.lowest < targets[which[i]].normal_exponent;
  }
  safety_internal::Measure(x, block.padded, block.zeros > 0, has_subnormals,
                           absl::MakeConstSpan(grids).first(which.size()),
                           absl::MakeSpan(errors).first(which.size()));
  for (size_t i = 0; i < which.size(); ++i) {
    Target& target = targets[which[i]];
    FormatStats& result = stats[which[i]];
    result.measured += block.padded - block.fillers;
    result.exact += errors[i].exact - block.fillers;
    result.subnormals += errors[i].subnormals;
    result.underflows += has_subnormals ? errors[i].underflows - block.zeros : 0;
    result.relative_errors += errors[i].relative;
    result.squared_errors += errors[i].squared_errors;
    result.squares += errors[i].squares;
    // Strictly larger: the first of equal ones is the one named, and need not be looked for again.
    if (errors[i].largest_relative <= target.largest_seen || result.max_relative_error >= 1) continue;
    target.largest_seen = static_cast<float>(errors[i].largest_relative);
    const auto [error, at] = FindLargestError(x, block.padded, grids[i]);
    if (error <= result.max_relative_error) continue;
    result.max_relative_error = error;
    result.max_error_index = block.first_index + at;
  }
}

SafetyCheck::SafetyCheck(absl::Span<const FloatFormat> formats, absl::Span<const int> scale_exponents)
    : state_(std::make_unique<State>(formats, scale_exponents)) {}
SafetyCheck::~SafetyCheck() = default;
SafetyCheck::SafetyCheck(SafetyCheck&&) noexcept = default;
SafetyCheck& SafetyCheck::operator=(SafetyCheck&&) noexcept = default;

void SafetyCheck::Add(absl::Span<const float> values) {
  for (; !values.empty(); values.remove_prefix(std::min(values.size(), kBlock))) {
    state_->AddBlock(values.data(), std::min(values.size(), kBlock));
  }
}

void SafetyCheck::Add(absl::Span<const double> values) {
  for (; !values.empty(); values.remove_prefix(std::min(values.size(), kBlock))) {
    state_->AddBlock(values.data(), std::min(values.size(), kBlock));
  }
}

void SafetyCheck::Merge(const SafetyCheck& next) {
  HALFTONE_CHECK(state_->scales == next.state_->scales);
  Merge(next.state_->numbers, next.state_->stats);
  for (size_t f = 0; f < state_->targets.size(); ++f) {
    float& seen = state_->targets[f].largest_seen;
    seen = std::max(seen, next.state_->targets[f].largest_seen);
  }
}

void SafetyCheck::Merge(const NumberStats& numbers, absl::Span<const FormatStats> stats) {
  State& a = *state_;
  HALFTONE_CHECK(a.stats.size() == stats.size());
  const uint64_t offset = a.numbers.elements;
  for (size_t f = 0; f < a.stats.size(); ++f) {
    FormatStats& to = a.stats[f];
    const FormatStats& from = stats[f];
    to.overflows += from.overflows;
    to.underflows += from.underflows;
    to.subnormals += from.subnormals;
    to.exact += from.exact;
    to.measured += from.measured;
    if (from.max_relative_error > to.max_relative_error) {
      to.max_relative_error = from.max_relative_error;
      to.max_error_index = offset + from.max_error_index;
    }
    to.relative_errors += from.relative_errors;
    to.squared_errors += from.squared_errors;
    to.squares += from.squares;
  }
  a.numbers.elements += numbers.elements;
  a.numbers.nans += numbers.nans;
  a.numbers.infinities += numbers.infinities;
  a.numbers.zeros += numbers.zeros;
  if (numbers.first_nonfinite != kNoIndex) {
    a.numbers.first_nonfinite = std::min(a.numbers.first_nonfinite, offset + numbers.first_nonfinite);
  }
  if (numbers.max_index != kNoIndex) a.SeeMax(numbers.max_magnitude, offset + numbers.max_index);
  a.numbers.min_magnitude = std::min(a.numbers.min_magnitude, numbers.min_magnitude);
  a.numbers.exponents.Merge(numbers.exponents);
}

absl::Span<const FloatFormat> SafetyCheck::formats() const { return state_->formats; }
absl::Span<const int> SafetyCheck::scale_exponents() const { return state_->scales; }
const NumberStats& SafetyCheck::numbers() const { return state_->numbers; }
const FormatStats& SafetyCheck::of(size_t format) const { return state_->stats[format]; }

double OverflowThreshold(const FloatFormat& format) {
  const double largest = format.largest_finite();
  const double middle = largest + std::ldexp(0.5, Exponent(largest) - format.mantissa_bits);
  // In the middle the even code wins.
  if (format.largest_finite_code() % 2 == 1) return middle;
  return std::nextafter(middle, std::numeric_limits<double>::infinity());
}

uint64_t ExponentHistogram::Below(int exponent) const {
  uint64_t count = 0;
  for (int e = kLowest; e < std::min(exponent, kHighest + 1); ++e) count += (*this)[e];
  return count;
}

void ExponentHistogram::Merge(const ExponentHistogram& other) {
  for (size_t i = 0; i < bins_.size(); ++i) bins_[i] += other.bins_[i];
}

double FormatStats::mean_relative_error() const {
  return measured == 0 ? 0 : relative_errors / static_cast<double>(measured);
}

double FormatStats::rms_error() const {
  return measured == 0 ? 0 : std::sqrt(squared_errors / static_cast<double>(measured));
}

double FormatStats::sqnr_db() const {
  if (squared_errors > 0) return 10 * std::log10(squares / squared_errors);
  // Squares too small for a double are those of numbers that underflow.
  return squares == 0 && underflows > 0 ? 0 : std::numeric_limits<double>::infinity();
}

ScaleRange FindScaleRange(const NumberStats& numbers, const FloatFormat& format) {
  ScaleRange range;
  if (numbers.nonzero() == 0) return range;
  // That power of two takes the largest number into the threshold's binade.
  const double threshold = OverflowThreshold(format);
  int highest = Exponent(threshold) - Exponent(numbers.max_magnitude);
  if (std::ldexp(numbers.max_magnitude, highest) >= threshold) --highest;
  if (highest < -kMaxScaleExponent) {
    range.highest = -kMaxScaleExponent - 1;
    return range;
  }
  range.highest = std::min(highest, kMaxScaleExponent);

  // Under 2^k all magnitudes up to 2^(underflow - k) become 0.
  const int underflow = UnderflowExponent(format);
  const int smallest = Exponent(numbers.min_magnitude);
  const bool power_of_two = std::ldexp(1.0, smallest) == numbers.min_magnitude;
  int lowest = underflow - smallest + power_of_two;
  if (lowest > range.highest) {
    int bin = std::max(underflow - range.highest, ExponentHistogram::kLowest);
    range.underflows = numbers.exponents.Below(bin);
    while (bin < ExponentHistogram::kHighest && numbers.exponents[bin] == 0) ++bin;
    // One more than most of the bin needs, for the power of two at its lower end.
    lowest = underflow - bin + 1;
  }
  range.lowest = std::clamp(lowest, -kMaxScaleExponent, range.highest);
  return range;
}

Verdict Judge(const NumberStats& numbers, const FormatStats& stats, const FloatFormat& format,
              const SafetyLimits& limits) {
  Verdict verdict;
  verdict.nans = numbers.nans > 0;
  verdict.infinities = numbers.infinities > 0 && !(limits.allow_infinities && format.has_infinity);
  verdict.overflows = stats.overflows > limits.max_overflows;
  verdict.underflows = static_cast<double>(stats.underflows) >
                       limits.max_underflow_fraction * static_cast<double>(numbers.nonzero());
  verdict.sqnr = !(stats.sqnr_db() >= limits.min_sqnr_db);
  return verdict;
}

}  // namespace halftone

#include "quant/codebook_init.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/philox.h"

namespace halftone {
namespace {

constexpr size_t kMaxSample = size_t{1} << 18;

// Adds to sorted, distinct values, at least two, as the header says.
void FillGaps(size_t size, std::vector<double>& values) {
  while (values.size() < size) {
    size_t widest = 1;
    const auto gap = [&](size_t j) { return values[j] - values[j - 1]; };
    const auto distance = [&](size_t j) { return std::abs(values[j] + values[j - 1]); };
    for (size_t j = 2; j < values.size(); ++j) {
      const bool wider = gap(j) > gap(widest);
      if (wider || (gap(j) == gap(widest) && distance(j) >= distance(widest))) widest = j;
    }
    values.insert(values.begin() + widest, (values[widest - 1] + values[widest]) / 2);
  }
}

absl::StatusOr<Codebook> ToCodebook(const std::vector<double>& values, double unit) {
  std::vector<float> floats;
  for (const double value : values) floats.push_back(static_cast<float>(value / unit));
  return Codebook::Create(floats);
}

// From magnitudes, 0 among them, in any order.
absl::StatusOr<Codebook> FromMagnitudes(std::vector<double> magnitudes, int bits, bool is_signed) {
  std::vector<double> values = magnitudes;
  if (is_signed) {
    for (const double magnitude : magnitudes) {
      if (magnitude != 0) values.push_back(-magnitude);
    }
  }
  std::sort(values.begin(), values.end());
  FillGaps(size_t{1} << bits, values);
  return ToCodebook(values, values.back());
}

struct Minifloat {
  int bits, exponent_bits, mantissa_bits;
};
constexpr Minifloat kMinifloats[] = {{2, 1, 0}, {3, 2, 0}, {4, 2, 1}, {6, 3, 2}, {8, 4, 3}};

// Different numbers in ascending order, how often each comes, and the sums up to each, for means of ranges.
class Sample {
 public:
  explicit Sample(std::vector<float> data) {
    std::sort(data.begin(), data.end());
    counts_to_ = {0}, sums_to_ = {0};
    for (size_t i = 0; i < data.size();) {
      const size_t first = i;
      while (i < data.size() && data[i] == data[first]) ++i;
      numbers_.push_back(data[first]);
      counts_to_.push_back(static_cast<double>(i));
      sums_to_.push_back(sums_to_.back() + static_cast<double>(i - first) * data[first]);
    }
  }

  const std::vector<double>& numbers() const { return numbers_; }
  double count() const { return counts_to_.back(); }
  double count(size_t i) const { return counts_to_[i + 1] - counts_to_[i]; }
  // How many of numbers() are at most this one.
  size_t UpTo(double number) const {
    return std::upper_bound(numbers_.begin(), numbers_.end(), number) - numbers_.begin();
  }
  // Of numbers()[begin] up to before numbers()[end]; NaN if there are none.
  double Mean(size_t begin, size_t end) const {
    return (sums_to_[end] - sums_to_[begin]) / (counts_to_[end] - counts_to_[begin]);
  }

 private:
  std::vector<double> numbers_, counts_to_, sums_to_;
};

// Numbers that get a value of their own: what is at least an equal share of the rest.
std::vector<bool> Frequent(const Sample& sample, size_t size, bool with_zero) {
  std::vector<bool> frequent(sample.numbers().size());
  double left = sample.count();
  size_t values_left = size;
  const auto take = [&](size_t i) {
    frequent[i] = true;
    left -= sample.count(i);
    --values_left;
  };
  for (size_t i = 0; with_zero && i < frequent.size(); ++i) {
    if (sample.numbers()[i] == 0) take(i);
  }
  // Without one that is frequent the share of the others may be smaller: until there are no more.
  for (bool found = true; found && values_left > 0;) {
    found = false;
    for (size_t i = 0; i < frequent.size() && values_left > 0; ++i) {
      if (!frequent[i] && sample.count(i) * static_cast<double>(values_left) >= left) take(i), found = true;
    }
  }
  return frequent;
}

struct Value {
  double value;
  bool fixed;
};

std::vector<Value> Quantiles(const Sample& sample, size_t size, bool with_zero) {
  const std::vector<bool> frequent = Frequent(sample, size, with_zero);
  std::vector<Value> values;
  double rest = sample.count();
  for (size_t i = 0; i < frequent.size(); ++i) {
    if (!frequent[i]) continue;
    values.push_back({sample.numbers()[i], true});
    rest -= sample.count(i);
  }
  const bool has_zero =
      std::any_of(values.begin(), values.end(), [](const Value& v) { return v.value == 0; });
  if (with_zero && !has_zero) values.push_back({0, true});
  const size_t spread = size - values.size();
  double before = 0;
  for (size_t i = 0, next = 0; i < frequent.size() && next < spread; ++i) {
    if (frequent[i]) continue;
    before += sample.count(i);
    if (before * static_cast<double>(spread) <= (static_cast<double>(next) + 0.5) * rest) continue;
    values.push_back({sample.numbers()[i], false});
    ++next;
  }
  std::sort(values.begin(), values.end(), [](const Value& a, const Value& b) { return a.value < b.value; });
  return values;
}

void Improve(const Sample& sample, std::vector<Value>& values) {
  size_t begin = 0;
  std::vector<double> means(values.size());
  for (size_t j = 0; j < values.size(); ++j) {
    const size_t end = j + 1 == values.size() ? sample.numbers().size()
                                              : sample.UpTo((values[j].value + values[j + 1].value) / 2);
    means[j] = end > begin && !values[j].fixed ? sample.Mean(begin, end) : values[j].value;
    begin = end;
  }
  for (size_t j = 0; j < values.size(); ++j) values[j].value = means[j];
}

}  // namespace

absl::StatusOr<Codebook> MinifloatCodebook(int bits, bool is_signed) {
  const auto row = std::find_if(std::begin(kMinifloats), std::end(kMinifloats),
                                [bits](const Minifloat& m) { return m.bits == bits; });
  if (row == std::end(kMinifloats)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a codebook of a small float has 2, 3, 4, 6 or 8 bits, not %d", bits));
  }
  const int mantissa_bits = row->mantissa_bits + !is_signed, per_exponent = 1 << mantissa_bits;
  int codes = 1 << (row->exponent_bits + mantissa_bits);
  if (bits == 8 && is_signed) --codes;  // NaN
  std::vector<double> magnitudes;
  for (int code = 0; code < codes; ++code) {
    const int exponent = code / per_exponent, leading = exponent == 0 ? 0 : per_exponent;
    magnitudes.push_back(std::ldexp(code % per_exponent + leading, std::max(exponent, 1)));
  }
  return FromMagnitudes(magnitudes, bits, is_signed);
}

absl::StatusOr<Codebook> AdditivePowersOfTwoCodebook(int bits, bool is_signed) {
  if (bits < 2 || bits > 8) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a codebook of sums of powers of two has 2 to 8 bits, not %d", bits));
  }
  const int magnitude_bits = bits - is_signed, terms = magnitude_bits / 2;
  std::vector<double> magnitudes = {0};
  // Adds a term that is 0 or one of these powers.
  const auto add_term = [&](const std::vector<int>& exponents) {
    const size_t before = magnitudes.size();
    for (const int exponent : exponents) {
      for (size_t i = 0; i < before; ++i) magnitudes.push_back(magnitudes[i] + std::ldexp(1, -exponent));
    }
  };
  const int odd =
      magnitude_bits % 2;  // the single power comes between the second and the third of the others
  for (int term = 1; term <= terms; ++term) add_term({term, terms + term, 2 * terms + odd + term});
  if (odd == 1) add_term({2 * terms + 1});
  return FromMagnitudes(magnitudes, bits, is_signed);
}

absl::StatusOr<Codebook> QuantileCodebook(absl::Span<const float> x, absl::Span<const float> scales, int size,
                                          const QuantileOptions& options) {
  HALFTONE_CHECK(!scales.empty() && x.size() % scales.size() == 0);
  if (size < 2 || size > Codebook::kMaxSize) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a codebook has 2 to %d values, not %d", Codebook::kMaxSize, size));
  }
  const size_t length = x.size() / scales.size();
  const Rng rng = Rng(options.seed).Stream(HashStream("quantile_codebook"));
  const size_t drawn = std::min(x.size(), kMaxSample);
  std::vector<float> data;
  for (size_t i = 0; i < drawn; ++i) {
    // 64 random bits, for more than 2^32 elements.
    const uint64_t bits = uint64_t{rng.Bits(2 * i)} << 32 | rng.Bits(2 * i + 1);
    const size_t at = drawn == x.size() ? i : bits % x.size();
    const float number = x[at] / scales[at / length];
    if (std::isfinite(number)) data.push_back(number + 0.0f);  // no -0
  }
  const auto is_zero = [](float number) { return number == 0; };
  if (std::all_of(data.begin(), data.end(), is_zero)) {
    // What a sample has missed.
    for (size_t i = 0; i < x.size(); ++i) {
      const float number = x[i] / scales[i / length];
      if (std::isfinite(number) && number != 0) data.push_back(number);
    }
  }
  if (std::all_of(data.begin(), data.end(), is_zero)) {
    return absl::InvalidArgumentError(
        "no values can be found for a codebook: the data have no finite element other than 0; start from a "
        "fixed codebook");
  }

  const Sample sample(std::move(data));
  std::vector<double> result = sample.numbers();
  if (options.with_zero || result.size() == 1) result.push_back(0);
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  if (result.size() <= static_cast<size_t>(size)) {
    FillGaps(size, result);
    return ToCodebook(result, 1);
  }
  std::vector<Value> values = Quantiles(sample, size, options.with_zero);
  for (int i = 0; i < options.lloyd_iterations; ++i) Improve(sample, values);
  result.clear();
  for (const Value& v : values) result.push_back(v.value);
  return ToCodebook(result, 1);
}

}  // namespace halftone

#include "tools/fp16_check/report.h"

#include <algorithm>
#include <tuple>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "tools/text.h"

namespace halftone {
namespace {

const ScaledResult* FirstSafe(const FormatResult& result) {
  for (const ScaledResult& s : result.scaled) {
    if (s.verdict.safe()) return &s;
  }
  return nullptr;
}

void AddNumbers(const NumberStats& from, NumberStats& to) {
  to.elements += from.elements;
  to.nans += from.nans;
  to.infinities += from.infinities;
  to.zeros += from.zeros;
  to.max_magnitude = std::max(to.max_magnitude, from.max_magnitude);
  to.min_magnitude = std::min(to.min_magnitude, from.min_magnitude);
  to.exponents.Merge(from.exponents);
}

void AddStats(const FormatStats& from, FormatStats& to) {
  to.overflows += from.overflows;
  to.underflows += from.underflows;
  to.subnormals += from.subnormals;
  to.exact += from.exact;
  to.measured += from.measured;
  to.max_relative_error = std::max(to.max_relative_error, from.max_relative_error);
  to.relative_errors += from.relative_errors;
  to.squared_errors += from.squared_errors;
  to.squares += from.squares;
}

void AddFile(const FileResult& file, size_t format, Totals& totals) {
  for (const TensorResult& tensor : file.tensors) {
    if (!tensor.checked) {
      ++totals.not_checked;
      continue;
    }
    const FormatResult& result = tensor.formats[format];
    switch (result.outcome()) {
      case Outcome::kSafe:
        ++totals.safe;
        break;
      case Outcome::kSafeWithScale:
        ++totals.safe_with_scale;
        break;
      case Outcome::kUnsafe:
        ++totals.unsafe;
        break;
    }
    AddNumbers(tensor.numbers, totals.numbers);
    AddStats(result.stats, totals.stats);
    totals.saturated += result.saturated;
  }
}

std::string FormatConclusion(absl::string_view name, const Totals& totals) {
  const size_t unsafe = totals.unsafe + totals.safe_with_scale;
  if (unsafe == 0) return absl::StrCat("safe in ", name);
  std::string scaled;
  if (totals.safe_with_scale > 0) {
    scaled = unsafe == totals.safe_with_scale
                 ? ", safe with a scale"
                 : absl::StrCat(", ", totals.safe_with_scale, " of them safe with a scale");
  }
  return absl::StrCat("unsafe in ", name, " (", unsafe, " of ", Plural(totals.checked(), "tensor"), scaled,
                      ")");
}

}  // namespace

bool HasScales(const QuantFormat& format) { return !std::holds_alternative<FloatFormat>(format); }

Outcome FormatResult::outcome() const {
  if (verdict.safe()) return Outcome::kSafe;
  return FirstSafe(*this) != nullptr ? Outcome::kSafeWithScale : Outcome::kUnsafe;
}

int FormatResult::scale_exponent() const {
  const ScaledResult* safe = FirstSafe(*this);
  HALFTONE_CHECK(safe != nullptr);
  return safe->exponent;
}

std::string Totals::Text() const {
  std::vector<std::string> parts;
  if (safe > 0) parts.push_back(absl::StrCat(safe, " safe"));
  if (safe_with_scale > 0) parts.push_back(absl::StrCat(safe_with_scale, " with scale"));
  if (unsafe > 0) parts.push_back(absl::StrCat(unsafe, " unsafe"));
  if (not_checked > 0) parts.push_back(absl::StrCat(not_checked, " not converted"));
  return absl::StrJoin(parts, ", ");
}

Totals TotalsOf(const FileResult& file, size_t format) {
  Totals totals;
  AddFile(file, format, totals);
  return totals;
}

Totals TotalsOf(const Report& report, size_t format) {
  Totals totals;
  for (const FileResult& file : report.files) AddFile(file, format, totals);
  return totals;
}

Outcome WorstOutcome(const TensorResult& tensor) {
  Outcome worst = Outcome::kSafe;
  for (const FormatResult& result : tensor.formats) worst = std::max(worst, result.outcome());
  return worst;
}

std::vector<std::string> BrokenLimits(const NumberStats& numbers, const FormatStats& stats,
                                      const Verdict& verdict) {
  std::vector<std::string> broken;
  if (verdict.nans) broken.push_back(absl::StrCat(CountText(numbers.nans), " NaN"));
  if (verdict.infinities) broken.push_back(absl::StrCat(CountText(numbers.infinities), " Inf"));
  if (verdict.overflows) broken.push_back(absl::StrCat(CountText(stats.overflows), " overflow"));
  if (verdict.underflows) {
    const double percent =
        100 * static_cast<double>(stats.underflows) / static_cast<double>(numbers.nonzero());
    broken.push_back(absl::StrCat(NumberText(percent), "% underflow"));
  }
  if (verdict.sqnr) broken.push_back(absl::StrCat("SQNR ", NumberText(stats.sqnr_db()), " dB"));
  return broken;
}

std::string VerdictText(const NumberStats& numbers, const FormatResult& result) {
  switch (result.outcome()) {
    case Outcome::kSafe:
      return "safe";
    case Outcome::kSafeWithScale:
      return absl::StrCat("safe with scale 2^", result.scale_exponent());
    case Outcome::kUnsafe:
      break;
  }
  return absl::StrCat("unsafe: ", absl::StrJoin(BrokenLimits(numbers, result.stats, result.verdict), ", "));
}

std::vector<size_t> WorstFirst(const FileResult& file, size_t format) {
  std::vector<size_t> order;
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    if (file.tensors[i].checked) order.push_back(i);
  }
  const auto key = [&](size_t i) {
    const TensorResult& tensor = file.tensors[i];
    const FormatResult& result = tensor.formats[format];
    const double nonzero = static_cast<double>(std::max<uint64_t>(tensor.numbers.nonzero(), 1));
    return std::tuple(-static_cast<int>(result.outcome()), -static_cast<double>(result.stats.overflows),
                      -static_cast<double>(tensor.numbers.nans),
                      -static_cast<double>(result.stats.underflows) / nonzero, result.stats.sqnr_db());
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  return order;
}

std::string Conclusion(const Report& report) {
  std::vector<std::string> parts;
  for (const bool safe : {false, true}) {
    for (size_t f = 0; f < report.formats.size(); ++f) {
      const Totals totals = TotalsOf(report, f);
      if (totals.checked() == 0 || (totals.safe == totals.checked()) != safe) continue;
      parts.push_back(FormatConclusion(NameOf(report.formats[f]), totals));
    }
  }
  if (parts.empty()) parts.push_back("nothing was checked");
  const auto failed =
      std::ranges::count_if(report.files, [](const FileResult& f) { return !f.error.empty(); });
  if (failed > 0)
    parts.push_back(absl::StrCat(Plural(static_cast<uint64_t>(failed), "file"), " could not be checked"));
  return absl::StrJoin(parts, "; ");
}

}  // namespace halftone

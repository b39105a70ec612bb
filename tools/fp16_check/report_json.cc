#include "tools/fp16_check/report_json.h"

#include <cmath>
#include <cstdint>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

Json Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

Json Index(uint64_t index) { return index == kNoIndex ? Json(nullptr) : Json(index); }

absl::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSafe:
      return "safe";
    case Outcome::kSafeWithScale:
      return "safe_with_scale";
    case Outcome::kUnsafe:
      break;
  }
  return "unsafe";
}

Json String(absl::string_view text) { return std::string(text); }

struct FormatFields {
  Json operator()(const FloatFormat& format) {
    return {{"kind", "float"},
            {"exponent_bits", format.exponent_bits},
            {"mantissa_bits", format.mantissa_bits},
            {"largest_finite", format.largest_finite()},
            {"smallest_normal", format.smallest_normal()},
            {"smallest_subnormal", format.smallest_subnormal()},
            {"has_infinity", format.has_infinity}};
  }
  // Bits, and largest values, with scale 1.
  Json operator()(const BlockFormat& format) {
    return {{"kind", "block"}, {"block", format.block}, {"largest_finite", format.largest_element()}};
  }
  Json operator()(const IntegerFormat& format) {
    return {{"kind", "integer"}, {"lowest", format.lowest()}, {"highest", format.highest()}};
  }
  Json operator()(const CodebookFormat& format) { return {{"kind", "codebook"}, {"values", format.size()}}; }
};

Json ToJson(const QuantFormat& format) {
  const double bits = BitsPerElement(format);
  Json json = {{"name", String(NameOf(format))}};
  if (bits == std::floor(bits)) {
    json["bits"] = static_cast<int>(bits);
  } else {
    json["bits"] = bits;
  }
  json.update(std::visit(FormatFields(), format));
  return json;
}

Json ToJson(const SafetyLimits& limits) {
  return {{"max_overflow", limits.max_overflows},
          {"max_underflow_fraction", limits.max_underflow_fraction},
          {"min_sqnr_db", limits.min_sqnr_db},
          {"allow_infinities", limits.allow_infinities}};
}

Json ToJson(const NumberStats& numbers) {
  Json exponents = Json::object();
  for (int e = ExponentHistogram::kLowest; e <= ExponentHistogram::kHighest; ++e) {
    if (numbers.exponents[e] > 0) exponents[absl::StrCat(e)] = numbers.exponents[e];
  }
  return {{"elements", numbers.elements},
          {"nans", numbers.nans},
          {"infinities", numbers.infinities},
          {"first_nonfinite_index", Index(numbers.first_nonfinite)},
          {"zeros", numbers.zeros},
          {"min_magnitude", numbers.nonzero() > 0 ? Json(numbers.min_magnitude) : Json(nullptr)},
          {"max_magnitude", numbers.finite() > 0 ? Json(numbers.max_magnitude) : Json(nullptr)},
          {"max_index", Index(numbers.max_index)},
          {"exponents", std::move(exponents)}};
}

Json ToJson(const FormatStats& stats) {
  return {{"overflows", stats.overflows},
          {"underflows", stats.underflows},
          {"subnormals", stats.subnormals},
          {"exact", stats.exact},
          {"measured", stats.measured},
          {"max_relative_error", Number(stats.max_relative_error)},
          {"max_error_index", Index(stats.max_error_index)},
          {"mean_relative_error", Number(stats.mean_relative_error())},
          {"rms_error", Number(stats.rms_error())},
          {"sqnr_db", Number(stats.sqnr_db())}};
}

Json Broken(const Verdict& verdict) {
  Json broken = Json::array();
  if (verdict.nans) broken.push_back("nan");
  if (verdict.infinities) broken.push_back("infinity");
  if (verdict.overflows) broken.push_back("overflow");
  if (verdict.underflows) broken.push_back("underflow");
  if (verdict.sqnr) broken.push_back("sqnr");
  return broken;
}

Json ToJson(const NumberStats& numbers, const FormatResult& result, const QuantFormat& format) {
  Json json = {{"format", String(NameOf(format))},
               {"outcome", String(OutcomeName(result.outcome()))},
               {"verdict", VerdictText(numbers, result)},
               {"broken_limits", Broken(result.verdict)},
               {"scale_exponent", nullptr}};
  if (result.outcome() == Outcome::kSafeWithScale) json["scale_exponent"] = result.scale_exponent();
  json.update(ToJson(result.stats));
  json["saturated"] = result.saturated;
  const ScaleRange& scales = result.scales;
  json["scale_range"] =
      HasScales(format) || scales.lowest > scales.highest
          ? Json(nullptr)
          : Json{{"lowest", scales.lowest}, {"highest", scales.highest}, {"underflows", scales.underflows}};
  json["scales_tried"] = Json::array();
  for (const ScaledResult& s : result.scaled) {
    Json tried = {{"exponent", s.exponent}, {"broken_limits", Broken(s.verdict)}};
    tried.update(ToJson(s.stats));
    json["scales_tried"].push_back(std::move(tried));
  }
  return json;
}

Json ToJson(const Report& report, const TensorResult& tensor) {
  Json json = {{"name", tensor.name},
               {"dtype", String(NameOf(tensor.type))},
               {"shape", std::vector<int64_t>(tensor.shape.dims().begin(), tensor.shape.dims().end())},
               {"checked", tensor.checked}};
  if (!tensor.checked) return json;
  json.update(ToJson(tensor.numbers));
  json["formats"] = Json::array();
  for (size_t f = 0; f < report.formats.size(); ++f) {
    json["formats"].push_back(ToJson(tensor.numbers, tensor.formats[f], report.formats[f]));
  }
  return json;
}

Json ToJson(const Totals& totals, const QuantFormat& format) {
  Json json = {{"format", String(NameOf(format))},
               {"safe", totals.safe},
               {"safe_with_scale", totals.safe_with_scale},
               {"unsafe", totals.unsafe},
               {"not_checked", totals.not_checked}};
  json.update(ToJson(totals.numbers));
  json.update(ToJson(totals.stats));
  json["saturated"] = totals.saturated;
  for (const char* index : {"first_nonfinite_index", "max_index", "max_error_index"}) json.erase(index);
  return json;
}

template <typename T>
Json AllTotals(const Report& report, const T& of) {
  Json totals = Json::array();
  for (size_t f = 0; f < report.formats.size(); ++f) {
    totals.push_back(ToJson(TotalsOf(of, f), report.formats[f]));
  }
  return totals;
}

}  // namespace

std::string ReportJson(const Report& report) {
  Json json = {{"schema", "halftone.fp16_check"},    {"version", kReportVersion},
               {"conclusion", Conclusion(report)},   {"limits", ToJson(report.limits)},
               {"formats", Json::array()},           {"files", Json::array()},
               {"totals", AllTotals(report, report)}};
  for (const QuantFormat& format : report.formats) json["formats"].push_back(ToJson(format));
  for (const FileResult& file : report.files) {
    Json tensors = Json::array();
    for (const TensorResult& tensor : file.tensors) tensors.push_back(ToJson(report, tensor));
    json["files"].push_back({{"path", file.path},
                             {"kind", file.kind},
                             {"error", file.error.empty() ? Json(nullptr) : Json(file.error)},
                             {"tensors", std::move(tensors)},
                             {"totals", AllTotals(report, file)}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace halftone

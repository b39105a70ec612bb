#include "tools/fp16_check/report_html.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tools/fp16_check/exponent_chart.h"
#include "tools/fp16_check/html_page.h"
#include "tools/text.h"

namespace halftone {
namespace {

std::string Html(absl::string_view text) { return EscapeHtml(Printable(text)); }

absl::string_view ClassOf(Outcome outcome) {
  return outcome == Outcome::kSafe ? "good" : outcome == Outcome::kSafeWithScale ? "warning" : "bad";
}

// 2^-3 as it is typeset, in a text that is escaped.
std::string Power(int exponent) { return absl::StrCat("2<sup>", exponent, "</sup>"); }

std::string Badge(Outcome outcome, absl::string_view html) {
  const absl::string_view sign = outcome == Outcome::kSafe ? "&#10003; "  // told apart without colour
                                 : outcome == Outcome::kSafeWithScale ? "&#8597; "
                                                                      : "&#10007; ";
  return absl::StrCat("<span class=\"badge ", ClassOf(outcome), "\">", sign, html, "</span>");
}

std::string VerdictBadge(const NumberStats& numbers, const FormatResult& result) {
  const Outcome outcome = result.outcome();
  return Badge(outcome, outcome == Outcome::kSafeWithScale
                            ? absl::StrCat("safe with scale ", Power(result.scale_exponent()))
                            : Html(VerdictText(numbers, result)));
}

struct Heading {
  absl::string_view text, attributes;
};

// data-t: sorted by that cell's text; data-n: by that number of SortKeys. data-first: the order that puts the
// worst first, where that is not the descending one.
constexpr Heading kHeadings[] = {
    {"tensor", "class=\"left\" data-t=\"0\" data-first=\"ascending\""},
    {"dtype", "class=\"left\" data-t=\"1\" data-first=\"ascending\""},
    {"shape", "class=\"left\" data-n=\"0\""},
    {"|min|", "data-n=\"1\" data-first=\"ascending\" title=\"of the numbers other than 0\""},
    {"|max|", "data-n=\"2\" title=\"of the finite numbers\""},
    {"NaN", "data-n=\"3\""},
    {"Inf", "data-n=\"4\""},
    {"format", "class=\"left\""},
    {"exponents", "class=\"left\""},
    {"overflow", "data-n=\"5\" title=\"in formats with scales: saturated\""},
    {"underflow", "data-n=\"6\""},
    {"subnormal", "data-n=\"7\""},
    {"max rel. error", "data-n=\"8\""},
    {"SQNR dB", "data-n=\"9\" data-first=\"ascending\""},
    {"verdict", "class=\"left\" data-n=\"10\""},
};
constexpr size_t kColumns = std::size(kHeadings);

std::string JsNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return absl::StrFormat("%.6g", value);
}

// What a tensor is sorted by: the worst of its formats.
std::string SortKeys(const TensorResult& tensor) {
  const NumberStats& numbers = tensor.numbers;
  double overflow = 0, underflow = 0, subnormal = 0, error = 0, sqnr = INFINITY;
  for (const FormatResult& result : tensor.formats) {
    overflow = std::max(overflow, static_cast<double>(result.stats.overflows + result.saturated));
    underflow = std::max(underflow, static_cast<double>(result.stats.underflows));
    subnormal = std::max(subnormal, static_cast<double>(result.stats.subnormals));
    error = std::max(error, result.stats.max_relative_error);
    sqnr = std::min(sqnr, result.stats.sqnr_db());
  }
  const double keys[] = {static_cast<double>(numbers.elements),
                         numbers.min_magnitude,
                         numbers.max_magnitude,
                         static_cast<double>(numbers.nans),
                         static_cast<double>(numbers.infinities),
                         overflow,
                         underflow,
                         subnormal,
                         error,
                         sqnr,
                         static_cast<double>(WorstOutcome(tensor))};
  return absl::StrJoin(keys, " ", [](std::string* to, double key) { to->append(JsNumber(key)); });
}

std::string Cell(absl::string_view text, absl::string_view attributes = "") {
  return absl::StrCat("<td", attributes.empty() ? "" : " ", attributes, ">", text, "</td>");
}

// Offenders stand out, zeros step back.
absl::string_view CountClass(uint64_t count, bool hot) { return hot ? "hot" : count == 0 ? "none" : ""; }

std::string CountCell(uint64_t count, bool hot) {
  return Cell(CountText(count), absl::StrCat("class=\"", CountClass(count, hot), "\""));
}

std::string MinText(const NumberStats& numbers) {
  return numbers.nonzero() > 0 ? NumberText(numbers.min_magnitude) : "";
}
std::string MaxText(const NumberStats& numbers) {
  return numbers.finite() > 0 ? NumberText(numbers.max_magnitude) : "";
}

// A format overflows or saturates.
std::string StatsCells(const FormatStats& stats, uint64_t saturated, const Verdict& verdict) {
  return absl::StrCat(CountCell(stats.overflows + saturated, verdict.overflows),
                      CountCell(stats.underflows, verdict.underflows), CountCell(stats.subnormals, false),
                      Cell(NumberText(stats.max_relative_error)),
                      Cell(NumberText(stats.sqnr_db()), verdict.sqnr ? "class=\"hot\"" : ""));
}

class Page {
 public:
  explicit Page(const Report& report) : report_(report) {
    std::vector<const ExponentHistogram*> histograms;
    for (const FileResult& file : report.files) {
      for (const TensorResult& tensor : file.tensors) histograms.push_back(&tensor.numbers.exponents);
    }
    range_ = ChartRange(histograms, report.formats);
  }

  std::string Write() {
    absl::StrAppend(&html_,
                    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>fp16_check: ",
                    Html(Conclusion(report_)), "</title>\n<style>", PageStyle(),
                    "</style>\n</head>\n<body>\n");
    WriteSummary();
    for (const FileResult& file : report_.files) WriteFile(file);
    absl::StrAppend(&html_, "<script>", PageScript(), "</script>\n</body>\n</html>\n");
    return std::move(html_);
  }

 private:
  void WriteSummary() {
    absl::StrAppend(&html_, "<h1>What conversion would lose</h1>\n<p class=\"conclusion\">",
                    Html(Conclusion(report_)), ".</p>\n<div class=\"cards\">\n");
    for (size_t f = 0; f < report_.formats.size(); ++f) {
      const Totals totals = TotalsOf(report_, f);
      absl::StrAppend(&html_, "<div class=\"card\"><b>", Html(FormatName(f)), "</b> <span class=\"faint\">",
                      Plural(totals.numbers.elements, "number"), "</span><div class=\"share\">");
      for (const auto& [count, css_class] :
           {std::pair(totals.safe, "good"), std::pair(totals.safe_with_scale, "warning"),
            std::pair(totals.unsafe, "bad")}) {
        if (count > 0)
          absl::StrAppend(&html_, "<i class=\"", css_class, "\" style=\"flex:", count, "\"></i>");
      }
      absl::StrAppend(&html_, "</div>", totals.Text(), "</div>\n");
    }
    const SafetyLimits& limits = report_.limits;
    absl::StrAppend(&html_, "</div>\n<p class=\"faint\">A tensor is safe with at most ",
                    Plural(limits.max_overflows, "overflow"), ", at most ",
                    NumberText(100 * limits.max_underflow_fraction),
                    "% of its numbers underflowing, an SQNR of at least ", NumberText(limits.min_sqnr_db),
                    " dB, no NaN", limits.allow_infinities ? "." : " and no infinity.",
                    "</p>\n<div class=\"legend\">");
    for (const auto& [zone, text] :
         {std::pair("bar", "numbers by exponent, heights logarithmic"),
          std::pair("zone-normal", "normal in the format"),
          std::pair("zone-subnormal", "subnormal: fewer digits"), std::pair("zone-zero", "underflow to 0"),
          std::pair("zone-overflow", "overflow")}) {
      absl::StrAppend(&html_, "<span><svg viewBox=\"0 0 1 1\"><rect class=\"", zone,
                      "\" width=\"1\" height=\"1\"/></svg>", text, "</span>");
    }
    absl::StrAppend(
        &html_,
        "</div>\n<svg width=\"0\" height=\"0\" aria-hidden=\"true\" style=\"position:absolute\"><defs>");
    for (size_t f = 0; f < report_.formats.size(); ++f) {
      absl::StrAppend(&html_, "<g id=\"z", f, "\">", SparkZones(report_.formats[f], range_), "</g>");
    }
    html_ +=
        "</defs></svg>\n<div class=\"controls\"><input type=\"search\" placeholder=\"Filter by name\" "
        "aria-label=\"Filter by name\">";
    for (const auto& [value, text] : {std::pair("", "All"), std::pair("bad", "Unsafe"),
                                      std::pair("warning", "Safe with a scale"), std::pair("good", "Safe")}) {
      absl::StrAppend(&html_, "<button type=\"button\" value=\"", value, "\" aria-pressed=\"",
                      *value == '\0' ? "true" : "false", "\">", text, "</button>");
    }
    html_ += "<span class=\"faint\" id=\"shown\" aria-live=\"polite\"></span></div>\n";
  }

  void WriteFile(const FileResult& file) {
    absl::StrAppend(&html_, "<h2>", Html(file.path), " <small>", Html(file.kind), "</small></h2>\n");
    if (!file.error.empty()) {
      absl::StrAppend(&html_, "<p class=\"error\">Not checked: ", Html(file.error), "</p>\n");
      return;
    }
    if (file.tensors.empty()) {
      html_ += "<p class=\"faint\">No tensor was chosen.</p>\n";
      return;
    }
    html_ += "<table>\n<thead><tr>";
    for (const Heading& heading : kHeadings) {
      absl::StrAppend(&html_, "<th ", heading.attributes, ">", heading.text, "</th>");
    }
    html_ += "</tr></thead>\n";
    for (const TensorResult& tensor : file.tensors) WriteTensor(tensor);
    html_ += "<tfoot>";
    for (size_t f = 0; f < report_.formats.size(); ++f) WriteTotals(file, f);
    html_ += "</tfoot>\n</table>\n";
  }

  void WriteTensor(const TensorResult& tensor) {
    const size_t formats = report_.formats.size();
    const auto identity = [&](absl::string_view css_class, absl::string_view text, size_t rows) {
      const std::string span = rows > 1 ? absl::StrCat(" rowspan=\"", rows, "\"") : "";
      return Cell(text, absl::StrCat("class=\"", css_class, "\"", span));
    };
    if (!tensor.checked) {
      absl::StrAppend(&html_, "<tbody class=\"tensor skipped\" data-outcome=\"skipped\"><tr>",
                      identity("left name", Html(tensor.name), 1), identity("left", NameOf(tensor.type), 1),
                      identity("left", tensor.shape.ToString(), 1), "<td colspan=\"", kColumns - 4,
                      "\"></td>", identity("verdict", "not converted", 1), "</tr></tbody>\n");
      return;
    }
    const NumberStats& numbers = tensor.numbers;
    absl::StrAppend(&html_, "<tbody class=\"tensor\" data-outcome=\"", ClassOf(WorstOutcome(tensor)),
                    "\" data-s=\"", SortKeys(tensor), "\">");
    const size_t drawing = drawings_++;
    for (size_t f = 0; f < formats; ++f) {
      const FormatResult& result = tensor.formats[f];
      if (f == 0) {
        absl::StrAppend(
            &html_, "<tr>", identity("left name", Html(tensor.name), formats),
            identity("left", NameOf(tensor.type), formats),
            identity("left", tensor.shape.ToString(), formats), identity("", MinText(numbers), formats),
            identity("", MaxText(numbers), formats),
            identity(CountClass(numbers.nans, result.verdict.nans), CountText(numbers.nans), formats),
            identity(CountClass(numbers.infinities, result.verdict.infinities), CountText(numbers.infinities),
                     formats));
      } else {
        html_ += "<tr class=\"more\">";
      }
      absl::StrAppend(&html_, Cell(FormatName(f), "class=\"left\""),
                      "<td><svg class=\"spark\" viewBox=\"0 0 ", range_.bins(), " ", kSparkHeight,
                      "\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><use href=\"#z", f, "\"/>");
      if (f == 0) {
        absl::StrAppend(&html_, "<path class=\"bar\" id=\"t", drawing, "\" d=\"",
                        SparkPath(numbers.exponents, range_), "\"/>");
      } else {
        absl::StrAppend(&html_, "<use href=\"#t", drawing, "\"/>");
      }
      absl::StrAppend(&html_, "</svg></td>", StatsCells(result.stats, result.saturated, result.verdict),
                      Cell(VerdictBadge(numbers, result), "class=\"verdict\""), "</tr>\n");
    }
    WriteDetails(tensor);
    html_ += "</tbody>\n";
  }

  void WriteDetails(const TensorResult& tensor) {
    const NumberStats& numbers = tensor.numbers;
    absl::StrAppend(&html_, "<tr class=\"chart\"><td colspan=\"", kColumns,
                    "\"><details><summary>Exponents and scales</summary>",
                    numbers.nonzero() > 0 ? ExponentChart(tensor, report_.formats) : "",
                    "<p class=\"faint\">", Plural(numbers.elements, "number"), ", ",
                    Plural(numbers.zeros, "zero"));
    if (numbers.max_index != kNoIndex)
      absl::StrAppend(&html_, "; the largest is at index ", numbers.max_index);
    if (numbers.first_nonfinite != kNoIndex) {
      absl::StrAppend(&html_, "; the first NaN or infinity is at index ", numbers.first_nonfinite);
    }
    html_ += ".</p>";
    for (size_t f = 0; f < report_.formats.size(); ++f) {
      absl::StrAppend(
          &html_, "<p class=\"faint\">", FormatName(f), ": ",
          HasScales(report_.formats[f]) ? "with scales of its own." : ScaleText(tensor, tensor.formats[f]),
          "</p>");
    }
    html_ += "</details></td></tr>";
  }

  static std::string ScaleText(const TensorResult& tensor, const FormatResult& result) {
    const ScaleRange& scales = result.scales;
    if (tensor.numbers.nonzero() == 0) return "any scale will do.";
    if (scales.lowest > scales.highest) return "no scale keeps the largest number finite.";
    std::string text = absl::StrCat("nothing overflows and the fewest underflow under scales from ",
                                    Power(scales.lowest), " to ", Power(scales.highest), ".");
    for (const ScaledResult& s : result.scaled) {
      absl::StrAppend(&text, " Measured with ", Power(s.exponent), ": ",
                      s.verdict.safe()
                          ? absl::StrCat("safe, SQNR ", NumberText(s.stats.sqnr_db()), " dB")
                          : absl::StrJoin(BrokenLimits(tensor.numbers, s.stats, s.verdict), ", "),
                      ".");
    }
    return text;
  }

  void WriteTotals(const FileResult& file, size_t f) {
    const Totals totals = TotalsOf(file, f);
    const NumberStats& numbers = totals.numbers;
    absl::StrAppend(
        &html_, "<tr>",
        Cell(absl::StrCat("total: ", Plural(numbers.elements, "number")), "class=\"left\" colspan=\"3\""),
        Cell(MinText(numbers)), Cell(MaxText(numbers)), Cell(CountText(numbers.nans)),
        Cell(CountText(numbers.infinities)), Cell(FormatName(f), "class=\"left\""), "<td></td>",
        StatsCells(totals.stats, totals.saturated, Verdict()),
        Cell(Badge(totals.worst(), totals.Text()), "class=\"verdict\""), "</tr>\n");
  }

  std::string FormatName(size_t f) const { return std::string(NameOf(report_.formats[f])); }

  const Report& report_;
  ExponentRange range_;  // of the small drawings, so that they can be compared
  std::string html_;
  size_t drawings_ = 0;
};

}  // namespace

std::string ReportHtml(const Report& report) { return Page(report).Write(); }

}  // namespace halftone

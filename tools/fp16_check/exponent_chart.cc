#include "tools/fp16_check/exponent_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tools/text.h"

namespace halftone {
namespace {

// In pixels of the chart's own.
constexpr double kLeft = 112, kRight = 16, kTop = 14, kWidth = 960, kBars = 150, kAxis = 34, kLane = 18,
                 kLaneGap = 6;
constexpr int kMaxLabels = 16;
// How far beyond the numbers a format's limits are shown.
constexpr int kNear = 24;

struct Zone {
  absl::string_view css_class, title;
  double begin, end;  // log2 of magnitudes
};

// From magnitudes that become zero to those that overflow. The outermost reach beyond every range.
std::array<Zone, 4> Zones(const FloatFormat& format) {
  const double to_zero = std::log2(format.smallest_subnormal()) - 1;
  const double normal = std::log2(format.smallest_normal());
  const double largest = std::log2(format.largest_finite());
  constexpr double kFar = 1e4;
  return {{{"zone-zero", "become 0", -kFar, to_zero},
           {"zone-subnormal", "become subnormal", to_zero, normal},
           {"zone-normal", "normal", normal, largest},
           {"zone-overflow", "overflow", largest, kFar}}};
}

double LogHeight(uint64_t count, uint64_t max) {
  return std::log1p(static_cast<double>(count)) / std::log1p(static_cast<double>(max));
}

uint64_t Highest(const ExponentHistogram& histogram) {
  uint64_t max = 1;
  for (int e = ExponentHistogram::kLowest; e <= ExponentHistogram::kHighest; ++e) {
    max = std::max(max, histogram[e]);
  }
  return max;
}

std::string Coordinate(double value) { return absl::StrFormat("%.4g", value); }

std::string Rect(absl::string_view css_class, double x, double y, double width, double height) {
  return absl::StrFormat("<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"", css_class,
                         Coordinate(x), Coordinate(y), Coordinate(width), Coordinate(height));
}

std::string Text(absl::string_view anchor, double x, double y, absl::string_view text) {
  return absl::StrFormat("<text text-anchor=\"%s\" x=\"%s\" y=\"%s\">%s</text>", anchor, Coordinate(x),
                         Coordinate(y), text);
}

std::string Line(absl::string_view css_class, double x1, double y1, double x2, double y2) {
  return absl::StrFormat("<path class=\"%s\" d=\"M%s %sL%s %s\"/>", css_class, Coordinate(x1), Coordinate(y1),
                         Coordinate(x2), Coordinate(y2));
}

// Steps of 1, 2, 4, 8, ... so that there are no more labels than fit.
int LabelStep(int bins) {
  int step = 1;
  while (bins / step > kMaxLabels) step *= 2;
  return step;
}

std::string BinTitle(int exponent, uint64_t count, uint64_t all) {
  std::string magnitudes = absl::StrCat("2^", exponent, " to 2^", exponent + 1);
  if (exponent == ExponentHistogram::kLowest) magnitudes = absl::StrCat("below 2^", exponent + 1);
  if (exponent == ExponentHistogram::kHighest) magnitudes = absl::StrCat("from 2^", exponent, " on");
  return absl::StrFormat("%s: %d (%.3g%%)", magnitudes, count,
                         100 * static_cast<double>(count) / static_cast<double>(all));
}

class Chart {
 public:
  Chart(const TensorResult& tensor, absl::Span<const QuantFormat> formats)
      : tensor_(tensor),
        range_(ChartRange({&tensor.numbers.exponents}, formats)),
        bin_((kWidth - kLeft - kRight) / range_.bins()) {
    for (size_t f = 0; f < formats.size(); ++f) {
      if (const auto* format = std::get_if<FloatFormat>(&formats[f])) {
        lanes_.push_back({*format, tensor.formats[f].stats});
      }
    }
  }

  std::string Draw() {
    const double height = LaneTop(lanes_.size()) + 4;
    absl::StrAppend(&svg_, "<svg class=\"chart\" viewBox=\"0 0 ", kWidth, " ", Coordinate(height),
                    "\" role=\"img\" aria-label=\"Exponents of ", EscapeHtml(Printable(tensor_.name)), "\">");
    DrawAxes();
    DrawBars();
    for (size_t i = 0; i < lanes_.size(); ++i) DrawLane(i);
    svg_ += "</svg>";
    return std::move(svg_);
  }

 private:
  double X(double exponent) const {
    return kLeft + bin_ * (std::clamp<double>(exponent, range_.lowest, range_.highest + 1) - range_.lowest);
  }
  static double LaneTop(size_t lane) {
    return kTop + kBars + kAxis + static_cast<double>(lane) * (kLane + kLaneGap);
  }

  void DrawAxes() {
    const uint64_t max = Highest(tensor_.numbers.exponents);
    const double bottom = kTop + kBars;
    const int decades = static_cast<int>(std::log10(static_cast<double>(max)));
    for (int d = 0; d <= decades; d += 1 + decades / 5) {
      const double count = std::pow(10, d);
      const double y = bottom - kBars * LogHeight(static_cast<uint64_t>(count), max);
      svg_ += Line("grid", kLeft, y, kWidth - kRight, y);
      svg_ += Text("end", kLeft - 8, y + 4, CountText(static_cast<uint64_t>(count)));
    }
    svg_ += Line("axis", kLeft, bottom, kWidth - kRight, bottom);
    const int step = LabelStep(range_.bins());
    for (int e = range_.lowest; e <= range_.highest + 1; ++e) {
      if (e % step != 0) continue;
      svg_ += Line("axis", X(e), bottom, X(e), bottom + 5);
      svg_ += Text("middle", X(e), bottom + 20, absl::StrCat("2<tspan dy=\"-5\">", e, "</tspan>"));
    }
  }

  void DrawBars() {
    const ExponentHistogram& exponents = tensor_.numbers.exponents;
    const uint64_t max = Highest(exponents);
    const double gap = bin_ > 5 ? 1 : 0;
    for (int e = range_.lowest; e <= range_.highest; ++e) {
      if (exponents[e] == 0) continue;
      const double height = std::max(1.0, kBars * LogHeight(exponents[e], max));
      absl::StrAppend(&svg_, Rect("bar", X(e), kTop + kBars - height, bin_ - gap, height), "><title>",
                      BinTitle(e, exponents[e], tensor_.numbers.nonzero()), "</title></rect>");
    }
  }

  void DrawLane(size_t i) {
    const auto& [format, stats] = lanes_[i];
    const uint64_t normal = tensor_.numbers.nonzero() - stats.overflows - stats.underflows - stats.subnormals;
    const uint64_t counts[] = {stats.underflows, stats.subnormals, normal, stats.overflows};
    const double top = LaneTop(i);
    const std::string name(format.name);
    svg_ += Text("end", kLeft - 8, top + kLane - 5, name);
    size_t zone = 0;
    for (const Zone& z : Zones(format)) {
      const double begin = X(z.begin), end = X(z.end);
      const uint64_t count = counts[zone++];
      if (end <= begin) continue;
      absl::StrAppend(&svg_, Rect(z.css_class, begin, top, end - begin, kLane), "><title>", name, ": ", count,
                      " ", z.title, "</title></rect>");
      const std::string label = absl::StrCat(CountText(count), " ", z.title);
      if (count > 0 && end - begin > 7.0 * static_cast<double>(label.size())) {
        svg_ += Text("middle", (begin + end) / 2, top + kLane - 5, label);
      }
    }
  }

  const TensorResult& tensor_;
  struct Lane {
    FloatFormat format;
    FormatStats stats;
  };
  std::vector<Lane> lanes_;
  ExponentRange range_;
  double bin_;  // width
  std::string svg_;
};

}  // namespace

ExponentRange ChartRange(absl::Span<const ExponentHistogram* const> histograms,
                         absl::Span<const QuantFormat> formats) {
  int lowest = ExponentHistogram::kHighest, highest = ExponentHistogram::kLowest;
  for (const ExponentHistogram* histogram : histograms) {
    for (int e = ExponentHistogram::kLowest; e <= ExponentHistogram::kHighest; ++e) {
      if ((*histogram)[e] == 0) continue;
      lowest = std::min(lowest, e);
      highest = std::max(highest, e);
    }
  }
  if (lowest > highest) lowest = highest = 0;  // no numbers but zeros
  ExponentRange range = {lowest, highest};
  for (const QuantFormat& any : formats) {
    const auto* format = std::get_if<FloatFormat>(&any);
    if (format == nullptr) continue;
    const std::array<Zone, 4> zones = Zones(*format);
    // So much that something of the outer zones is seen.
    const int zero = static_cast<int>(std::floor(zones.front().end)) - 1;
    const int overflow = static_cast<int>(std::floor(zones.back().begin)) + 1;
    range.lowest = std::min(range.lowest, std::max(zero, lowest - kNear));
    range.highest = std::max(range.highest, std::min(overflow, highest + kNear));
  }
  range.lowest = std::max(range.lowest, ExponentHistogram::kLowest);
  range.highest = std::min(range.highest, ExponentHistogram::kHighest);
  return range;
}

std::string SparkPath(const ExponentHistogram& histogram, const ExponentRange& range) {
  const uint64_t max = Highest(histogram);
  std::string path;
  for (int e = range.lowest; e <= range.highest; ++e) {
    if (histogram[e] == 0) continue;
    const double top = kSparkHeight - std::max(1.0, (kSparkHeight - 2) * LogHeight(histogram[e], max));
    absl::StrAppendFormat(&path, "M%d %dV%sh1V%dz", e - range.lowest, kSparkHeight, Coordinate(top),
                          kSparkHeight);
  }
  return path;
}

std::string SparkZones(const QuantFormat& format, const ExponentRange& range) {
  std::string rects;
  if (HasScales(format)) return rects;
  for (const Zone& z : Zones(std::get<FloatFormat>(format))) {
    const double begin = std::clamp<double>(z.begin - range.lowest, 0, range.bins());
    const double end = std::clamp<double>(z.end - range.lowest, 0, range.bins());
    if (end > begin) absl::StrAppend(&rects, Rect(z.css_class, begin, 0, end - begin, kSparkHeight), "/>");
  }
  return rects;
}

std::string ExponentChart(const TensorResult& tensor, absl::Span<const QuantFormat> formats) {
  return Chart(tensor, formats).Draw();
}

}  // namespace halftone

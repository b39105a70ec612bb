// Histograms of exponents against the ranges of formats, as inline SVG. The colours are the page's
// (html_page.h): classes zone-zero, zone-subnormal, zone-normal, zone-overflow and bar.
#ifndef HALFTONE_TOOLS_FP16_CHECK_EXPONENT_CHART_H_
#define HALFTONE_TOOLS_FP16_CHECK_EXPONENT_CHART_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "fp16/safety.h"
#include "quant/quant_format.h"
#include "tools/fp16_check/report.h"

namespace halftone {

// The bins from lowest to highest, both included.
struct ExponentRange {
  int lowest = 0;
  int highest = 0;

  int bins() const { return highest - lowest + 1; }
};

// Formats with scales of their own (HasScales) have no limits and no zones that were the same for all
// numbers.

// What a chart of these histograms shows: all that they hold, and the formats' limits as far as these are
// within 2^24 of it.
ExponentRange ChartRange(absl::Span<const ExponentHistogram* const> histograms,
                         absl::Span<const QuantFormat> formats);

// Small drawings, to be stretched: one unit wide a bin, kSparkHeight high; heights are logarithms of counts.
inline constexpr int kSparkHeight = 24;
// The path's data: "M0 24V20h1V24z...".
std::string SparkPath(const ExponentHistogram& histogram, const ExponentRange& range);
// The format's zones as <rect>s.
std::string SparkZones(const QuantFormat& format, const ExponentRange& range);

// The whole drawing: bars with their counts as tooltips, an axis of powers of two, a lane a format with its
// zones and the counts in them.
std::string ExponentChart(const TensorResult& tensor, absl::Span<const QuantFormat> formats);

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_EXPONENT_CHART_H_

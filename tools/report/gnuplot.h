// Drawing with gnuplot, a program of the system that need not be there.
#ifndef HALFTONE_TOOLS_REPORT_GNUPLOT_H_
#define HALFTONE_TOOLS_REPORT_GNUPLOT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tools/report/plot.h"

namespace halftone::report {

struct Drawing {
  std::vector<std::string> svgs;      // of each plot; "" where it could not be drawn
  std::vector<std::string> warnings;  // why some plots were not drawn, a line each
};

// Leaves scripts, data and pictures in `folder`, which is made; each file appears under its name when it is
// whole, and files of other names stay. Without gnuplot on PATH the scripts and the data are there all the
// same. Pictures of an earlier time that could not be drawn again are removed. Errors: the folder cannot be
// written.
absl::StatusOr<Drawing> DrawPlots(absl::Span<const Plot> plots, const std::string& folder);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_GNUPLOT_H_

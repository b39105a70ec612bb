// The report's plots as gnuplot's scripts and their data, which people can change and run again.
#ifndef HALFTONE_TOOLS_REPORT_PLOT_H_
#define HALFTONE_TOOLS_REPORT_PLOT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/report/results.h"
#include "tools/report/summary.h"

namespace halftone::report {

struct Plot {
  std::string name;            // of the files <name>.gp, .dat, .png and .svg
  std::string title, caption;  // plain text
  std::string script, data;
};

// All of them: accuracy, loss, memory, time, estimate, bits, activations. None where no run has an epoch.
std::vector<Plot> MakePlots(const SweepResults& results, const SweepSummary& summary);

// style.gp, which the scripts load: terminals, fonts, colours.
absl::string_view PlotStyle();

Plot AccuracyPlot(const SweepResults& results);
Plot LossPlot(const SweepResults& results);
Plot MemoryPlot(const SweepResults& results, const SweepSummary& summary);
Plot TimePlot(const SweepResults& results, const SweepSummary& summary);
Plot EstimatePlot(const SweepResults& results);
Plot BitsPlot(const SweepResults& results, const SweepSummary& summary);
Plot ActivationsPlot(const SweepResults& results, const SweepSummary& summary);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_PLOT_H_

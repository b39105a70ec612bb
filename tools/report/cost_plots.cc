// What a precision costs: memory, time, and memory against its estimate. A panel for each data set.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/report/plot.h"
#include "tools/report/plot_script.h"

namespace halftone::report {
namespace {

// From there on numbers are read on a logarithmic axis.
constexpr double kWideRange = 50;

struct Range {
  double min = INFINITY, max = -INFINITY;

  void Add(double value) {
    if (!(value > 0) || !std::isfinite(value)) return;
    min = std::min(min, value);
    max = std::max(max, value);
  }
  bool empty() const { return min > max; }
  bool wide() const { return !empty() && max > kWideRange * min; }
};

std::vector<std::string> DatasetsOf(const SweepResults& results, size_t& left_out) {
  std::vector<std::string> datasets = results.datasets;
  left_out = datasets.size() - std::min(datasets.size(), kMaxPanels);
  datasets.resize(datasets.size() - left_out);
  return datasets;
}

bool HasAny(const SweepSummary& summary, const std::string& model, double GroupSummary::*number) {
  for (const auto& [key, group] : summary.by_model) {
    if (key.first.second == model && !std::isnan(group.*number)) return true;
  }
  return false;
}

// Rows of dots: a group a model, in it a row a precision, from the top down. `second` may be null.
Plot DotPlot(const SweepResults& results, const SweepSummary& summary, Plot plot, absl::string_view x_label,
             double GroupSummary::*first, double GroupSummary::*second) {
  constexpr int kRowHeight = 11, kGroupGap = 2;  // the gap in rows
  size_t left_out = 0;
  const std::vector<std::string> datasets = DatasetsOf(results, left_out);
  const size_t series = std::min(results.precisions.size(), kMaxSeries);
  std::vector<std::string> models;
  for (const std::string& model : results.models) {
    if (models.size() < kMaxPanels && HasAny(summary, model, first)) models.push_back(model);
  }
  if (models.empty()) models.push_back(results.models[0]);  // an array of gnuplot's is never empty
  const size_t pitch = series + kGroupGap;
  Range range;
  for (size_t d = 0; d < datasets.size(); ++d) {
    for (size_t p = 0; p < series; ++p) {
      absl::StrAppend(&plot.data, "# ", Quoted(datasets[d]), ", ", Quoted(results.precisions[p]), "\n");
      for (size_t m = 0; m < models.size(); ++m) {
        const auto found = summary.by_model.find({{datasets[d], models[m]}, results.precisions[p]});
        if (found == summary.by_model.end()) continue;
        const double x = found->second.*first, other = second != nullptr ? found->second.*second : NAN;
        range.Add(x);
        range.Add(other);
        absl::StrAppend(&plot.data, m * pitch + p, " ", DataNumber(x), " ", DataNumber(other), "\n");
      }
      plot.data += "?\n\n\n";  // no block is without a line, which would not count
    }
  }
  const size_t columns = std::min<size_t>(datasets.size(), 3);
  const PanelGrid grid = {.panels = datasets.size(),
                          .panel_width = columns == 1   ? 620
                                         : columns == 2 ? 370
                                                        : 240,
                          .panel_height = std::max(80, static_cast<int>(models.size() * pitch) * kRowHeight),
                          .left = 110,
                          .gap_x = 30,
                          .legend = LegendOf(results.precisions, second != nullptr ? "estimated" : "")};
  const double least = range.empty() ? 0 : range.min, largest = range.empty() ? 1 : range.max;
  absl::StrAppend(&plot.script, ScriptHead(plot.name, plot.title, grid),
                  "array panel = ", QuotedArray(datasets, kMaxPanels),
                  "\narray precision = ", QuotedArray(results.precisions),
                  "\narray model = ", QuotedTics(models, kMaxPanels), "\n");
  if (range.wide()) {
    absl::StrAppendFormat(&plot.script, "set logscale x\nfrom = %.4g\nset xrange [from:%.4g]\n", least / 1.25,
                          largest * 1.25);
  } else {
    absl::StrAppendFormat(&plot.script, "from = 0\nset xrange [from:%.4g]\n", 1.05 * largest);
  }
  absl::StrAppendFormat(&plot.script, "set xlabel '%s'\n# Rows from one model to the next.\npitch = %d\n",
                        x_label, pitch);
  absl::StrAppend(
      &plot.script, R"(set yrange [|model| * pitch - 1.5:-1.5]
set grid noytics
do for [m = 2:|model|] {
  set arrow from graph 0,first (m - 1) * pitch - 1.5 to graph 1,first (m - 1) * pitch - 1.5 nohead \
      lc rgb '#dde2e8' back
}

# A block of the data is a precision on a data set; its columns are the row, the dot, the other dot.
set multiplot layout rows,columns margins screen left,right,bottom,top spacing screen gap_x,gap_y
do for [i = 1:|panel|] {
  set title panel[i]
  unset ytics
  set ytics nomirror scale 0 ()
  do for [m = 1:|model|] {
    label = (i - 1) % columns == 0 ? model[m] : ''
    place = (m - 1) * pitch + (|precision| - 1) / 2.0
    set ytics add (label place)
  }
  block = (i - 1) * |precision| - 1
  plot for [p = 1:|precision|] data index block + p using (from):1:(column(2) - from):(0) \
           with vectors nohead ls p lw 1.2 dt 1 notitle, \
)",
      second != nullptr ? R"(       for [p = 1:|precision|] data index block + p using 3:1 \
           with points ls p pt 6 ps 0.6 notitle, \
)"
                        : "",
      R"(       for [p = 1:|precision|] data index block + p using 2:1 with points ls p notitle
}
)",
      ScriptEnd(absl::StrCat("for [p = 1:|precision|] keyentry with points ls p title precision[p]",
                             second != nullptr ? R"(, \
     keyentry with points lc rgb '#5c6876' pt 6 ps 0.6 title 'estimated')"
                                               : "")));
  absl::StrAppend(&plot.caption, LeftOutText(left_out), ".");
  return plot;
}

}  // namespace

Plot MemoryPlot(const SweepResults& results, const SweepSummary& summary) {
  return DotPlot(
      results, summary,
      {.name = "memory",
       .title = "Memory by model and precision",
       .caption = "Filled: the peak that was measured. Open: estimated from the bits of parameters, "
                  "activations, gradients and the optimizer's state, as hardware with these formats "
                  "would need. Means over activations and seeds"},
      "MiB", &GroupSummary::memory, &GroupSummary::estimated_memory);
}

Plot TimePlot(const SweepResults& results, const SweepSummary& summary) {
  return DotPlot(results, summary,
                 {.name = "time",
                  .title = "Training time by model and precision",
                  .caption = "The median epoch. Means over activations and seeds"},
                 "seconds an epoch", &GroupSummary::time, nullptr);
}

Plot EstimatePlot(const SweepResults& results) {
  size_t left_out = 0;
  const std::vector<std::string> datasets = DatasetsOf(results, left_out);
  const size_t series = std::min(results.precisions.size(), kMaxSeries);
  Plot plot = {.name = "estimate", .title = "Measured against estimated memory"};
  Range range;
  for (const std::string& dataset : datasets) {
    for (size_t p = 0; p < series; ++p) {
      absl::StrAppend(&plot.data, "# ", Quoted(dataset), ", ", Quoted(results.precisions[p]), "\n");
      for (const SweepRun& run : results.runs) {
        if (run.point.dataset != dataset || run.point.precision != results.precisions[p]) continue;
        const double estimated = run.estimated_memory(), measured = run.peak_memory();
        if (!(estimated > 0 && measured > 0)) continue;
        const auto model = std::find(results.models.begin(), results.models.end(), run.point.model);
        range.Add(estimated);
        range.Add(measured);
        absl::StrAppend(&plot.data, DataNumber(estimated), " ", DataNumber(measured), " ",
                        (model - results.models.begin()) % 7 + 1, "\n");
      }
      plot.data += "?\n\n\n";
    }
  }
  std::vector<std::string> legend = LegendOf(results.precisions, " ");
  for (size_t m = 0; m < std::min<size_t>(results.models.size(), 7); ++m)
    legend.push_back(LegendOf({results.models[m]})[0]);
  const bool decade =
      !range.empty() && range.max > 10 * range.min;  // so that a logarithmic axis has two labels
  const bool one = datasets.size() == 1;
  const PanelGrid grid = {.panels = datasets.size(),
                          .panel_width = one ? 420 : 370,
                          .panel_height = one ? 420 : 370,
                          .gap_x = 60,
                          .legend = std::move(legend)};
  plot.caption = absl::StrCat(
      "A point for each run: colours are precisions, shapes are models. On the line the estimate is right; "
      "below it less was needed, above it more",
      LeftOutText(left_out), ".");
  plot.script = absl::StrCat(
      ScriptHead(plot.name, plot.title, grid), "array panel = ", QuotedArray(datasets, kMaxPanels),
      "\narray precision = ", QuotedArray(results.precisions),
      "\narray model = ", QuotedArray(results.models, 7),
      absl::StrFormat("\n%slow = %.4g\nhigh = %.4g\n", decade ? "set logscale xy\n" : "",
                      decade ? range.min / 1.2 : 0, range.empty() ? 1 : range.max * 1.1),
      R"(set xrange [low:high]
set yrange [low:high]
set xlabel 'estimated, MiB'

# A block of the data is a precision on a data set; its columns are estimated, measured, the model's shape.
set multiplot layout rows,columns margins screen left,right,bottom,top spacing screen gap_x,gap_y
do for [i = 1:|panel|] {
  set title panel[i]
  if ((i - 1) % columns == 0) { set ylabel 'measured, MiB' } else { unset ylabel }
  block = (i - 1) * |precision| - 1
  plot x with lines lc rgb '#98a4b3' dt 2 notitle, \
       for [p = 1:|precision|] data index block + p using 1:2:(shapes[int(column(3))]) \
           with points ls p pt variable ps 0.7 notitle
}
)",
      ScriptEnd(R"(for [p = 1:|precision|] keyentry with lines ls p lw 6 dt 1 title precision[p], \
     keyentry with lines lc rgb '#ffffff' title ' ', \
     for [m = 1:|model|] keyentry with points lc rgb '#5c6876' pt shapes[m] ps 0.7 title model[m])"));
  return plot;
}

}  // namespace halftone::report

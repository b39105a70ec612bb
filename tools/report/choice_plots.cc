// What to choose: accuracy against bits, and activations compared.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tools/report/plot.h"
#include "tools/report/plot_script.h"

namespace halftone::report {

Plot BitsPlot(const SweepResults& results, const SweepSummary& summary) {
  const size_t models = std::min(results.models.size(), kMaxSeries);
  const size_t datasets = std::min(results.datasets.size(), kMaxPanels);
  Plot plot = {.name = "bits", .title = "Accuracy against bits"};
  std::set<double> bits;
  std::vector<double> low, high;
  for (size_t d = 0; d < datasets; ++d) {
    std::vector<double> accuracies;
    for (size_t m = 0; m < models; ++m) {
      // Accuracy and bits, of those with as many whole bits.
      std::map<double, std::pair<double, double>> best;
      const auto& groups = summary.by_model;
      std::string points;
      for (const std::string& precision : results.precisions) {
        const auto found = groups.find({{results.datasets[d], results.models[m]}, precision});
        if (found == groups.end()) continue;
        const double x = found->second.weight_bits, y = found->second.best_acc;
        if (!(x > 0) || std::isnan(y)) continue;
        bits.insert(std::floor(x));
        accuracies.push_back(y);
        absl::StrAppend(&points, DataNumber(x), " ", DataNumber(y), "\n");
        const auto at = best.emplace(std::floor(x), std::pair(y, x)).first;
        at->second = std::max(at->second, {y, x});
      }
      absl::StrAppend(&plot.data, "# ", Quoted(results.models[m]), ", ", Quoted(results.datasets[d]),
                      ": points, then the line through the best\n", points, "?\n\n\n");
      for (const auto& [floor, point] : best) {
        absl::StrAppend(&plot.data, DataNumber(point.second), " ", DataNumber(point.first), "\n");
      }
      plot.data += "?\n\n\n";
    }
    const auto [from, to] = PercentScale(accuracies);
    low.push_back(from);
    high.push_back(to);
  }
  std::string tics;
  for (const double b : bits) absl::StrAppend(&tics, tics.empty() ? "" : ", ", b);
  const double least = bits.empty() ? 1 : *bits.begin(), most = bits.empty() ? 32 : *bits.rbegin();
  const PanelGrid grid = {.panels = datasets,
                          .panel_width = datasets == 1 ? 560 : 370,
                          .panel_height = 300,
                          .gap_x = 60,
                          .legend = LegendOf(results.models)};
  plot.caption = absl::StrCat(
      "A point for each precision, at the bits of its weights: the best test accuracy of any activation. "
      "Lines go through the best of each number of whole bits",
      LeftOutText(results.datasets.size() - datasets), ".");
  const std::vector<std::string> shown(results.datasets.begin(),
                                       results.datasets.begin() + static_cast<std::ptrdiff_t>(datasets));
  plot.script = absl::StrCat(
      ScriptHead(plot.name, plot.title, grid), "array panel = ", QuotedArray(shown, kMaxPanels),
      "\narray model = ", QuotedArray(results.models),
      "\n# The panels' scales.\narray low = ", NumberArray(low), "\narray high = ", NumberArray(high),
      absl::StrFormat("\nset logscale x 2\nset xrange [%.4g:%.4g]\nset xtics (%s)\n", least / 1.2, most * 1.2,
                      tics),
      R"(set xlabel 'bits of a weight'

# Two blocks of the data are a model on a data set: points, then the line; columns are bits and accuracy.
set multiplot layout rows,columns margins screen left,right,bottom,top spacing screen gap_x,gap_y
do for [i = 1:|panel|] {
  set title panel[i]
  set yrange [low[i]:high[i]]
  if ((i - 1) % columns == 0) { set ylabel 'best test accuracy, %' } else { unset ylabel }
  block = 2 * ((i - 1) * |model| - 1)
  plot for [m = 1:|model|] data index block + 2 * m + 1 using 1:(100 * $2) with lines ls m notitle, \
       for [m = 1:|model|] data index block + 2 * m using 1:(100 * $2) with points ls m ps 0.8 notitle
}
)",
      ScriptEnd("for [m = 1:|model|] keyentry with linespoints ls m ps 0.8 title model[m]"));
  return plot;
}

Plot ActivationsPlot(const SweepResults& results, const SweepSummary& summary) {
  size_t left_out = 0;
  const std::vector<Panel> panels = PanelsOf(results, left_out);
  const size_t precisions = std::min(results.precisions.size(), kMaxSeries);
  const size_t activations = std::min(results.activations.size(), kMaxSeries);
  Plot plot = {.name = "activations", .title = "Activations compared"};
  std::map<std::string, std::pair<double, double>> range;  // by data set
  for (const Panel& panel : panels) {
    absl::StrAppend(&plot.data, "# ", Quoted(panel.second), ", ", Quoted(panel.first), "\n");
    for (size_t a = 0; a < activations; ++a) {
      for (size_t p = 0; p < precisions; ++p) {
        const auto found =
            summary.points.find({panel.second, results.activations[a], panel.first, results.precisions[p]});
        const double accuracy = found == summary.points.end() ? NAN : found->second.best_acc;
        absl::StrAppend(&plot.data, p + 1, " ", a + 1, " ", DataNumber(accuracy), "\n");
        if (std::isnan(accuracy)) continue;
        const auto [at, added] = range.emplace(panel.first, std::pair(accuracy, accuracy));
        at->second = {std::min(at->second.first, accuracy), std::max(at->second.second, accuracy)};
      }
    }
    plot.data += "\n\n";
  }
  std::vector<double> low, high;
  for (const Panel& panel : panels) {
    const auto found = range.find(panel.first);
    const auto [min, max] = found == range.end() ? std::pair(0.0, 1.0) : found->second;
    low.push_back(100 * min);
    high.push_back(max > min ? 100 * max : 100 * min + 1);
  }
  const int width = static_cast<int>(precisions) * 40, height = static_cast<int>(activations) * 19;
  const PanelGrid grid = {.panels = panels.size(),
                          .most_columns = static_cast<size_t>(std::clamp(840 / (width + 16), 1, 3)),
                          .panel_width = width,
                          .panel_height = height,
                          .left = 96,
                          .bottom = 74,
                          .gap_x = 16,
                          .gap_y = 84};
  plot.caption = absl::StrCat(
      "The best epoch's test accuracy in percent, means over seeds; empty where no run finished. A data set "
      "has one scale of colours, from blue (the least) to yellow",
      LeftOutText(left_out), ".");
  plot.script = absl::StrCat(
      ScriptHead(plot.name, plot.title, grid), "array panel = ", QuotedArray(PanelTitles(panels), kMaxPanels),
      "\n# The colours' scales, percent.\narray low = ", NumberArray(low),
      "\narray high = ", NumberArray(high), "\narray precision = ", QuotedTics(results.precisions),
      "\narray activation = ", QuotedTics(results.activations),
      R"(
set tics scale 0
unset border
unset grid
set xrange [0.5:|precision| + 0.5]
set yrange [|activation| + 0.5:0.5]
set xtics () rotate by 40 right
do for [p = 1:|precision|] { set xtics add (precision[p] p) }
# Dark letters on light cells.
ink(accuracy) = accuracy > 0.55 * (high[i] - low[i]) + low[i] ? 0x000000 : 0xffffff

# A block of the data is a panel; its columns are the precision, the activation, the accuracy.
set multiplot layout rows,columns margins screen left,right,bottom,top spacing screen gap_x,gap_y
do for [i = 1:|panel|] {
  set title panel[i]
  set cbrange [low[i]:high[i]]
  unset ytics
  set ytics nomirror scale 0 ()
  do for [a = 1:|activation|] {
    label = (i - 1) % columns == 0 ? activation[a] : ''
    set ytics add (label a)
  }
  plot data index i - 1 using 1:2:($1 - 0.47):($1 + 0.47):($2 - 0.46):($2 + 0.46):(100 * $3) \
           with boxxyerror fs solid noborder lc palette notitle, \
       data index i - 1 using 1:2:(sprintf('%.1f', 100 * $3)):(ink(100 * $3)) \
           with labels tc rgb variable notitle
}
)",
      ScriptEnd(""));
  return plot;
}

}  // namespace halftone::report

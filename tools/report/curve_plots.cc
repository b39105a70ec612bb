// Accuracy and loss by epoch: a panel for each model and data set, a colour for each precision.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "tools/report/plot.h"
#include "tools/report/plot_script.h"

namespace halftone::report {
namespace {

using EpochNumber = double Epoch::*;
using Epochs = std::map<int, std::vector<const Epoch*>>;  // of several runs

// Of the runs that finished, or of all where none did.
Epochs EpochsOf(const SweepResults& results, const Panel& panel, const std::string& precision) {
  std::vector<const SweepRun*> finished, all;
  for (const SweepRun& run : results.runs) {
    const GridPoint& p = run.point;
    if (p.dataset != panel.first || p.model != panel.second || p.precision != precision) continue;
    all.push_back(&run);
    if (!run.unfinished()) finished.push_back(&run);
  }
  Epochs epochs;
  for (const SweepRun* run : finished.empty() ? all : finished) {
    for (const Epoch& epoch : run->epochs) epochs[epoch.epoch].push_back(&epoch);
  }
  return epochs;
}

double MeanOf(const std::vector<const Epoch*>& epochs, EpochNumber number) {
  double sum = 0;
  size_t count = 0;
  for (const Epoch* epoch : epochs) {
    if (!std::isfinite(epoch->*number)) continue;
    sum += epoch->*number;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : NAN;
}

struct Table {
  std::string data;  // a block a panel, a line an epoch: the epoch, then the columns of each precision
  std::map<std::string, std::vector<double>> values;  // by data set: its panels share a scale
  int first_epoch = 1, last_epoch = 1;
};

Table MakeTable(const SweepResults& results, const std::vector<Panel>& panels,
                absl::Span<const EpochNumber> numbers) {
  Table table;
  const size_t series = std::min(results.precisions.size(), kMaxSeries);
  for (const Panel& panel : panels) {
    std::map<int, std::vector<double>> lines;
    for (size_t p = 0; p < series; ++p) {
      for (const auto& [epoch, of_runs] : EpochsOf(results, panel, results.precisions[p])) {
        std::vector<double>& line = lines[epoch];
        line.resize(series * numbers.size(), NAN);
        for (size_t c = 0; c < numbers.size(); ++c) {
          const double value = line[p * numbers.size() + c] = MeanOf(of_runs, numbers[c]);
          if (std::isfinite(value)) table.values[panel.first].push_back(value);
        }
      }
    }
    absl::StrAppend(&table.data, "# ", Quoted(panel.second), ", ", Quoted(panel.first), "\n");
    for (const auto& [epoch, line] : lines) {
      absl::StrAppend(&table.data, epoch);
      for (const double value : line) absl::StrAppend(&table.data, " ", DataNumber(value));
      table.data += "\n";
      table.first_epoch = std::min(table.first_epoch, epoch);
      table.last_epoch = std::max(table.last_epoch, epoch);
    }
    table.data += "\n\n";
  }
  return table;
}

PanelGrid GridOf(size_t panels, std::vector<std::string> legend) {
  PanelGrid grid = {.panels = panels, .legend = std::move(legend)};
  if (panels == 1) std::tie(grid.panel_width, grid.panel_height) = std::pair(560, 320);
  return grid;
}

// 1, 2, 5, 10, ... epochs, so that there are no more labels than fit.
int EpochStep(int last_epoch) {
  for (int ten = 1; ten < 100000000; ten *= 10) {
    for (const int step : {ten, 2 * ten, 5 * ten}) {
      if (last_epoch / step <= 10) return step;
    }
  }
  return 1000000000;
}

std::string Arrays(const SweepResults& results, const std::vector<Panel>& panels,
                   const std::vector<double>& low, const std::vector<double>& high, const Table& table) {
  // A range is never empty: gnuplot would not draw it.
  const double margin = table.first_epoch == table.last_epoch ? 0.5 : 0;
  return absl::StrCat("array panel = ", QuotedArray(PanelTitles(panels), kMaxPanels),
                      "\narray precision = ", QuotedArray(results.precisions),
                      "\n# The panels' scales.\narray low = ", NumberArray(low),
                      "\narray high = ", NumberArray(high), "\nset xtics ", EpochStep(table.last_epoch),
                      "\nset xrange [", table.first_epoch - margin, ":", table.last_epoch + margin, "]\n");
}

absl::string_view SeveralRunsText(const SweepResults& results) {
  const size_t named = results.models.size() * results.datasets.size() * results.precisions.size();
  return results.runs.size() > named ? " Lines are means over activations and seeds of the runs that finished"
                                     : " A line is a run";
}

}  // namespace

Plot AccuracyPlot(const SweepResults& results) {
  size_t left_out = 0;
  const std::vector<Panel> panels = PanelsOf(results, left_out);
  const Table table = MakeTable(results, panels, {&Epoch::test_acc});
  std::vector<double> low, high;
  for (const Panel& panel : panels) {
    const auto values = table.values.find(panel.first);
    const auto [from, to] =
        PercentScale(values == table.values.end() ? std::vector<double>() : values->second);
    low.push_back(from);
    high.push_back(to);
  }
  Plot plot = {.name = "accuracy", .title = "Test accuracy by epoch", .data = table.data};
  plot.caption =
      absl::StrCat("A panel for each model and data set, which share a scale; a colour for each precision.",
                   SeveralRunsText(results), LeftOutText(left_out), ".");
  plot.script =
      absl::StrCat(ScriptHead(plot.name, plot.title, GridOf(panels.size(), LegendOf(results.precisions))),
                   Arrays(results, panels, low, high, table), R"(
# A block of the data is a panel; its columns are the epoch, then the accuracy of each precision.
set multiplot layout rows,columns margins screen left,right,bottom,top spacing screen gap_x,gap_y
do for [i = 1:|panel|] {
  set title panel[i]
  set yrange [low[i]:high[i]]
  if (i > |panel| - columns) { set xlabel 'epoch' } else { unset xlabel }
  if ((i - 1) % columns == 0) { set ylabel 'test accuracy, %' } else { unset ylabel }
  plot for [p = 1:|precision|] data index i - 1 using 1:(100 * column(p + 1)) with linespoints ls p notitle
}
)",
                   ScriptEnd("for [p = 1:|precision|] keyentry with linespoints ls p title precision[p]"));
  return plot;
}

Plot LossPlot(const SweepResults& results) {
  size_t left_out = 0;
  const std::vector<Panel> panels = PanelsOf(results, left_out);
  Table table = MakeTable(results, panels, {&Epoch::test_loss, &Epoch::train_loss});
  // A run that diverges must not flatten all others: a few points may leave the panel.
  std::vector<double> low, high;
  for (const Panel& panel : panels) {
    std::vector<double>& values = table.values[panel.first];
    std::sort(values.begin(), values.end());
    const double top = values.empty() ? 1 : std::min(values.back(), 1.6 * values[values.size() * 95 / 100]);
    low.push_back(values.empty() ? 0 : std::min(0.0, values.front()));
    high.push_back(top > low.back() ? 1.05 * top : low.back() + 1);
  }
  Plot plot = {.name = "loss", .title = "Loss by epoch", .data = table.data};
  plot.caption = absl::StrCat("Solid: on the test data; dotted: on the training data.",
                              SeveralRunsText(results), LeftOutText(left_out), ".");
  plot.script = absl::StrCat(
      ScriptHead(plot.name, plot.title, GridOf(panels.size(), LegendOf(results.precisions, "training"))),
      Arrays(results, panels, low, high, table), R"(
# A block of the data is a panel; its columns are the epoch, then test and training loss of each precision.
set multiplot layout rows,columns margins screen left,right,bottom,top spacing screen gap_x,gap_y
do for [i = 1:|panel|] {
  set title panel[i]
  set yrange [low[i]:high[i]]
  if (i > |panel| - columns) { set xlabel 'epoch' } else { unset xlabel }
  if ((i - 1) % columns == 0) { set ylabel 'loss' } else { unset ylabel }
  plot for [p = 1:|precision|] data index i - 1 using 1:(column(2 * p + 1)) \
           with lines ls p lw 1 dt 3 notitle, \
       for [p = 1:|precision|] data index i - 1 using 1:(column(2 * p)) with linespoints ls p notitle
}
)",
      ScriptEnd(R"(for [p = 1:|precision|] keyentry with linespoints ls p title precision[p], \
     keyentry with lines lc rgb '#5c6876' lw 1 dt 3 title 'training')"));
  return plot;
}

}  // namespace halftone::report

#include <algorithm>

#include "tools/report/plot.h"

namespace halftone::report {

// Colours: Okabe and Ito, "Color Universal Design", 2008, without yellow, which is lost on white; cividis
// (Nunez et al., 2018) where numbers become colours.
absl::string_view PlotStyle() {
  return R"(# What all plots share. A script that loads this sets name, width and height (pixels) before.
reset
if (!exists('format')) { format = 'png' }
if (format eq 'png') {
  set terminal pngcairo size 2 * width, 2 * height font 'DejaVu Sans,9' fontscale 2 linewidth 2 pointscale 2 \
      noenhanced background 'white'
} else {
  set terminal svg size width, height font 'DejaVu Sans,Verdana,sans-serif,12' noenhanced background 'white'
}
set output name.'.'.format
set encoding utf8
set datafile missing '?'

set border 3 lc rgb '#5c6876'
set tics nomirror out scale 0.6 tc rgb '#333d49'
set grid back lt 1 lc rgb '#e3e7ec' lw 1 dt 1
set title offset 0,-0.6
set ylabel offset 1,0
unset key

# The first series is black: float32, against which the others are read.
array colours = ['#000000', '#d55e00', '#0072b2', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
array shapes = [7, 5, 9, 13, 11, 15, 4]
array dashes = [1, 2, 4]
do for [k = 1:21] {
  set style line k lc rgb colours[(k - 1) % 7 + 1] pt shapes[(k + (k - 1) / 7 - 1) % 7 + 1] \
      dt dashes[(k - 1) / 7 + 1] lw 1.5 ps 0.5
}
set palette defined (0 '#00224e', 1 '#35456c', 2 '#666970', 3 '#948e77', 4 '#c8b866', 5 '#fee838')
unset colorbox
)";
}

std::vector<Plot> MakePlots(const SweepResults& results, const SweepSummary& summary) {
  const bool any = std::any_of(results.runs.begin(), results.runs.end(),
                               [](const SweepRun& run) { return !run.epochs.empty(); });
  if (!any) return {};
  return {AccuracyPlot(results),
          LossPlot(results),
          MemoryPlot(results, summary),
          TimePlot(results, summary),
          EstimatePlot(results),
          BitsPlot(results, summary),
          ActivationsPlot(results, summary)};
}

}  // namespace halftone::report

// What the plots' scripts share: quoting, data, the grid of panels.
#ifndef HALFTONE_TOOLS_REPORT_PLOT_SCRIPT_H_
#define HALFTONE_TOOLS_REPORT_PLOT_SCRIPT_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "tools/report/results.h"

namespace halftone::report {

// As many lines of different colour, dash and point as style.gp has. More would not be told apart.
inline constexpr size_t kMaxSeries = 21;
// Of small multiples.
inline constexpr size_t kMaxPanels = 24;

// A text between quotes, shortened to what a plot has room for. Whatever it holds, gnuplot runs none of it.
std::string Quoted(absl::string_view text);
// "['a', 'b']", of at most `most` texts.
std::string QuotedArray(const std::vector<std::string>& texts, size_t most = kMaxSeries);
// Names along an axis are shortened to these columns, which the grid's `left` has room for.
inline constexpr size_t kMaxTicText = 14;
std::string QuotedTics(const std::vector<std::string>& texts, size_t most = kMaxSeries);
// "[1, 2]".
std::string NumberArray(const std::vector<double>& numbers);
// As it stands in data: "?" (missing) where it is not finite.
std::string DataNumber(double value);

// What an axis of percent shows of these fractions: from and to, in steps of 5; all of it where there are
// none.
std::pair<double, double> PercentScale(const std::vector<double>& fractions);

// A data set and a model: what a panel of the small multiples shows.
using Panel = std::pair<std::string, std::string>;
// Those that have runs, by data set, then by model, kMaxPanels at most. `left_out` is how many more there
// are.
std::vector<Panel> PanelsOf(const SweepResults& results, size_t& left_out);
// "resnet18, cifar10".
std::vector<std::string> PanelTitles(const std::vector<Panel>& panels);
// "; 3 more panels are left out", or nothing.
std::string LeftOutText(size_t left_out);

// Sizes in pixels of the picture on a screen.
struct PanelGrid {
  size_t panels = 1, most_columns = 3;
  int panel_width = 250, panel_height = 170;
  int left = 72, top = 30, bottom = 62;  // around all panels
  int gap_x = 42, gap_y = 62;            // between them
  std::vector<std::string> legend;       // to the right of them, a line each
};

// The texts and one more, as legends that are shortened like Quoted's.
std::vector<std::string> LegendOf(const std::vector<std::string>& texts, absl::string_view more = "");

// The script's beginning: its comment, its name, its size, the margins; loads style.gp.
std::string ScriptHead(absl::string_view name, absl::string_view title, const PanelGrid& grid);
// The script's end: the legend, by gnuplot's `keyentry`s ("" for none); then the same picture once more as
// SVG.
std::string ScriptEnd(absl::string_view entries);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_PLOT_SCRIPT_H_

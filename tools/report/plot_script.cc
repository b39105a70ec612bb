#include "tools/report/plot_script.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tools/text.h"

namespace halftone::report {
namespace {

constexpr size_t kMaxText = 26;
// Pixels of a legend: a wide letter, a line, what stands before a text and behind it; and of an edge without
// one.
constexpr int kLetter = 8, kLegendLine = 19, kSample = 66, kEdge = 16;

// Between single quotes gnuplot reads nothing but '' as special. Back quotes, which run commands elsewhere,
// are replaced all the same: scripts get changed by people.
std::string QuotedUpTo(absl::string_view text, size_t width) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(ShortenMiddle(Printable(text), width), {{"'", "''"}, {"`", "?"}}), "'");
}

std::string ArrayUpTo(const std::vector<std::string>& texts, size_t most, size_t width) {
  const auto end = texts.begin() + static_cast<std::ptrdiff_t>(std::min(texts.size(), most));
  const auto quote = [&](std::string* to, const std::string& text) { *to += QuotedUpTo(text, width); };
  return absl::StrCat("[", absl::StrJoin(texts.begin(), end, ", ", quote), "]");
}

}  // namespace

std::string Quoted(absl::string_view text) { return QuotedUpTo(text, kMaxText); }

std::string QuotedArray(const std::vector<std::string>& texts, size_t most) {
  return ArrayUpTo(texts, most, kMaxText);
}

std::string QuotedTics(const std::vector<std::string>& texts, size_t most) {
  return ArrayUpTo(texts, most, kMaxTicText);
}

std::string NumberArray(const std::vector<double>& numbers) {
  return absl::StrCat(
      "[",
      absl::StrJoin(numbers, ", ", [](std::string* to, double n) { absl::StrAppendFormat(to, "%.6g", n); }),
      "]");
}

std::string DataNumber(double value) { return std::isfinite(value) ? absl::StrFormat("%.6g", value) : "?"; }

std::pair<double, double> PercentScale(const std::vector<double>& fractions) {
  if (fractions.empty()) return {0, 100};
  const auto [min, max] = std::minmax_element(fractions.begin(), fractions.end());
  return {5 * std::floor(20 * *min), 5 * std::floor(20 * *max + 1)};
}

std::vector<Panel> PanelsOf(const SweepResults& results, size_t& left_out) {
  std::set<Panel> used;
  for (const SweepRun& run : results.runs) {
    if (!run.epochs.empty()) used.emplace(run.point.dataset, run.point.model);
  }
  std::vector<Panel> panels;
  for (const std::string& dataset : results.datasets) {
    for (const std::string& model : results.models) {
      if (used.count({dataset, model}) > 0) panels.emplace_back(dataset, model);
    }
  }
  left_out = panels.size() - std::min(panels.size(), kMaxPanels);
  panels.resize(panels.size() - left_out);
  return panels;
}

std::vector<std::string> PanelTitles(const std::vector<Panel>& panels) {
  std::vector<std::string> titles;
  for (const auto& [dataset, model] : panels) titles.push_back(absl::StrCat(model, ", ", dataset));
  return titles;
}

std::string LeftOutText(size_t left_out) {
  return left_out > 0 ? absl::StrCat("; ", Plural(left_out, "panel"), " more are left out") : "";
}

std::vector<std::string> LegendOf(const std::vector<std::string>& texts, absl::string_view more) {
  std::vector<std::string> legend;
  for (const std::string& text : texts) {
    if (legend.size() < kMaxSeries) legend.push_back(ShortenMiddle(Printable(text), kMaxText));
  }
  if (!more.empty()) legend.emplace_back(more);
  return legend;
}

std::string ScriptHead(absl::string_view name, absl::string_view title, const PanelGrid& grid) {
  const int columns = static_cast<int>(std::clamp<size_t>(grid.panels, 1, grid.most_columns));
  const int rows = std::max(1, (static_cast<int>(grid.panels) + columns - 1) / columns);
  const int inner_width = columns * grid.panel_width + (columns - 1) * grid.gap_x;
  const int inner_height = rows * grid.panel_height + (rows - 1) * grid.gap_y;
  size_t legend_text = 0;
  for (const std::string& text : grid.legend) legend_text = std::max(legend_text, TextWidth(text));
  const int legend_width = grid.legend.empty() ? kEdge : kSample + kLetter * static_cast<int>(legend_text);
  const int legend_height = kLegendLine * static_cast<int>(grid.legend.size());
  const int width = grid.left + inner_width + legend_width;
  const int bottom = std::max(grid.bottom, legend_height - inner_height);
  const int height = grid.top + inner_height + bottom;
  const auto across = [&](int pixels) {
    return absl::StrFormat("%.4f", static_cast<double>(pixels) / width);
  };
  const auto along = [&](int pixels) {
    return absl::StrFormat("%.4f", static_cast<double>(pixels) / height);
  };
  return absl::StrCat(
      "# ", title, ". Change what you like and draw it again: gnuplot ", name, ".gp\n", "name = '", name,
      "'\ndata = '", name, ".dat'\nwidth = ", width, "\nheight = ", height,
      "\nload 'style.gp'\n\n# Fractions of the picture: the panels' edges, the gaps between them.\n",
      "columns = ", columns, "\nrows = ", rows, "\nleft = ", across(grid.left),
      "\nright = ", across(grid.left + inner_width), "\nbottom = ", along(bottom),
      "\ntop = ", along(bottom + inner_height), "\ngap_x = ", across(grid.gap_x),
      "\ngap_y = ", along(grid.gap_y), "\n\n");
}

std::string ScriptEnd(absl::string_view entries) {
  // A panel of its own, as high as the picture: gnuplot breaks a legend into columns at its panel's height.
  const std::string legend = absl::StrCat(R"(
# The legend, beside all panels.
unset title; unset border; unset tics; unset xlabel; unset ylabel; unset arrow; unset logscale
set lmargin at screen right; set rmargin at screen 1; set bmargin at screen 0; set tmargin at screen top
set key at screen right + 0.015, top left top vertical Left reverse samplen 2 spacing 1.15
plot [0:1] [0:1] NaN notitle, \
     )",
                                          entries, "\n");
  return absl::StrCat(entries.empty() ? "" : legend, R"(unset multiplot
unset output
if (format eq 'png') { format = 'svg'; load name.'.gp' }
)");
}

}  // namespace halftone::report

#include "tools/report/summary_tables.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tools/text.h"

namespace halftone::report {
namespace {

using TextOf = std::function<std::string(const GroupSummary&)>;

std::string ThreeDigits(double value) {
  return std::isnan(value)      ? ""
         : value >= 100         ? absl::StrFormat("%.0f", value)
         : std::fabs(value) < 1 ? absl::StrFormat("%.3g", value)
                                : absl::StrFormat("%.*f", value >= 10 ? 1 : 2, value);
}

SummaryTable PrecisionTable(const SweepResults& results, const SweepSummary& summary,
                            const std::string& dataset) {
  SummaryTable table = {.dataset = dataset, .title = "Precisions"};
  table.header = {"precision", "bits of a weight", "runs", "not finished", "best accuracy, %", "reached by"};
  if (summary.compared) {
    table.note =
        "Drop: float32's best accuracy less this one's, in points, of the same model and activation; below 0 "
        "is a gain. "
        "Time and memory are ratios to float32, geometric means over models and activations. Accuracy is on "
        "the test "
        "data, of each run's best epoch.";
    for (const char* column : {"mean drop", "worst drop", "time ratio", "memory ratio", "estimated ratio"}) {
      table.header.push_back(column);
    }
  }
  for (const std::string& precision : results.precisions) {
    const auto found = summary.by_precision.find({dataset, precision});
    if (found == summary.by_precision.end()) continue;
    const GroupSummary& group = found->second;
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {precision,
           std::isnan(group.weight_bits) ? "" : absl::StrFormat("%.4g", group.weight_bits),
           absl::StrCat(group.runs),
           absl::StrCat(group.unfinished),
           PercentText(group.best_acc),
           std::isnan(group.best_acc) ? "" : absl::StrCat(group.best.model, ", ", group.best.activation)};
    if (!summary.compared) continue;
    const bool base = IsFloat32(precision);
    row.push_back(base ? "" : PercentText(group.mean_drop));
    row.push_back(base ? "" : PercentText(group.worst_drop));
    for (const double ratio : {group.time_ratio, group.memory_ratio, group.estimated_ratio}) {
      row.push_back(RatioText(ratio));
    }
  }
  return table;
}

SummaryTable Matrix(const SweepResults& results, const SweepSummary& summary, const std::string& dataset,
                    std::string title, const TextOf& text) {
  SummaryTable table = {.dataset = dataset, .title = std::move(title), .header = {"model"}};
  for (const std::string& precision : results.precisions) {
    if (summary.by_precision.count({dataset, precision}) > 0) table.header.push_back(precision);
  }
  for (const std::string& model : results.models) {
    std::vector<std::string> row = {model};
    bool any = false;
    for (size_t i = 1; i < table.header.size(); ++i) {
      const auto found = summary.by_model.find({{dataset, model}, table.header[i]});
      any |= found != summary.by_model.end();
      row.push_back(found == summary.by_model.end() ? "" : text(found->second));
    }
    if (any) table.rows.push_back(std::move(row));
  }
  return table;
}

// A name in Markdown: nothing in it is markup.
std::string MarkdownCell(absl::string_view text) {
  return absl::StrReplaceAll(
      EscapeHtml(Printable(text)),
      {{"|", "\\|"}, {"`", "&#96;"}, {"*", "\\*"}, {"_", "\\_"}, {"[", "\\["}, {"]", "\\]"}, {"\\", "\\\\"}});
}

}  // namespace

std::string PercentText(double fraction) {
  const std::string text = std::isnan(fraction) ? "" : absl::StrFormat("%.2f", 100 * fraction);
  return text == "-0.00" ? "0.00" : text;
}

std::string RatioText(double ratio) { return std::isnan(ratio) ? "" : absl::StrFormat("%.2f", ratio); }

std::vector<SummaryTable> SummaryTables(const SweepResults& results, const SweepSummary& summary) {
  std::vector<SummaryTable> tables;
  for (const std::string& dataset : results.datasets) {
    const auto matrix = [&](absl::string_view title, const TextOf& text) {
      tables.push_back(Matrix(results, summary, dataset, std::string(title), text));
    };
    tables.push_back(PrecisionTable(results, summary, dataset));
    matrix("Best accuracy, %", [](const GroupSummary& g) { return PercentText(g.best_acc); });
    if (summary.compared) {
      matrix("Drop of the best accuracy against float32, points",
             [](const GroupSummary& g) { return IsFloat32(g.best.precision) ? "" : PercentText(g.drop); });
      matrix("Time against float32", [](const GroupSummary& g) { return RatioText(g.time_ratio); });
      matrix("Memory against float32, measured",
             [](const GroupSummary& g) { return RatioText(g.memory_ratio); });
      matrix("Memory against float32, estimated",
             [](const GroupSummary& g) { return RatioText(g.estimated_ratio); });
    } else {
      matrix("Seconds an epoch", [](const GroupSummary& g) { return ThreeDigits(g.time); });
      matrix("Peak memory, MiB", [](const GroupSummary& g) { return ThreeDigits(g.memory); });
    }
  }
  return tables;
}

std::string CountsText(const SweepResults& results) {
  size_t unfinished = 0;
  for (const SweepRun& run : results.runs) unfinished += run.unfinished();
  return absl::StrCat(Plural(results.runs.size(), "run"), ": ", Plural(results.models.size(), "model"), ", ",
                      Plural(results.activations.size(), "activation"), ", ",
                      Plural(results.datasets.size(), "data set"), ", ",
                      Plural(results.precisions.size(), "precision"),
                      unfinished > 0 ? absl::StrCat("; ", unfinished, " did not finish") : "");
}

std::vector<std::string> BestTexts(const SweepResults& results, const SweepSummary& summary) {
  std::vector<std::string> texts;
  for (const std::string& dataset : results.datasets) {
    const GroupSummary* best = nullptr;
    for (const std::string& precision : results.precisions) {
      const auto found = summary.by_precision.find({dataset, precision});
      if (found == summary.by_precision.end() || std::isnan(found->second.best_acc)) continue;
      if (best == nullptr || found->second.best_acc > best->best_acc) best = &found->second;
    }
    if (best == nullptr) continue;
    texts.push_back(absl::StrCat("Best on ", dataset, ": ", PercentText(best->best_acc), " % by ",
                                 best->best.model, " with ", best->best.activation, " in ",
                                 best->best.precision));
  }
  return texts;
}

std::string SummaryMarkdown(const SweepResults& results, const SweepSummary& summary) {
  std::string text = absl::StrCat("# Precisions compared\n\n", CountsText(results), ".\n");
  for (const std::string& best : BestTexts(results, summary))
    absl::StrAppend(&text, "\n- ", MarkdownCell(best), ".");
  text += "\n";
  std::string dataset;
  bool first = true;
  for (const SummaryTable& table : SummaryTables(results, summary)) {
    if (first || table.dataset != dataset) absl::StrAppend(&text, "\n## ", MarkdownCell(table.dataset), "\n");
    first = false;
    dataset = table.dataset;
    absl::StrAppend(&text, "\n### ", table.title, "\n\n");
    if (!table.note.empty()) absl::StrAppend(&text, table.note, "\n\n");
    const auto cell = [](std::string* to, const std::string& field) { *to += MarkdownCell(field); };
    absl::StrAppend(&text, "| ", absl::StrJoin(table.header, " | ", cell), " |\n|---|");
    for (size_t i = 1; i < table.header.size(); ++i)
      text += table.header[i] == "reached by" ? "---|" : "---:|";
    text += "\n";
    for (const std::vector<std::string>& row : table.rows) {
      absl::StrAppend(&text, "| ", absl::StrJoin(row, " | ", cell), " |\n");
    }
  }
  return text;
}

}  // namespace halftone::report

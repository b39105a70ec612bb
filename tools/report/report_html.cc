#include "tools/report/report_html.h"

#include <map>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "amp/recipe.h"
#include "tools/report/page.h"
#include "tools/report/page_data.h"
#include "tools/report/summary_tables.h"
#include "tools/results/files.h"
#include "tools/text.h"

namespace halftone::report {
namespace {

constexpr size_t kMaxFailures = 200;
constexpr char kUnknown[] = "<p>Not known: there is no run_details.csv.</p>\n";

std::string Html(absl::string_view text) { return EscapeHtml(Printable(text)); }

std::string Row(const std::vector<std::string>& fields, absl::string_view tag,
                absl::string_view long_column = "") {
  std::string row = "<tr>";
  for (size_t i = 0; i < fields.size(); ++i) {
    const bool is_long = i + 1 == fields.size() && !long_column.empty();
    absl::StrAppend(&row, "<", tag, is_long ? absl::StrCat(" class=\"", long_column, "\"") : "", ">",
                    Html(fields[i]), "</", tag, ">");
  }
  return row + "</tr>\n";
}

// The first column is a name; `last`: the class of the last one.
std::string Table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                  absl::string_view last = "") {
  std::string html =
      absl::StrCat("<div class=\"scroll still", last.empty() ? "" : " wrap", "\"><table>\n<thead>",
                   Row(header, "th", last.empty() ? "" : "left"), "</thead>\n<tbody>\n");
  for (const std::vector<std::string>& row : rows) html += Row(row, "td", last);
  return html + "</tbody>\n</table></div>\n";
}

// How many runs have the same texts; in the order of the texts.
template <typename TextsOf>
std::vector<std::vector<std::string>> CountRuns(const SweepResults& results, TextsOf texts_of) {
  std::map<std::vector<std::string>, size_t> counts;
  for (const SweepRun& run : results.runs) {
    const std::vector<std::string> texts = texts_of(run);
    if (!texts.empty()) ++counts[texts];
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [texts, count] : counts) {
    rows.push_back(texts);
    rows.back().insert(rows.back().begin() + 1, absl::StrCat(count));
  }
  return rows;
}

// The details' own words, or what the recipe is about where they only say "yes".
std::string EmulatedText(const SweepRun& run) {
  for (const absl::string_view yes : {"1", "true", "yes"}) {
    if (!absl::EqualsIgnoreCase(run.details.emulated, yes)) continue;
    const absl::StatusOr<amp::Recipe> recipe = amp::FindRecipe(absl::AsciiStrToLower(run.point.precision));
    return recipe.ok() ? std::string(recipe->about) : "yes";
  }
  return run.details.emulated;
}

class Page {
 public:
  Page(const SweepResults& results, const SweepSummary& summary) : results_(results), summary_(summary) {}

  std::string Write(absl::Span<const Plot> plots, absl::Span<const std::string> svgs,
                    absl::Span<const std::string> notices) {
    absl::StrAppend(
        &html_,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        "<title>Precisions compared</title>\n<style>",
        ReportPageStyle(), "</style>\n</head>\n<body>\n<h1>Precisions compared</h1>\n");
    WriteTop(notices);
    WriteSummary();
    WritePlots(plots, svgs);
    WriteTables();
    WriteFailures();
    WriteSetup();
    absl::StrAppend(&html_, "<script type=\"application/json\" id=\"data\">", PageData(results_, summary_),
                    "</script>\n<script>", ReportPageScript(), "</script>\n</body>\n</html>\n");
    return std::move(html_);
  }

 private:
  void WriteTop(absl::Span<const std::string> notices) {
    for (const std::string& best : BestTexts(results_, summary_)) {
      absl::StrAppend(&html_, "<p class=\"best\">", Html(best), ".</p>\n");
    }
    absl::StrAppend(&html_, "<p>", Html(CountsText(results_)), ".</p>\n");
    if (summary_.emulated) {
      html_ +=
          "<p>Some formats were emulated: accuracy is what they give, but time and measured memory are not "
          "what hardware "
          "that has them would take. <a href=\"#setup\">Which ones</a>.</p>\n";
    }
    for (const std::string& notice : notices) {
      absl::StrAppend(&html_, "<p class=\"notice\">", Html(notice), "</p>\n");
    }
    html_ +=
        "<nav><a href=\"#summary\">Summary</a><a href=\"#plots\">Plots</a><a href=\"#all-runs\">Runs</a>"
        "<a href=\"#all-epochs\">Epochs</a><a href=\"#failed\">Not finished</a><a "
        "href=\"#setup\">Setup</a></nav>\n";
  }

  void WriteSummary() {
    html_ += "<h2 id=\"summary\">Summary</h2>\n";
    const std::vector<SummaryTable> tables = SummaryTables(results_, summary_);
    for (size_t i = 0; i < tables.size(); ++i) {
      const SummaryTable& table = tables[i];
      const bool first = i == 0 || table.dataset != tables[i - 1].dataset;
      if (first) {
        absl::StrAppend(&html_, i > 0 ? "</div>\n" : "", "<h3>", Html(table.dataset),
                        "</h3>\n<div class=\"tables\">\n");
      }
      // The first one is the heading's own.
      absl::StrAppend(
          &html_, "<section>", first ? "" : absl::StrCat("<h3>", Html(table.title), "</h3>\n"),
          Table(table.header, table.rows),
          table.note.empty() ? "" : absl::StrCat("<p class=\"faint\">", Html(table.note), "</p>\n"),
          "</section>\n");
    }
    if (!tables.empty()) html_ += "</div>\n";
  }

  void WritePlots(absl::Span<const Plot> plots, absl::Span<const std::string> svgs) {
    html_ += "<h2 id=\"plots\">Plots</h2>\n";
    bool any = false;
    for (size_t i = 0; i < plots.size(); ++i) {
      if (svgs[i].empty()) continue;
      any = true;
      // As an image nothing in it runs, and its names do not meet the page's.
      absl::StrAppend(&html_, "<h3>", Html(plots[i].title),
                      "</h3>\n<figure><div class=\"scroll\"><img alt=\"", Html(plots[i].title),
                      "\" src=\"data:image/svg+xml;base64,", absl::Base64Escape(svgs[i]),
                      "\"></div><figcaption>", Html(plots[i].caption), "</figcaption></figure>\n");
    }
    html_ += any ? "<p class=\"faint\">The folder plots/ has them as PNG and SVG, with the gnuplot scripts "
                   "and data "
                   "that drew them.</p>\n"
             : plots.empty()
                 ? "<p>No run has come to the end of an epoch.</p>\n"
                 : "<p>None were drawn. The folder plots/ has their gnuplot scripts and data.</p>\n";
  }

  void WriteTables() {
    html_ +=
        "<h2 id=\"all-runs\">Runs</h2>\n<p class=\"faint\">Click a heading to sort, a run to see its config. "
        "Ratios and drops compare the means over seeds with the same model and activation in float32.</p>\n"
        "<div id=\"runs\"></div>\n<h2 id=\"all-epochs\">Epochs</h2>\n";
    size_t epochs = 0;
    for (const SweepRun& run : results_.runs) epochs += run.epochs.size();
    if (epochs > kMaxPageEpochs) {
      absl::StrAppend(&html_, "<p class=\"notice\">The first ", kMaxPageEpochs, " of ", epochs, "; ",
                      kResultsFile, " has all.</p>\n");
    }
    absl::StrAppend(
        &html_,
        "<div id=\"epochs\"></div>\n<noscript><p class=\"notice\">The tables of runs and epochs need "
        "JavaScript; ",
        kResultsFile,
        " holds the same.</p></noscript>\n"
        "<dialog id=\"run\" aria-label=\"A run\"><h3></h3><p class=\"faint\"></p><pre></pre>"
        "<button type=\"button\">Close</button></dialog>\n");
  }

  void WriteFailures() {
    html_ += "<h2 id=\"failed\">Not finished</h2>\n";
    std::vector<std::vector<std::string>> rows;
    size_t all = 0;
    for (const SweepRun& run : results_.runs) {
      if (!run.unfinished() || ++all > kMaxFailures) continue;
      const GridPoint& p = run.point;
      rows.push_back({absl::StrJoin({p.model, p.activation, p.dataset, p.precision}, ", "), run.seed,
                      absl::StrCat(run.epochs.size()), run.details.status, run.details.reason});
    }
    if (rows.empty()) {
      html_ += results_.detailed ? "<p>All runs finished.</p>\n" : kUnknown;
      return;
    }
    html_ += Table({"run", "seed", "epochs", "status", "reason"}, rows, "long");
    if (all > rows.size()) {
      absl::StrAppend(&html_, "<p class=\"faint\">And ", all - rows.size(),
                      " more: choose their status in the table of runs.</p>\n");
    }
  }

  void WriteSetup() {
    html_ += "<h2 id=\"setup\">Setup</h2>\n";
    const std::vector<std::vector<std::string>> machines = CountRuns(results_, [](const SweepRun& run) {
      const RunDetails& d = run.details;
      if (d.hardware.empty() && d.threads.empty() && d.version.empty()) return std::vector<std::string>();
      return std::vector<std::string>{d.hardware, d.threads, d.version};
    });
    if (!machines.empty()) {
      absl::StrAppend(&html_, "<h3>Hardware and version</h3>\n",
                      Table({"hardware", "runs", "threads", "version"}, machines));
    }
    const std::vector<std::vector<std::string>> emulated = CountRuns(results_, [](const SweepRun& run) {
      if (!IsEmulated(run.details)) return std::vector<std::string>();
      return std::vector<std::string>{run.point.precision, EmulatedText(run)};
    });
    html_ += "<h3>Emulated</h3>\n";
    if (!emulated.empty()) {
      html_ += Table({"precision", "runs", "in float32 arithmetic"}, emulated, "long");
    } else {
      html_ += results_.detailed ? "<p>Nothing.</p>\n" : kUnknown;
    }
    if (!results_.config.empty()) {
      std::vector<std::string> lines;
      for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(results_.config, "\n"), '\n')) {
        lines.push_back(Html(absl::StrReplaceAll(line, {{"\t", "  "}})));
      }
      absl::StrAppend(&html_, "<h3>sweep.textproto</h3>\n<pre>", absl::StrJoin(lines, "\n"), "</pre>\n");
    }
  }

  const SweepResults& results_;
  const SweepSummary& summary_;
  std::string html_;
};

}  // namespace

std::string ReportHtml(const SweepResults& results, const SweepSummary& summary, absl::Span<const Plot> plots,
                       absl::Span<const std::string> svgs, absl::Span<const std::string> notices) {
  return Page(results, summary).Write(plots, svgs, notices);
}

}  // namespace halftone::report

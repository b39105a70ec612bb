// The summary as tables of text, for the page and for Markdown.
#ifndef HALFTONE_TOOLS_REPORT_SUMMARY_TABLES_H_
#define HALFTONE_TOOLS_REPORT_SUMMARY_TABLES_H_

#include <string>
#include <vector>

#include "tools/report/results.h"
#include "tools/report/summary.h"

namespace halftone::report {

struct SummaryTable {
  std::string dataset, title, note;  // plain text, names as they are in the files
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // as many fields as the header; the first is a name
};

// For each data set: the precisions, then models by precisions: accuracy, and against float32 its drop, time
// and memory (seconds and MiB where there is no float32).
std::vector<SummaryTable> SummaryTables(const SweepResults& results, const SweepSummary& summary);

// "93.25" for 0.9325, "" for NaN; the others alike.
std::string PercentText(double fraction);
std::string RatioText(double ratio);

// "18 runs: 3 models, 1 activation, 2 data sets, 3 precisions; 1 did not finish".
std::string CountsText(const SweepResults& results);
// "Best on cifar10: 93.25 % by resnet18 with relu in fp32", a line a data set.
std::vector<std::string> BestTexts(const SweepResults& results, const SweepSummary& summary);

// summary.md: counts, the best, the tables. Names cannot break out of a cell.
std::string SummaryMarkdown(const SweepResults& results, const SweepSummary& summary);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_SUMMARY_TABLES_H_

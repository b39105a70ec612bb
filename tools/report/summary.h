// A sweep in a few numbers, each precision against float32.
#ifndef HALFTONE_TOOLS_REPORT_SUMMARY_H_
#define HALFTONE_TOOLS_REPORT_SUMMARY_H_

#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/report/results.h"

namespace halftone::report {

// Of the runs of a point of the grid: means over seeds; NaN where no run has the number. Runs that did not
// finish are counted, and their bits; half a training compares with nothing.
struct PointSummary {
  size_t runs = 0, unfinished = 0;
  double best_acc = NAN;                        // of each run the best epoch's test accuracy
  double final_acc = NAN;                       // the last epoch's
  double time = NAN;                            // the median epoch's seconds
  double memory = NAN, estimated_memory = NAN;  // the largest of any epoch, MiB
  double weight_bits = NAN;
  // Against the same model, activation and data set in float32; NaN without that.
  double drop = NAN;  // of best_acc: above 0 is worse than float32
  double time_ratio = NAN, memory_ratio = NAN, estimated_ratio = NAN;  // below 1 is better
};

// Of a group of points. Those without a float32 twin do not count in what is compared.
struct GroupSummary {
  size_t runs = 0, unfinished = 0;
  double best_acc = NAN;
  GridPoint best;       // where best_acc was reached
  double drop = NAN;    // best_acc of float32 in the same group but for the precision, less best_acc
  size_t compared = 0;  // points with a float32 twin
  double mean_drop = NAN, worst_drop = NAN;                                    // of the points compared
  double time_ratio = NAN, memory_ratio = NAN, estimated_ratio = NAN;          // geometric means of those
  double time = NAN, memory = NAN, estimated_memory = NAN, weight_bits = NAN;  // means of all points
};

struct SweepSummary {
  std::map<GridPoint, PointSummary> points;
  // Keys: {dataset, precision}, and {{dataset, model}, precision}.
  std::map<std::pair<std::string, std::string>, GroupSummary> by_precision;
  std::map<std::pair<std::pair<std::string, std::string>, std::string>, GroupSummary> by_model;
  bool compared = false;  // there are float32 runs
  bool emulated = false;  // of some run the details say so
};

SweepSummary Summarize(const SweepResults& results);

// Whether `emulated` of RunDetails tells of any: not "", "0", "false", "no", "none" or "native".
bool IsEmulated(const RunDetails& details);

}  // namespace halftone::report

#endif  // HALFTONE_TOOLS_REPORT_SUMMARY_H_

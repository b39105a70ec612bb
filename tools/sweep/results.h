// The two CSVs of a sweep.
//
//   final_results.csv   a row an epoch of a run that is well
//   run_details.csv     the same, before it is written to the other; and a row a run that failed
//
// The k-th row of final_results.csv belongs to the k-th row of run_details.csv whose status is "ok": that is
// how the seed of a row is known. The rows of a run are in the order of its epochs.
#ifndef HALFTONE_TOOLS_SWEEP_RESULTS_H_
#define HALFTONE_TOOLS_SWEEP_RESULTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tools/results/files.h"
#include "tools/sweep/grid.h"
#include "tools/sweep/growing_csv.h"
#include "train/proto/sweep_config.pb.h"

namespace halftone::sweep {

// A row of a run's metrics.csv, its numbers as they are written there.
struct EpochRow {
  int64_t epoch = 0;
  std::string train_accuracy, train_loss, test_accuracy, test_loss, seconds, loss_scale;
  double overflow_rate = 0;  // of this epoch's steps
  double peak_mebibytes = 0;
};

// Of <run folder>/metrics.csv; none if there is no such file.
absl::StatusOr<std::vector<EpochRow>> ReadMetrics(const std::string& path);

struct Row {
  size_t run = 0;  // its place in the grid
  int64_t epoch = 0;
  std::vector<std::string> details;
  std::vector<std::string> result;  // empty: the run failed in this epoch

  bool failed() const { return result.empty(); }
  const std::string& status() const;
  const std::string& reason() const;
  double seconds() const;  // of an epoch that is well
};

struct Results {
  std::vector<Row> rows;                       // in the order of the files
  int64_t results_size = 0, details_size = 0;  // bytes of these rows: the files may be longer
  std::vector<std::string> notes;              // a line each: what is to be cut off
};

// Errors name the file and the line: a row that no run of the grid has, rows out of order, files that do not
// fit.
absl::StatusOr<Results> ReadResults(const std::string& folder, absl::Span<const Run> runs);

class ResultsWriter {
 public:
  // Takes the files over, cut to what was read.
  static absl::StatusOr<std::unique_ptr<ResultsWriter>> Open(const std::string& folder,
                                                             const Results& results);

  // Both return the row as it was written.
  absl::StatusOr<Row> AddEpoch(size_t index, const Run& run, const EpochRow& epoch, const RunFacts& facts);
  // `facts` is empty if the run did not come so far. status: "failed" or "diverged".
  absl::StatusOr<Row> AddFailure(size_t index, const Run& run, int64_t epoch, const std::string& status,
                                 const std::string& reason, const RunFacts& facts);

 private:
  std::unique_ptr<CsvAppender> results_, details_;
};

// Both files anew, with these rows.
absl::Status WriteResults(const std::string& folder, absl::Span<const Row> rows);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_RESULTS_H_

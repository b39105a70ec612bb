#include "train/records/metrics.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone {
namespace {

constexpr char kHeader[] =
    "epoch,step,train_loss,train_acc,test_loss,test_acc,learning_rate,loss_scale,skipped_steps,seconds,"
    "images_per_second,peak_bytes";

std::string Row(const EpochMetrics& m) {
  return absl::StrFormat("%d,%d,%.9g,%.6f,%.9g,%.6f,%.9g,%.9g,%d,%.3f,%.1f,%d", m.epoch, m.step, m.train_loss,
                         m.train_accuracy, m.test_loss, m.test_accuracy, m.learning_rate, m.loss_scale,
                         m.skipped_steps, m.seconds, m.images_per_second, m.peak_bytes);
}

}  // namespace

absl::Status MetricsCsv::KeepEpochs(int64_t epochs) {
  rows_.clear();
  if (epochs == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path_));
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (lines[0] != kHeader) {
    return absl::DataLossError(absl::StrCat(path_, ":1: expected the header ", kHeader));
  }
  for (int64_t e = 1; e <= epochs; ++e) {
    if (e >= static_cast<int64_t>(lines.size()) || !absl::StartsWith(lines[e], absl::StrCat(e, ","))) {
      return absl::DataLossError(absl::StrCat(path_, ":", e + 1, ": expected the row of epoch ", e,
                                              ", which the checkpoint has behind it"));
    }
    rows_.push_back(lines[e]);
  }
  return absl::OkStatus();
}

absl::Status MetricsCsv::Append(const EpochMetrics& metrics) {
  rows_.push_back(Row(metrics));
  return WriteFileAtomically(path_, absl::StrCat(kHeader, "\n", absl::StrJoin(rows_, "\n"), "\n"));
}

}  // namespace halftone

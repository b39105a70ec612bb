#include "tools/sweep/results.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace halftone::sweep {
namespace {

constexpr size_t kKeyColumns = 4;  // model, activation, dataset, precision: of both files
constexpr size_t kEpoch = 4;       // of both files
constexpr size_t kTime = 9;        // of final_results.csv
constexpr size_t kSeed = 5, kStatus = 11, kReason = 12;  // of run_details.csv

std::string KeyOf(const Run& run) {
  return absl::StrJoin({run.model, run.activation, run.dataset, run.precision, absl::StrCat(run.seed)}, ",");
}
std::string KeyOf(const std::vector<std::string>& details) {
  return absl::StrCat(absl::StrJoin(details.begin(), details.begin() + kKeyColumns, ","), ",",
                      details[kSeed]);
}

std::vector<std::string> KeyFields(const Run& run, int64_t epoch) {
  return {run.model, run.activation, run.dataset, run.precision, absl::StrCat(epoch)};
}

std::vector<std::string> DetailFields(const Run& run, int64_t epoch, absl::string_view loss_scale,
                                      absl::string_view overflow_rate, const std::string& status,
                                      const std::string& reason, const RunFacts& facts) {
  std::vector<std::string> fields = KeyFields(run, epoch);
  const auto number = [](bool known, double value) { return known ? absl::StrFormat("%.5g", value) : ""; };
  for (const std::string& field :
       {absl::StrCat(run.seed), std::string(loss_scale), std::string(overflow_rate),
        number(facts.has_weight_bits(), facts.weight_bits()),
        number(facts.has_activation_bits(), facts.activation_bits()),
        std::string(!facts.has_emulated() ? ""
                    : facts.emulated()    ? "yes"
                                          : "no"),
        status, reason, facts.has_threads() ? absl::StrCat(facts.threads()) : std::string(), facts.hardware(),
        facts.version(), absl::StrCat("runs/", run.id)}) {
    fields.push_back(field);
  }
  return fields;
}

double EstimatedMebibytes(const MemoryEstimate& m) {
  return m.parameters() + m.gradients() + m.optimizer() + m.activations();
}

}  // namespace

const std::string& Row::status() const { return details[kStatus]; }
const std::string& Row::reason() const { return details[kReason]; }
double Row::seconds() const {
  double seconds = 0;
  return !failed() && absl::SimpleAtod(result[kTime], &seconds) ? seconds : 0;
}

absl::StatusOr<std::vector<EpochRow>> ReadMetrics(const std::string& path) {
  std::vector<EpochRow> rows;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return rows;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::map<absl::string_view, size_t> columns;
  for (const absl::string_view name : absl::StrSplit(lines.empty() ? "" : lines[0], ',')) {
    columns.emplace(name, columns.size());
  }
  int64_t steps_before = 0;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> fields = absl::StrSplit(lines[i], ',');
    bool complete = fields.size() == columns.size();
    const auto text_of = [&](absl::string_view name) {
      const auto at = columns.find(name);
      complete = complete && at != columns.end();
      return complete ? fields[at->second] : std::string();
    };
    const auto number = [&](absl::string_view name, int64_t* to) {
      complete = absl::SimpleAtoi(text_of(name), to) && complete;
    };
    EpochRow row = {.train_accuracy = text_of("train_acc"),
                    .train_loss = text_of("train_loss"),
                    .test_accuracy = text_of("test_acc"),
                    .test_loss = text_of("test_loss"),
                    .seconds = text_of("seconds"),
                    .loss_scale = text_of("loss_scale")};
    int64_t step = 0, skipped = 0, peak = 0;
    number("epoch", &row.epoch);
    number("step", &step);
    number("skipped_steps", &skipped);
    number("peak_bytes", &peak);
    if (!complete || row.epoch != static_cast<int64_t>(i)) {
      return absl::DataLossError(absl::StrCat(path, ":", i + 1, ": not the row of epoch ", i));
    }
    row.overflow_rate =
        static_cast<double>(skipped) / static_cast<double>(std::max<int64_t>(1, step - steps_before));
    row.peak_mebibytes = static_cast<double>(peak) / (1 << 20);
    steps_before = step;
    rows.push_back(std::move(row));
  }
  return rows;
}

absl::StatusOr<Results> ReadResults(const std::string& folder, absl::Span<const Run> runs) {
  const std::string results_path = absl::StrCat(folder, "/", kResultsFile);
  const std::string details_path = absl::StrCat(folder, "/", kDetailsFile);
  ASSIGN_OR_RETURN(CsvFile results, ReadCsv(results_path, kResultsHeader));
  ASSIGN_OR_RETURN(CsvFile details, ReadCsv(details_path, kDetailsHeader));
  std::map<std::string, size_t> grid;
  for (size_t i = 0; i < runs.size(); ++i) grid[KeyOf(runs[i])] = i;

  Results read = {.results_size = results.size, .details_size = details.size};
  const auto cut_in_row = [&](const std::string& path, const std::string& cut) {
    if (cut.empty()) return;
    read.notes.push_back(
        absl::StrCat(path, " ended in the middle of a row, which is cut off: ", cut.substr(0, 60)));
  };
  cut_in_row(results_path, results.cut);
  cut_in_row(details_path, details.cut);
  std::map<size_t, int64_t> epochs;
  size_t matched = 0;
  for (size_t i = 0; i < details.rows.size(); ++i) {
    std::vector<std::string>& fields = details.rows[i].fields;
    const auto refuse = [&](absl::string_view what) {
      return absl::DataLossError(absl::StrCat(details_path, ":", i + 2, ": ", what));
    };
    const auto run = grid.find(KeyOf(fields));
    if (run == grid.end()) return refuse(absl::StrCat("no run of this sweep is ", KeyOf(fields)));
    Row row = {.run = run->second};
    if (!absl::SimpleAtoi(fields[kEpoch], &row.epoch) || row.epoch != epochs[row.run] + 1) {
      return refuse(absl::StrCat("expected epoch ", epochs[row.run] + 1, ", not ", fields[kEpoch]));
    }
    if (fields[kStatus] == kStatusOk) {
      if (matched == results.rows.size()) {
        // The other half was never written: the epoch is taken from the run's own files again.
        constexpr int64_t kHeaderLine = sizeof(kDetailsHeader);  // its end is a line's end
        read.details_size = i == 0 ? kHeaderLine : static_cast<int64_t>(details.rows[i - 1].end);
        read.notes.push_back(absl::StrCat(details_path, " has ", details.rows.size() - i,
                                          " row(s) more than ", kResultsFile, ", which are cut off"));
        break;
      }
      row.result = std::move(results.rows[matched++].fields);
      if (!std::equal(row.result.begin(), row.result.begin() + kEpoch + 1, fields.begin())) {
        return absl::DataLossError(absl::StrCat(results_path, ":", matched + 1,
                                                ": not of the run and epoch of ", details_path, ":", i + 2));
      }
      ++epochs[row.run];
    }
    row.details = std::move(fields);
    read.rows.push_back(std::move(row));
  }
  if (matched < results.rows.size()) {
    return absl::DataLossError(absl::StrCat(results_path, ":", matched + 2, ": has no row in ", kDetailsFile,
                                            "; both files belong together"));
  }
  return read;
}

absl::StatusOr<std::unique_ptr<ResultsWriter>> ResultsWriter::Open(const std::string& folder,
                                                                   const Results& results) {
  auto writer = std::make_unique<ResultsWriter>();
  ASSIGN_OR_RETURN(writer->details_, CsvAppender::Open(absl::StrCat(folder, "/", kDetailsFile),
                                                       kDetailsHeader, results.details_size));
  ASSIGN_OR_RETURN(writer->results_, CsvAppender::Open(absl::StrCat(folder, "/", kResultsFile),
                                                       kResultsHeader, results.results_size));
  return writer;
}

absl::StatusOr<Row> ResultsWriter::AddEpoch(size_t index, const Run& run, const EpochRow& epoch,
                                            const RunFacts& facts) {
  Row row = {.run = index, .epoch = epoch.epoch, .result = KeyFields(run, epoch.epoch)};
  row.details = DetailFields(run, epoch.epoch, epoch.loss_scale, absl::StrFormat("%.6g", epoch.overflow_rate),
                             kStatusOk, "", facts);
  for (const std::string& field :
       {epoch.train_accuracy, epoch.train_loss, epoch.test_accuracy, epoch.test_loss, epoch.seconds,
        absl::StrFormat("%.3f", epoch.peak_mebibytes),
        absl::StrFormat("%.3f", EstimatedMebibytes(facts.memory()))}) {
    row.result.push_back(field);
  }
  RETURN_IF_ERROR(details_->Append(row.details));
  RETURN_IF_ERROR(results_->Append(row.result));
  return row;
}

absl::StatusOr<Row> ResultsWriter::AddFailure(size_t index, const Run& run, int64_t epoch,
                                              const std::string& status, const std::string& reason,
                                              const RunFacts& facts) {
  Row row = {.run = index, .epoch = epoch};
  row.details = DetailFields(run, epoch, "", "", status, reason, facts);
  RETURN_IF_ERROR(details_->Append(row.details));
  return row;
}

absl::Status WriteResults(const std::string& folder, absl::Span<const Row> rows) {
  std::string results = absl::StrCat(kResultsHeader, "\n"), details = absl::StrCat(kDetailsHeader, "\n");
  for (const Row& row : rows) {
    absl::StrAppend(&details, CsvLine(row.details), "\n");
    if (!row.failed()) absl::StrAppend(&results, CsvLine(row.result), "\n");
  }
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(folder, "/", kDetailsFile), details));
  return WriteFileAtomically(absl::StrCat(folder, "/", kResultsFile), results);
}

}  // namespace halftone::sweep

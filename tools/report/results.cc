#include "tools/report/results.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "tools/results/csv.h"
#include "tools/results/files.h"
#include "tools/text.h"

namespace halftone::report {
namespace {

constexpr size_t kResultColumns = 12;
constexpr int64_t kMaxConfigBytes = 64 << 10;

constexpr std::pair<absl::string_view, double Epoch::*> kEpochNumbers[] = {
    {"train_acc", &Epoch::train_acc},
    {"train_loss", &Epoch::train_loss},
    {"test_acc", &Epoch::test_acc},
    {"test_loss", &Epoch::test_loss},
    {"time", &Epoch::time},
    {"memory", &Epoch::memory},
    {"estimated_memory", &Epoch::estimated_memory},
};

constexpr std::pair<absl::string_view, std::string RunDetails::*> kDetailTexts[] = {
    {"status", &RunDetails::status},     {"reason", &RunDetails::reason},
    {"emulated", &RunDetails::emulated}, {"threads", &RunDetails::threads},
    {"hardware", &RunDetails::hardware}, {"version", &RunDetails::version},
    {"run", &RunDetails::run},
};

bool IsSuccess(absl::string_view status) {
  for (const absl::string_view success : {"", kStatusOk, "done", "finished", "complete", "completed"}) {
    if (absl::EqualsIgnoreCase(status, success)) return true;
  }
  return false;
}

// What is wrong with a file's rows, told in one line however many there are.
struct Damage {
  size_t rows = 0, first_line = 0;
  std::string first_reason;

  void Add(size_t line, std::string reason) {
    if (rows++ == 0) {
      first_line = line;
      first_reason = std::move(reason);
    }
  }
};

void WarnOfDamage(absl::string_view file, const Damage& damage, const Csv& csv,
                  std::vector<std::string>& warnings) {
  if (damage.rows > 0) {
    warnings.push_back(absl::StrCat(file, ": ", Plural(damage.rows, "damaged row"), " left out; line ",
                                    damage.first_line, ": ", damage.first_reason));
  }
  if (csv.cut_line > 0) {
    warnings.push_back(absl::StrCat(file, ": line ", csv.cut_line,
                                    " has no end, as if the writing was cut off; it is left out"));
  }
}

// An empty field is NaN.
bool ReadNumber(absl::string_view text, double& value) {
  value = NAN;
  return absl::StripAsciiWhitespace(text).empty() || absl::SimpleAtod(text, &value);
}

bool ReadEpochNumber(absl::string_view text, int& epoch) {
  return absl::SimpleAtoi(text, &epoch) && epoch >= 0;
}

struct ResultRow {
  GridPoint point;
  Epoch epoch;
};

// "" or what is wrong.
std::string ReadResultRow(const CsvRow& row, ResultRow& result) {
  const std::vector<std::string>& fields = row.fields;
  if (!row.flaw.empty()) return row.flaw;
  if (fields.size() != kResultColumns) {
    return absl::StrCat(fields.size(), " fields, expected ", kResultColumns);
  }
  result.point = {fields[0], fields[1], fields[2], fields[3]};
  if (!ReadEpochNumber(fields[4], result.epoch.epoch)) {
    return absl::StrCat("epoch \"", fields[4], "\" is not a number");
  }
  for (size_t i = 0; i < std::size(kEpochNumbers); ++i) {
    const auto& [name, member] = kEpochNumbers[i];
    if (!ReadNumber(fields[5 + i], result.epoch.*member)) {
      return absl::StrCat(name, " \"", fields[5 + i], "\" is not a number");
    }
  }
  return "";
}

struct DetailRow {
  GridPoint point;
  int epoch = 0;
  std::string seed;
  double loss_scale = NAN, overflow_rate = NAN;
  RunDetails details;
};

// Columns by their names: another version's file may have more or fewer.
class DetailColumns {
 public:
  explicit DetailColumns(const std::vector<std::string>& header) : count_(header.size()) {
    for (size_t i = 0; i < header.size(); ++i) columns_.emplace(header[i], i);
  }

  bool Has(const std::string& name) const { return columns_.count(name) > 0; }

  absl::string_view Field(const CsvRow& row, absl::string_view name) const {
    const auto found = columns_.find(std::string(name));
    if (found == columns_.end() || found->second >= row.fields.size()) return "";
    return row.fields[found->second];
  }

  std::string Read(const CsvRow& row, DetailRow& detail) const {
    if (!row.flaw.empty()) return row.flaw;
    if (row.fields.size() != count_) {
      return absl::StrCat(row.fields.size(), " fields, expected ", count_);
    }
    detail.point = {std::string(Field(row, "model")), std::string(Field(row, "activation")),
                    std::string(Field(row, "dataset")), std::string(Field(row, "precision"))};
    const absl::string_view epoch = Field(row, "epoch");
    if (!epoch.empty() && !ReadEpochNumber(epoch, detail.epoch)) {
      return absl::StrCat("epoch \"", epoch, "\" is not a number");
    }
    detail.seed = std::string(Field(row, "seed"));
    RunDetails& details = detail.details;
    const std::pair<absl::string_view, double*> numbers[] = {{"loss_scale", &detail.loss_scale},
                                                             {"overflow_rate", &detail.overflow_rate},
                                                             {"weight_bits", &details.weight_bits},
                                                             {"activation_bits", &details.activation_bits}};
    for (const auto& [name, number] : numbers) {
      if (!ReadNumber(Field(row, name), *number)) {
        return absl::StrCat(name, " \"", Field(row, name), "\" is not a number");
      }
    }
    for (const auto& [name, member] : kDetailTexts) details.*member = std::string(Field(row, name));
    return "";
  }

 private:
  size_t count_;
  std::map<std::string, size_t> columns_;
};

// Puts rows together to runs. The results have no seed: the n-th row of a point and an epoch there belongs to
// the n-th such row of the details that tells of success (a failure has no results). Where the details do not
// tell, a row continues the first run of its point that ended an epoch earlier.
class Assembler {
 public:
  void Add(std::vector<DetailRow> details) {
    details_ = std::move(details);
    for (const DetailRow& row : details_) {
      if (IsSuccess(row.details.status)) rows_[{row.point, row.epoch}].push_back(&row);
    }
  }

  void Add(ResultRow row) {
    size_t& taken = taken_[{row.point, row.epoch.epoch}];
    const auto rows = rows_.find({row.point, row.epoch.epoch});
    SweepRun* run = nullptr;
    if (rows != rows_.end() && taken < rows->second.size()) {
      const DetailRow& detail = *rows->second[taken];
      row.epoch.loss_scale = detail.loss_scale;
      row.epoch.overflow_rate = detail.overflow_rate;
      run = &RunOf(row.point, detail.seed);
    } else {
      run = &RunBefore(row.point, row.epoch.epoch);
    }
    ++taken;
    run->epochs.push_back(row.epoch);
  }

  std::vector<SweepRun> Finish() {
    for (DetailRow& row : details_) RunOf(row.point, row.seed).details = std::move(row.details);
    for (SweepRun& run : runs_) {
      std::stable_sort(run.epochs.begin(), run.epochs.end(),
                       [](const Epoch& a, const Epoch& b) { return a.epoch < b.epoch; });
    }
    return std::move(runs_);
  }

 private:
  SweepRun& RunOf(const GridPoint& point, const std::string& seed) {
    std::vector<size_t>& of_point = by_point_[point];
    for (const size_t i : of_point) {
      if (runs_[i].seed == seed) return runs_[i];
    }
    of_point.push_back(runs_.size());
    return runs_.emplace_back(SweepRun{.point = point, .seed = seed});
  }

  SweepRun& RunBefore(const GridPoint& point, int epoch) {
    std::vector<size_t>& of_point = by_point_[point];
    for (const size_t i : of_point) {
      if (!runs_[i].epochs.empty() && runs_[i].epochs.back().epoch == epoch - 1) return runs_[i];
    }
    return RunOf(point, absl::StrCat("#", of_point.size() + 1));
  }

  std::vector<SweepRun> runs_;
  std::map<GridPoint, std::vector<size_t>> by_point_;
  std::vector<DetailRow> details_;
  std::map<std::pair<GridPoint, int>, std::vector<const DetailRow*>> rows_;
  std::map<std::pair<GridPoint, int>, size_t> taken_;
};

absl::StatusOr<std::vector<ResultRow>> ReadResultRows(const std::string& path,
                                                      std::vector<std::string>& warnings) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const Csv csv = ParseCsv(bytes);
  if (csv.rows.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path,
                                                   csv.cut_line > 0 ? " has no whole line" : " is empty",
                                                   "; expected the columns ", kResultsHeader));
  }
  const std::string header = absl::StrJoin(csv.rows[0].fields, ",");
  if (header != kResultsHeader) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the columns are \"", ShortenEnd(Printable(header), 120), "\"; expected ", kResultsHeader));
  }
  std::vector<ResultRow> results;
  Damage damage;
  for (size_t i = 1; i < csv.rows.size(); ++i) {
    ResultRow result;
    std::string wrong = ReadResultRow(csv.rows[i], result);
    if (wrong.empty()) {
      results.push_back(std::move(result));
    } else {
      damage.Add(csv.rows[i].line, std::move(wrong));
    }
  }
  WarnOfDamage(kResultsFile, damage, csv, warnings);
  return results;
}

// Details are a help, not a need: whatever is wrong with them is a warning.
std::vector<DetailRow> ReadDetailRows(const std::string& path, std::vector<std::string>& warnings) {
  const absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) {
    warnings.push_back(absl::StrCat("no ", kDetailsFile,
                                    ": seeds, failed runs, hardware and what was emulated are not known"));
    return {};
  }
  const Csv csv = ParseCsv(*bytes);
  if (csv.rows.empty()) return {};
  const DetailColumns columns(csv.rows[0].fields);
  for (const char* needed : {"model", "activation", "dataset", "precision", "epoch", "seed"}) {
    if (columns.Has(needed)) continue;
    warnings.push_back(absl::StrCat(kDetailsFile, " has no column \"", needed, "\"; it is left out"));
    return {};
  }
  std::vector<DetailRow> rows;
  Damage damage;
  for (size_t i = 1; i < csv.rows.size(); ++i) {
    DetailRow row;
    std::string wrong = columns.Read(csv.rows[i], row);
    if (wrong.empty()) {
      rows.push_back(std::move(row));
    } else {
      damage.Add(csv.rows[i].line, std::move(wrong));
    }
  }
  WarnOfDamage(kDetailsFile, damage, csv, warnings);
  return rows;
}

// "" where there is none, or one too large to show.
std::string ReadConfig(const std::string& path) {
  const absl::StatusOr<int64_t> size = FileSize(path);
  if (!size.ok() || *size > kMaxConfigBytes) return "";
  return ReadFile(path).value_or("");
}

// Where a run lies is told relative to the sweep's folder: "runs/cnn", or "../shard1/runs/cnn" of one that
// was merged.
bool IsRelativePath(absl::string_view path) {
  return !path.empty() && path[0] != '/' && !absl::StrContains(path, '\0');
}

// Runs of a model and a data set train for as many epochs, unless the sweep is not at its end.
void WarnOfShortRuns(const std::vector<SweepRun>& runs, std::vector<std::string>& warnings) {
  std::map<std::pair<std::string, std::string>, size_t> epochs;
  for (const SweepRun& run : runs) {
    size_t& most = epochs[{run.point.model, run.point.dataset}];
    most = std::max(most, run.epochs.size());
  }
  size_t count = 0;
  for (const SweepRun& run : runs) {
    count += !run.unfinished() && run.epochs.size() < epochs[{run.point.model, run.point.dataset}];
  }
  if (count == 0) return;
  warnings.push_back(
      absl::StrCat(Plural(count, "run"), count == 1 ? " has" : " have",
                   " fewer epochs than others of the same model and data set, as if the sweep were not "
                   "at its end; summaries take what is there"));
}

void AddName(const std::string& name, std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

template <typename Range, typename Get>
double Largest(const Range& range, Get get) {
  double largest = NAN;
  for (const auto& element : range) largest = std::fmax(largest, get(element));  // fmax passes NaN over
  return largest;
}

}  // namespace

bool SweepRun::unfinished() const { return !IsSuccess(details.status); }

double SweepRun::weight_bits() const {
  return details.weight_bits > 0 ? details.weight_bits : BitsInName(point.precision);
}

double SweepRun::best_test_acc() const {
  return Largest(epochs, [](const Epoch& e) { return e.test_acc; });
}

int SweepRun::best_epoch() const {
  const double best = best_test_acc();
  for (const Epoch& epoch : epochs) {
    if (epoch.test_acc == best) return epoch.epoch;
  }
  return 0;
}

double SweepRun::median_time() const {
  std::vector<double> times;
  for (const Epoch& epoch : epochs) {
    if (!std::isnan(epoch.time)) times.push_back(epoch.time);
  }
  if (times.empty()) return NAN;
  std::sort(times.begin(), times.end());
  return (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2;
}

double SweepRun::peak_memory() const {
  return Largest(epochs, [](const Epoch& e) { return e.memory; });
}

double SweepRun::estimated_memory() const {
  return Largest(epochs, [](const Epoch& e) { return e.estimated_memory; });
}

bool IsFloat32(absl::string_view precision) {
  return absl::EqualsIgnoreCase(precision, "fp32") || absl::EqualsIgnoreCase(precision, "float32");
}

double BitsInName(absl::string_view precision) {
  const auto is_digit = [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); };
  const auto begin = std::find_if(precision.begin(), precision.end(), is_digit);
  const auto end = std::find_if_not(begin, precision.end(), is_digit);
  int bits = 0;
  // "e4m3" tells of exponents.
  const bool exponent = begin != precision.begin() && begin != precision.end() &&
                        absl::ascii_tolower(static_cast<unsigned char>(*(begin - 1))) == 'e';
  if (exponent || !absl::SimpleAtoi(precision.substr(begin - precision.begin(), end - begin), &bits))
    return NAN;
  return bits >= 1 && bits <= 64 ? bits : NAN;
}

absl::StatusOr<SweepResults> ReadSweepResults(const std::string& folder) {
  const std::filesystem::path directory = folder;
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) {
    return absl::NotFoundError(
        absl::StrCat(folder, " is not a folder; expected a sweep's, with its ", kResultsFile));
  }
  SweepResults results;
  ASSIGN_OR_RETURN(std::vector<ResultRow> rows, ReadResultRows(directory / kResultsFile, results.warnings));
  Assembler assembler;
  std::vector<DetailRow> details = ReadDetailRows(directory / kDetailsFile, results.warnings);
  results.detailed = !details.empty();
  assembler.Add(std::move(details));
  for (ResultRow& row : rows) assembler.Add(std::move(row));
  results.runs = assembler.Finish();
  if (results.runs.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat((directory / kResultsFile).string(), " has no whole row; run the sweep first"));
  }
  results.config = ReadConfig(directory / kSweepConfigFile);
  std::map<std::string, double> bits;
  for (SweepRun& run : results.runs) {
    AddName(run.point.model, results.models);
    AddName(run.point.activation, results.activations);
    AddName(run.point.dataset, results.datasets);
    AddName(run.point.precision, results.precisions);
    bits.emplace(run.point.precision, IsFloat32(run.point.precision) ? INFINITY : run.weight_bits());
    if (IsRelativePath(run.details.run)) {
      run.config = ReadConfig(directory / run.details.run / "config.textproto");
    }
  }
  WarnOfShortRuns(results.runs, results.warnings);
  const auto rank = [&](const std::string& name) { return std::isnan(bits[name]) ? 0 : bits[name]; };
  std::stable_sort(results.precisions.begin(), results.precisions.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) > rank(b); });
  return results;
}

}  // namespace halftone::report

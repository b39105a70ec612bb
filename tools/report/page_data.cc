#include "tools/report/page_data.h"

#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "tools/text.h"

namespace halftone::report {
namespace {

using Json = nlohmann::json;

// A column of text: each text once, rows by number.
class TextColumn {
 public:
  TextColumn(const char* id, const char* title) : json_({{"id", id}, {"title", title}}) {
    json_["values"] = Json::array();
    json_["rows"] = Json::array();
  }

  void Add(const std::string& text) {
    const auto [at, added] = numbers_.emplace(text, numbers_.size());
    if (added) json_["values"].push_back(Printable(text));
    json_["rows"].push_back(at->second);
  }
  Json Take() { return std::move(json_); }

 private:
  Json json_;
  std::map<std::string, size_t> numbers_;
};

class NumberColumn {
 public:
  NumberColumn(const char* id, const char* title, const char* kind)
      : json_({{"id", id}, {"title", title}, {"kind", kind}}) {
    json_["rows"] = Json::array();
  }

  void Add(double value) { json_["rows"].push_back(std::isfinite(value) ? Json(value) : Json()); }
  Json Take() { return std::move(json_); }

 private:
  Json json_;
};

// What names a run, in both tables.
class NameColumns {
 public:
  void Add(const SweepRun& run) {
    model_.Add(run.point.model);
    activation_.Add(run.point.activation);
    dataset_.Add(run.point.dataset);
    precision_.Add(run.point.precision);
    seed_.Add(run.seed);
  }
  Json Take() {
    return Json::array({model_.Take(), activation_.Take(), dataset_.Take(), precision_.Take(), seed_.Take()});
  }

 private:
  TextColumn model_{"model", "model"}, activation_{"activation", "activation"},
      dataset_{"dataset", "data set"}, precision_{"precision", "precision"}, seed_{"seed", "seed"};
};

template <typename T>
struct NumberOf {
  const char *id, *title, *kind;
  double (*get)(const T&);
};

struct RunAndPoint {
  const SweepRun& run;
  const PointSummary& point;
};

constexpr NumberOf<RunAndPoint> kRunNumbers[] = {
    {"epochs", "epochs", "count",
     [](const RunAndPoint& r) { return static_cast<double>(r.run.epochs.size()); }},
    {"best", "best test accuracy, %", "percent", [](const RunAndPoint& r) { return r.run.best_test_acc(); }},
    {"at", "in epoch", "count",
     [](const RunAndPoint& r) {
       return r.run.best_epoch() > 0 ? static_cast<double>(r.run.best_epoch()) : NAN;
     }},
    {"last", "last test accuracy, %", "percent",
     [](const RunAndPoint& r) { return r.run.epochs.empty() ? NAN : r.run.epochs.back().test_acc; }},
    {"drop", "drop against float32, points", "percent", [](const RunAndPoint& r) { return r.point.drop; }},
    {"time", "seconds an epoch", "number", [](const RunAndPoint& r) { return r.run.median_time(); }},
    {"time_ratio", "time against float32", "ratio", [](const RunAndPoint& r) { return r.point.time_ratio; }},
    {"memory", "memory, MiB", "number", [](const RunAndPoint& r) { return r.run.peak_memory(); }},
    {"estimated", "estimated memory, MiB", "number",
     [](const RunAndPoint& r) { return r.run.estimated_memory(); }},
    {"memory_ratio", "memory against float32", "ratio",
     [](const RunAndPoint& r) { return r.point.memory_ratio; }},
    {"weight_bits", "bits of a weight", "number", [](const RunAndPoint& r) { return r.run.weight_bits(); }},
};

constexpr NumberOf<Epoch> kEpochNumbers[] = {
    {"epoch", "epoch", "count", [](const Epoch& e) { return static_cast<double>(e.epoch); }},
    {"train_acc", "training accuracy, %", "percent", [](const Epoch& e) { return e.train_acc; }},
    {"train_loss", "training loss", "number", [](const Epoch& e) { return e.train_loss; }},
    {"test_acc", "test accuracy, %", "percent", [](const Epoch& e) { return e.test_acc; }},
    {"test_loss", "test loss", "number", [](const Epoch& e) { return e.test_loss; }},
    {"time", "seconds", "number", [](const Epoch& e) { return e.time; }},
    {"memory", "memory, MiB", "number", [](const Epoch& e) { return e.memory; }},
    {"estimated", "estimated memory, MiB", "number", [](const Epoch& e) { return e.estimated_memory; }},
    {"scale", "loss scale", "number", [](const Epoch& e) { return e.loss_scale; }},
    {"overflow", "overflowing steps, %", "percent", [](const Epoch& e) { return e.overflow_rate; }},
};

template <typename T, size_t kCount>
std::vector<NumberColumn> ColumnsOf(const NumberOf<T> (&numbers)[kCount]) {
  std::vector<NumberColumn> columns;
  for (const NumberOf<T>& number : numbers) columns.emplace_back(number.id, number.title, number.kind);
  return columns;
}

Json RunsTable(const SweepResults& results, const SweepSummary& summary) {
  NameColumns names;
  TextColumn status("status", "status"), emulated("emulated", "emulated");
  std::vector<NumberColumn> numbers = ColumnsOf(kRunNumbers);
  for (const SweepRun& run : results.runs) {
    names.Add(run);
    status.Add(run.details.status);
    emulated.Add(run.details.emulated);
    const RunAndPoint both = {run, summary.points.at(run.point)};
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i].Add(kRunNumbers[i].get(both));
  }
  Json table = names.Take();
  table.push_back(status.Take());
  for (NumberColumn& column : numbers) table.push_back(column.Take());
  table.push_back(emulated.Take());
  return table;
}

Json EpochsTable(const SweepResults& results) {
  NameColumns names;
  std::vector<NumberColumn> numbers = ColumnsOf(kEpochNumbers);
  size_t rows = 0;
  for (const SweepRun& run : results.runs) {
    for (const Epoch& epoch : run.epochs) {
      if (rows++ >= kMaxPageEpochs) break;
      names.Add(run);
      for (size_t i = 0; i < numbers.size(); ++i) numbers[i].Add(kEpochNumbers[i].get(epoch));
    }
  }
  Json table = names.Take();
  for (NumberColumn& column : numbers) table.push_back(column.Take());
  return table;
}

}  // namespace

std::string PageData(const SweepResults& results, const SweepSummary& summary) {
  Json data = {{"runs", RunsTable(results, summary)}, {"epochs", EpochsTable(results)}};
  data["configs"] = Json::array();
  std::map<std::string, size_t> numbers;
  Json texts = Json::array();
  for (const SweepRun& run : results.runs) {
    Json config = Json::array();
    for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(run.config, "\n"), '\n')) {
      if (run.config.empty()) break;
      const auto [at, added] = numbers.emplace(std::string(line), numbers.size());
      if (added) texts.push_back(Printable(absl::StrReplaceAll(line, {{"\t", "  "}})));
      config.push_back(at->second);
    }
    data["configs"].push_back(std::move(config));
  }
  data["lines"] = std::move(texts);
  // A "<" could end the element that holds the data.
  return absl::StrReplaceAll(data.dump(), {{"<", "\\u003c"}});
}

}  // namespace halftone::report

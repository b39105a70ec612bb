#include "tools/report/summary.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace halftone::report {
namespace {

// Means of what is a number.
class Mean {
 public:
  void Add(double value) {
    if (std::isnan(value)) return;
    sum_ += value;
    ++count_;
  }
  double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : NAN; }

 private:
  double sum_ = 0;
  size_t count_ = 0;
};

// Ratios multiply: twice as slow and twice as fast make 1.
class GeometricMean {
 public:
  void Add(double ratio) {
    if (ratio > 0 && std::isfinite(ratio)) logs_.Add(std::log(ratio));
  }
  double mean() const { return std::exp(logs_.mean()); }

 private:
  Mean logs_;
};

double Ratio(double value, double to) { return to > 0 && value > 0 ? value / to : NAN; }

PointSummary SummarizeRuns(const std::vector<const SweepRun*>& runs) {
  PointSummary point = {.runs = runs.size()};
  Mean best, final, time, memory, estimated, bits;
  for (const SweepRun* run : runs) {
    bits.Add(run->weight_bits());
    if (run->unfinished()) {
      ++point.unfinished;
      continue;
    }
    best.Add(run->best_test_acc());
    if (!run->epochs.empty()) final.Add(run->epochs.back().test_acc);
    time.Add(run->median_time());
    memory.Add(run->peak_memory());
    estimated.Add(run->estimated_memory());
  }
  point.best_acc = best.mean();
  point.final_acc = final.mean();
  point.time = time.mean();
  point.memory = memory.mean();
  point.estimated_memory = estimated.mean();
  point.weight_bits = bits.mean();
  return point;
}

GroupSummary SummarizeGroup(const std::vector<std::pair<const GridPoint*, const PointSummary*>>& points) {
  GroupSummary group;
  Mean time, memory, estimated, drop, bits;
  GeometricMean time_ratio, memory_ratio, estimated_ratio;
  for (const auto& [name, point] : points) {
    group.runs += point->runs;
    group.unfinished += point->unfinished;
    bits.Add(point->weight_bits);
    if (point->best_acc > group.best_acc || (std::isnan(group.best_acc) && !std::isnan(point->best_acc))) {
      group.best_acc = point->best_acc;
      group.best = *name;
    }
    group.compared += !std::isnan(point->drop);
    drop.Add(point->drop);
    group.worst_drop = std::fmax(group.worst_drop, point->drop);
    time.Add(point->time);
    memory.Add(point->memory);
    estimated.Add(point->estimated_memory);
    time_ratio.Add(point->time_ratio);
    memory_ratio.Add(point->memory_ratio);
    estimated_ratio.Add(point->estimated_ratio);
  }
  group.mean_drop = drop.mean();
  group.time = time.mean();
  group.memory = memory.mean();
  group.estimated_memory = estimated.mean();
  group.time_ratio = time_ratio.mean();
  group.memory_ratio = memory_ratio.mean();
  group.estimated_ratio = estimated_ratio.mean();
  group.weight_bits = bits.mean();
  return group;
}

// Groups by a key of points that holds no precision; fills `drop` of each.
template <typename Key, typename KeyOf>
std::map<std::pair<Key, std::string>, GroupSummary> SummarizeBy(
    const std::map<GridPoint, PointSummary>& points, KeyOf key_of) {
  std::map<std::pair<Key, std::string>, std::vector<std::pair<const GridPoint*, const PointSummary*>>> groups;
  for (const auto& [name, point] : points) groups[{key_of(name), name.precision}].push_back({&name, &point});
  std::map<std::pair<Key, std::string>, GroupSummary> summaries;
  std::map<Key, double> float32;
  for (const auto& [key, group] : groups) {
    const GroupSummary& summary = summaries[key] = SummarizeGroup(group);
    if (IsFloat32(key.second)) float32[key.first] = summary.best_acc;
  }
  for (auto& [key, summary] : summaries) {
    const auto base = float32.find(key.first);
    if (base != float32.end()) summary.drop = base->second - summary.best_acc;
  }
  return summaries;
}

}  // namespace

bool IsEmulated(const RunDetails& details) {
  for (const absl::string_view no : {"", "0", "false", "no", "none", "native"}) {
    if (absl::EqualsIgnoreCase(details.emulated, no)) return false;
  }
  return true;
}

SweepSummary Summarize(const SweepResults& results) {
  SweepSummary summary;
  std::map<GridPoint, std::vector<const SweepRun*>> runs;
  for (const SweepRun& run : results.runs) {
    runs[run.point].push_back(&run);
    summary.emulated |= IsEmulated(run.details);
  }
  for (const auto& [name, of_point] : runs) summary.points[name] = SummarizeRuns(of_point);
  const auto float32 = std::find_if(results.precisions.begin(), results.precisions.end(),
                                    [](const std::string& p) { return IsFloat32(p); });
  if (float32 != results.precisions.end()) {
    summary.compared = true;
    for (auto& [name, point] : summary.points) {
      GridPoint twin = name;
      twin.precision = *float32;
      const auto base = summary.points.find(twin);
      if (base == summary.points.end()) continue;
      point.drop = base->second.best_acc - point.best_acc;
      point.time_ratio = Ratio(point.time, base->second.time);
      point.memory_ratio = Ratio(point.memory, base->second.memory);
      point.estimated_ratio = Ratio(point.estimated_memory, base->second.estimated_memory);
    }
  }
  summary.by_precision =
      SummarizeBy<std::string>(summary.points, [](const GridPoint& p) { return p.dataset; });
  summary.by_model = SummarizeBy<std::pair<std::string, std::string>>(
      summary.points, [](const GridPoint& p) { return std::pair(p.dataset, p.model); });
  return summary;
}

}  // namespace halftone::report

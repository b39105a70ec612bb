#include "tools/report/sample_results.h"

#include <string>
#include <utility>
#include <vector>

namespace halftone::report {
namespace {

struct Costs {
  double time, memory, estimated;
};

SweepRun MakeRun(GridPoint point, std::string seed, const std::vector<double>& accuracies,
                 const Costs& costs) {
  SweepRun run = {.point = std::move(point), .seed = std::move(seed)};
  run.details = {.status = "ok", .emulated = "no", .threads = "2", .hardware = "a CPU", .version = "0.1"};
  for (const double accuracy : accuracies) {
    run.epochs.push_back({.epoch = static_cast<int>(run.epochs.size()) + 1,
                          .train_acc = accuracy,
                          .train_loss = 1,
                          .test_acc = accuracy,
                          .test_loss = 1.5,
                          .time = costs.time,
                          .memory = costs.memory,
                          .estimated_memory = costs.estimated});
  }
  return run;
}

}  // namespace

SweepResults SampleResults() {
  SweepResults results;
  results.models = {"cnn", "vit"};
  results.activations = {"relu", "gelu"};
  results.datasets = {"cifar10"};
  results.precisions = {"fp32", "fp4"};
  results.detailed = true;
  results.config = "epochs: 2\n";
  const Costs base = {10, 100, 80}, low = {20, 50, 20}, slow = {80, 50, 20};
  results.runs = {MakeRun({"cnn", "relu", "cifar10", "fp32"}, "1", {0.70, 0.68}, base),
                  MakeRun({"cnn", "relu", "cifar10", "fp32"}, "2", {0.50, 0.72}, base),
                  MakeRun({"cnn", "relu", "cifar10", "fp4"}, "1", {0.55, 0.60}, low),
                  MakeRun({"cnn", "gelu", "cifar10", "fp32"}, "1", {0.68, 0.60}, base),
                  MakeRun({"cnn", "gelu", "cifar10", "fp4"}, "1", {0.66, 0.66}, slow),
                  MakeRun({"vit", "relu", "cifar10", "fp4"}, "1", {0.99}, low)};
  for (SweepRun& run : results.runs) {
    if (run.point.precision != "fp4") continue;
    run.details.emulated = "yes";
    run.details.weight_bits = run.point.activation == "relu" ? 4.5 : 4;
  }
  results.runs.back().details.status = "diverged";
  results.runs.back().details.reason = "the loss is NaN";
  results.runs.back().config = "model {}\n";
  return results;
}

}  // namespace halftone::report

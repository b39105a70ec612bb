// Prints what BigNet takes with float32 and with float16 weights: memory, time, and how far the outputs are
// apart.
//
//   compare_memory [--width=1024] [--batch=1] [--rounds=20] [--seed=1] [--threads=0] [--weights=FILE]
//
// Without a file both models have the same random weights. With one (.safetensors, .pth, ...), its tensors of
// BigNet's names, float32 or float16.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "models/model.h"
#include "nn/graph.h"
#include "nn/module.h"
#include "train/checkpoint/pretrained.h"

namespace halftone {
namespace {

struct Options {
  int64_t width = 1024, batch = 1, rounds = 20, seed = 1, threads = 0;
  std::string weights;
};

struct Measured {
  int64_t weights = 0, peak = 0;  // bytes; the peak is that of a forward pass over weights, input included
  double milliseconds = 0;        // the median of the rounds
  std::vector<float> output;
};

absl::StatusOr<Options> Parse(int argc, char** argv) {
  Options options;
  const auto number = [](absl::string_view text, absl::string_view name, int64_t low, int64_t high,
                         int64_t* to) {
    if (!absl::ConsumePrefix(&text, absl::StrCat("--", name, "="))) return false;
    if (!absl::SimpleAtoi(text, to) || *to < low || *to > high) *to = -1;
    return true;
  };
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    const bool known = number(argument, "width", 1, 65536, &options.width) ||
                       number(argument, "batch", 1, 1 << 20, &options.batch) ||
                       number(argument, "rounds", 1, 1 << 20, &options.rounds) ||
                       number(argument, "seed", 0, INT64_MAX, &options.seed) ||
                       number(argument, "threads", 0, 1 << 10, &options.threads);
    if (!known && absl::ConsumePrefix(&argument, "--weights=")) {
      options.weights = std::string(argument);
    } else if (!known ||
               std::min({options.width, options.batch, options.rounds, options.seed, options.threads}) < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          argv[i],
          ": expected --width=1..65536, --batch=N, --rounds=N, --seed=N, --threads=N or --weights=FILE"));
    }
  }
  return options;
}

// With a device of its own, so that only one model is in memory at a time.
absl::StatusOr<Measured> Measure(absl::string_view name, const Options& options) {
  const auto image = static_cast<int>(options.width);
  Device device(/*notes=*/nullptr);
  CachingAllocator& allocator = device.allocator();
  ASSIGN_OR_RETURN(const std::unique_ptr<nn::Module> model,
                   models::MakeModel({.name = std::string(name),
                                      .width = options.width,
                                      .num_classes = 1,
                                      .image = {.channels = image, .height = 1, .width = 1}}));
  nn::Initialize(*model, device, Rng(static_cast<uint64_t>(options.seed)));
  if (!options.weights.empty()) {
    ASSIGN_OR_RETURN(const PretrainedReport report, LoadPretrainedWeights(options.weights, *model));
    if (!report.missing.empty() || !report.other_shape.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          options.weights, ": not a BigNet of width ", options.width, ": ",
          report.other_shape.empty() ? absl::StrCat("it has no ", report.missing[0]) : report.other_shape[0],
          "; choose its --width"));
    }
  }
  Measured measured = {.weights = allocator.stats().live_bytes};

  Tensor x = Tensor::Empty(device, DType::kF32, {options.batch, options.width});
  const Rng rng = Rng(static_cast<uint64_t>(options.seed)).Stream(HashStream("input"));
  for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = rng.Normal(static_cast<uint64_t>(i));
  std::vector<double> times;
  for (int64_t round = 0; round <= options.rounds; ++round) {  // the first one warms up
    const auto start = std::chrono::steady_clock::now();
    nn::Graph graph({.device = &device, .gradients = false});
    if (round == 1) allocator.ResetPeak();
    const nn::Variable y = model->Forward(graph.Input(x));
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    const auto output = y.value().span<float>();
    measured.output.assign(output.begin(), output.end());
  }
  measured.peak = allocator.stats().peak_bytes;
  times.erase(times.begin());
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
  measured.milliseconds = times[times.size() / 2];
  return measured;
}

absl::Status Run(int argc, char** argv) {
  ASSIGN_OR_RETURN(const Options options, Parse(argc, argv));
  SetNumThreads(static_cast<int>(options.threads));
  ASSIGN_OR_RETURN(const Measured full, Measure("bignet", options));
  ASSIGN_OR_RETURN(const Measured half, Measure("halfbignet", options));
  double largest = 0, difference = 0;
  for (size_t i = 0; i < full.output.size(); ++i) {
    const double a = full.output[i], b = half.output[i];
    largest = std::max(largest, std::fabs(a));
    difference = std::max(difference, std::fabs(a - b));
  }
  constexpr double kMiB = 1 << 20;
  absl::PrintF("%s, %d threads; BigNet of width %d, batches of %d, medians of %d forward passes\n\n",
               DescribeCpu(), NumThreads(), options.width, options.batch, options.rounds);
  absl::PrintF("%-24s %12s %12s %8s\n", "", "float32", "float16", "ratio");
  const auto row = [](const char* name, double a, double b) {
    absl::PrintF("%-24s %12.2f %12.2f %8.3f\n", name, a, b, b / a);
  };
  row("weights, MiB", static_cast<double>(full.weights) / kMiB, static_cast<double>(half.weights) / kMiB);
  row("peak of forward, MiB", static_cast<double>(full.peak) / kMiB, static_cast<double>(half.peak) / kMiB);
  row("forward, ms", full.milliseconds, half.milliseconds);
  absl::PrintF("\nlargest difference of the outputs: %.3g, where the largest output is %.3g\n", difference,
               largest);
  return absl::OkStatus();
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  const absl::Status status = halftone::Run(argc, argv);
  if (status.ok()) return 0;
  absl::FPrintF(stderr, "compare_memory: %s\n", status.message());
  return 1;
}

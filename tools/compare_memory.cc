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
#include "tensor/allocator.h"
#include "train/checkpoint/pretrained.h"

namespace halftone {
namespace {

struct Options {
  int64_t width = 1024, batch = 1, rounds = 20, seed = 1, threads = 0;
  std::string weights;
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

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A model on a device of its own, whose allocator sees nothing else.
class Runner {
 public:
  static absl::StatusOr<std::unique_ptr<Runner>> Create(absl::string_view name, const Options& options) {
    auto runner = std::make_unique<Runner>();
    const auto image = static_cast<int>(options.width);
    ASSIGN_OR_RETURN(runner->model_,
                     models::MakeModel({.name = std::string(name),
                                        .width = options.width,
                                        .num_classes = 1,
                                        .image = {.channels = image, .height = 1, .width = 1}}));
    nn::Initialize(*runner->model_, runner->device_, Rng(static_cast<uint64_t>(options.seed)));
    if (!options.weights.empty()) {
      ASSIGN_OR_RETURN(const PretrainedReport report,
                       LoadPretrainedWeights(options.weights, *runner->model_));
      if (!report.missing.empty() || !report.other_shape.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat(options.weights, ": not a BigNet of width ", options.width, ": ",
                         report.other_shape.empty() ? absl::StrCat("it has no ", report.missing[0])
                                                    : report.other_shape[0],
                         "; choose its --width"));
      }
    }
    runner->weights_ = runner->device_.allocator().stats().live_bytes;
    Tensor x = Tensor::Empty(runner->device_, DType::kF32, {options.batch, options.width});
    const Rng rng = Rng(static_cast<uint64_t>(options.seed)).Stream(HashStream("input"));
    for (int64_t i = 0; i < x.elements(); ++i) x.data<float>()[i] = rng.Normal(static_cast<uint64_t>(i));
    runner->x_ = std::move(x);
    runner->Forward();  // makes what is made once
    runner->device_.allocator().ResetPeak();
    return runner;
  }

  // Milliseconds.
  double Forward() {
    const auto start = std::chrono::steady_clock::now();
    nn::Graph graph({.device = &device_, .gradients = false});
    output_ = model_->Forward(graph.Input(x_)).value();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }

  // Bytes.
  double weights() const { return static_cast<double>(weights_); }
  double peak() { return static_cast<double>(device_.allocator().stats().peak_bytes); }
  absl::Span<const float> output() const { return output_.span<float>(); }

 private:
  Device device_{/*notes=*/nullptr};
  std::unique_ptr<nn::Module> model_;
  Tensor x_, output_;
  int64_t weights_ = 0;
};

absl::Status Run(int argc, char** argv) {
  ASSIGN_OR_RETURN(const Options options, Parse(argc, argv));
  SetNumThreads(static_cast<int>(options.threads));
  ASSIGN_OR_RETURN(const std::unique_ptr<Runner> full, Runner::Create("bignet", options));
  ASSIGN_OR_RETURN(const std::unique_ptr<Runner> half, Runner::Create("halfbignet", options));
  // In turns, so that whatever else the machine does meets both.
  std::vector<double> full_times, half_times, ratios;
  for (int64_t round = 0; round < std::max<int64_t>(1, options.rounds); ++round) {
    full_times.push_back(full->Forward());
    half_times.push_back(half->Forward());
    ratios.push_back(half_times.back() / full_times.back());
  }
  double largest = 0, difference = 0;
  for (size_t i = 0; i < full->output().size(); ++i) {
    const double a = full->output()[i], b = half->output()[i];
    largest = std::max(largest, std::fabs(a));
    difference = std::max(difference, std::fabs(a - b));
  }
  constexpr double kMiB = 1 << 20;
  absl::PrintF("%s, %d threads; BigNet of width %d, batches of %d, medians of %d forward passes in turns\n\n",
               DescribeCpu(), NumThreads(), options.width, options.batch, options.rounds);
  absl::PrintF("%-24s %12s %12s %8s\n", "", "float32", "float16", "ratio");
  const auto row = [](const char* name, double a, double b, double ratio) {
    absl::PrintF("%-24s %12.2f %12.2f %8.3f\n", name, a, b, ratio);
  };
  row("weights, MiB", full->weights() / kMiB, half->weights() / kMiB, half->weights() / full->weights());
  row("peak of forward, MiB", full->peak() / kMiB, half->peak() / kMiB, half->peak() / full->peak());
  row("forward, ms", Median(full_times), Median(half_times), Median(ratios));
  absl::PrintF("\nlargest difference of the outputs: %.3g, where the largest output is %.3g\n", difference,
               largest);
  return absl::OkStatus();
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  absl::Status status;
  try {
    status = halftone::Run(argc, argv);
  } catch (const halftone::OutOfMemory& error) {
    status = absl::ResourceExhaustedError(error.what());
  }
  if (status.ok()) return 0;
  absl::FPrintF(stderr, "compare_memory: %s\n", status.message());
  return 1;
}

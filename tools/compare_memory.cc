// Prints what BigNet takes with float32 and with float16 weights: memory, time, and how far the outputs are
// apart.
//
//   compare_memory --width=1024 --batch=64
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "models/model.h"
#include "nn/graph.h"
#include "nn/module.h"
#include "tools/command_line.h"
#include "tools/parse_flags.h"
#include "train/checkpoint/pretrained.h"

ABSL_FLAG(int64_t, width, 1024, "of all layers");
ABSL_FLAG(int64_t, batch, 1, "rows of the input");
ABSL_FLAG(int64_t, rounds, 20, "forward passes of either");
ABSL_FLAG(int64_t, seed, 1, "of weights and input");
ABSL_FLAG(int64_t, threads, 0, "0: one a core");
ABSL_FLAG(
    std::string, weights, "",
    "a file of BigNet's tensors by name, float32 or float16 (.safetensors, .pth, ...); empty: random ones");

namespace halftone {
namespace {

absl::Status CheckRange(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " is ", value, "; expected ", low, " to ", high));
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A model on a device of its own, whose allocator sees nothing else.
class Runner {
 public:
  static absl::StatusOr<std::unique_ptr<Runner>> Create(absl::string_view name) {
    const int64_t width = absl::GetFlag(FLAGS_width);
    const auto seed = static_cast<uint64_t>(absl::GetFlag(FLAGS_seed));
    const std::string weights = absl::GetFlag(FLAGS_weights);
    auto runner = std::make_unique<Runner>();
    const auto image = static_cast<int>(width);
    ASSIGN_OR_RETURN(runner->model_,
                     models::MakeModel({.name = std::string(name),
                                        .width = width,
                                        .num_classes = 1,
                                        .image = {.channels = image, .height = 1, .width = 1}}));
    nn::Initialize(*runner->model_, runner->device_, Rng(seed));
    if (!weights.empty()) {
      ASSIGN_OR_RETURN(const PretrainedReport report,
                       LoadPretrainedWeights(ResolveInputPath(weights), *runner->model_));
      if (!report.missing.empty() || !report.other_shape.empty()) {
        return absl::InvalidArgumentError(absl::StrCat(weights, ": not a BigNet of width ", width, ": ",
                                                       report.other_shape.empty()
                                                           ? absl::StrCat("it has no ", report.missing[0])
                                                           : report.other_shape[0],
                                                       "; choose its --width"));
      }
    }
    runner->weights_ = runner->device_.allocator().stats().live_bytes;
    Tensor x = Tensor::Empty(runner->device_, DType::kF32, {absl::GetFlag(FLAGS_batch), width});
    const Rng rng = Rng(seed).Stream(HashStream("input"));
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

absl::StatusOr<std::string> Compare() {
  const int64_t width = absl::GetFlag(FLAGS_width), batch = absl::GetFlag(FLAGS_batch),
                rounds = absl::GetFlag(FLAGS_rounds);
  RETURN_IF_ERROR(CheckRange("width", width, 1, 65536));
  RETURN_IF_ERROR(CheckRange("batch", batch, 1, 1 << 20));
  RETURN_IF_ERROR(CheckRange("rounds", rounds, 1, 1 << 20));
  RETURN_IF_ERROR(CheckRange("seed", absl::GetFlag(FLAGS_seed), 0, INT64_MAX));
  RETURN_IF_ERROR(CheckRange("threads", absl::GetFlag(FLAGS_threads), 0, 1 << 10));
  SetNumThreads(static_cast<int>(absl::GetFlag(FLAGS_threads)));
  ASSIGN_OR_RETURN(const std::unique_ptr<Runner> full, Runner::Create("bignet"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Runner> half, Runner::Create("halfbignet"));
  // In turns, so that whatever else the machine does meets both.
  std::vector<double> full_times, half_times, ratios;
  for (int64_t round = 0; round < rounds; ++round) {
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
  std::string text = absl::StrFormat(
      "%s, %d threads; BigNet of width %d, batches of %d, medians of %d forward passes in turns\n\n",
      DescribeCpu(), NumThreads(), width, batch, rounds);
  absl::StrAppendFormat(&text, "%-24s %12s %12s %8s\n", "", "float32", "float16", "ratio");
  const auto row = [&](const char* name, double a, double b, double ratio) {
    absl::StrAppendFormat(&text, "%-24s %12.2f %12.2f %8.3f\n", name, a, b, ratio);
  };
  row("weights, MiB", full->weights() / kMiB, half->weights() / kMiB, half->weights() / full->weights());
  row("peak of forward, MiB", full->peak() / kMiB, half->peak() / kMiB, half->peak() / full->peak());
  row("forward, ms", Median(full_times), Median(half_times), Median(ratios));
  absl::StrAppendFormat(&text,
                        "\nlargest difference of the outputs: %.3g, where the largest output is %.3g\n",
                        difference, largest);
  return text;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "compares BigNet with float32 and with float16 weights: --width=N --batch=N ...");
  const absl::StatusOr<std::vector<char*>> rest = halftone::ParseFlags("compare_memory", argc, argv);
  if (!rest.ok()) return halftone::Fail("compare_memory", rest.status());
  if (rest->size() > 1) {
    return halftone::Fail("compare_memory", absl::InvalidArgumentError(absl::StrCat(
                                                "unexpected argument \"", (*rest)[1],
                                                "\"; expected flags alone, such as --batch=64")));
  }
  return halftone::PrintResult("compare_memory", "lower --width or --batch", halftone::Compare);
}

// The safety check of numbers in a core's own cache, on one thread; and of a file in the page cache, on all
// threads, beside only reading it.
//
//   ./bazelw run //bench:safety                       # a file of 1 GiB in $TMPDIR or /tmp
//   HALFTONE_BENCH_GIB=8 ./bazelw run //bench:safety
#include "fp16/safety.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "benchmark/benchmark.h"
#include "io/array_safety.h"
#include "io/open_array_file.h"
#include "quant/formats.h"

namespace halftone {
namespace {

constexpr size_t kElements = 64 * 1024;

// As a trained layer's weights are spread: normally, with deviation 0.02.
std::vector<float> Weights() {
  const Rng rng(1);
  std::vector<float> weights;
  for (size_t i = 0; i < kElements; ++i) weights.push_back(0.02f * rng.Normal(i));
  return weights;
}

void Check(benchmark::State& state, absl::Span<const FloatFormat> formats) {
  const std::vector<float> weights = Weights();
  SafetyCheck check(formats);
  for (auto _ : state) check.Add(weights);
  benchmark::DoNotOptimize(check.numbers().zeros);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kElements * sizeof(float)));
}

BENCHMARK_CAPTURE(Check, numbers_alone, absl::Span<const FloatFormat>());
BENCHMARK_CAPTURE(Check, float16, absl::MakeConstSpan(kFloatFormats).first(1));
BENCHMARK_CAPTURE(Check, four_formats, absl::MakeConstSpan(kFloatFormats).first(4));

// A raw file of float32 weights, removed at the end.
class WeightsFile {
 public:
  WeightsFile() {
    const char* gib = std::getenv("HALFTONE_BENCH_GIB");
    const char* folder = std::getenv("TMPDIR");
    bytes_ = static_cast<uint64_t>(gib == nullptr ? 1 : std::atoi(gib)) << 30;
    path_ = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/halftone-bench-", getpid(), ".raw");
    const std::vector<float> weights = Weights();
    const uint64_t chunk = weights.size() * sizeof(float);
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    HALFTONE_CHECK(file != nullptr);
    for (uint64_t at = 0; at < bytes_; at += chunk) {
      HALFTONE_CHECK(std::fwrite(weights.data(), chunk, 1, file) == 1);
    }
    HALFTONE_CHECK(std::fclose(file) == 0);
  }
  ~WeightsFile() { std::remove(path_.c_str()); }

  uint64_t bytes() const { return bytes_; }
  std::unique_ptr<ArrayFile> Open() const {
    return OpenArrayFile(path_, {.raw_type = ElementType::kF32}).value();
  }

 private:
  std::string path_;
  uint64_t bytes_;
};

const WeightsFile& File() {
  static const WeightsFile file;
  return file;
}

void ReadFile(benchmark::State& state) {
  constexpr size_t kPiece = 4 << 20;
  const auto file = File().Open();
  for (auto _ : state) {
    ParallelForBlocks(File().bytes(), kPiece, [&](size_t, size_t begin, size_t end) {
      const absl::Status status = file->ReadRange(0, begin, end, [](absl::Span<const char> bytes) {
        benchmark::DoNotOptimize(bytes.data());
        return absl::OkStatus();
      });
      HALFTONE_CHECK(status.ok());
    });
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(File().bytes()));
}

void CheckFile(benchmark::State& state, size_t formats) {
  const auto file = File().Open();
  const std::vector<ArraySafetyRequest> requests = {
      {.index = 0, .formats = {kFloatFormats.begin(), kFloatFormats.begin() + formats}}};
  for (auto _ : state) {
    const absl::Status status = CheckArrays(
        *file, requests, [](size_t, const SafetyCheck&) { return absl::OkStatus(); }, [](uint64_t) {});
    HALFTONE_CHECK(status.ok());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(File().bytes()));
}

BENCHMARK(ReadFile)->Name("file/read")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(CheckFile, float16, 1)
    ->Name("file/check_float16")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(CheckFile, four_formats, 4)
    ->Name("file/check_four_formats")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace halftone

// The main function of benchmarks that take --threads=N (2 unless it says so) beside Google Benchmark's own
// flags, and name the processor.
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "benchmark/benchmark.h"

int main(int argc, char** argv) {
  int threads = 2, kept = 1;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (!absl::ConsumePrefix(&argument, "--threads=") || !absl::SimpleAtoi(argument, &threads))
      argv[kept++] = argv[i];
  }
  argc = kept;
  halftone::SetNumThreads(threads);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("cpu", halftone::DescribeCpu());
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::RunSpecifiedBenchmarks();
}

#include "io/array_safety.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "base/philox.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/open_array_file.h"
#include "io/safetensors/safetensors.h"
#include "io/test_files.h"
#include "testing/device.h"
#include "testing/variations.h"

namespace halftone {
namespace {

std::unique_ptr<ArrayFile> Open(const std::string& path, const OpenOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<ArrayFile>> file = OpenArrayFile(path, options);
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}

std::vector<ArraySafetyRequest> Requests(const ArrayFile& file) {
  std::vector<ArraySafetyRequest> requests;
  for (size_t i = 0; i < file.arrays().size(); ++i) {
    requests.push_back({.index = i, .formats = {kFloat16, kBfloat16}, .scale_exponents = {}});
  }
  return requests;
}

void ExpectSame(const SafetyCheck& actual, const SafetyCheck& expected) {
  EXPECT_EQ(actual.numbers().elements, expected.numbers().elements);
  EXPECT_EQ(actual.numbers().max_magnitude, expected.numbers().max_magnitude);
  EXPECT_EQ(actual.numbers().max_index, expected.numbers().max_index);
  for (size_t f = 0; f < actual.formats().size(); ++f) {
    EXPECT_EQ(actual.of(f).exact, expected.of(f).exact);
    EXPECT_EQ(actual.of(f).underflows, expected.of(f).underflows);
    EXPECT_EQ(actual.of(f).overflows, expected.of(f).overflows);
    EXPECT_EQ(actual.of(f).max_error_index, expected.of(f).max_error_index);
    EXPECT_NEAR(actual.of(f).squared_errors, expected.of(f).squared_errors,
                1e-6 * expected.of(f).squared_errors);
  }
}

TEST(ArraySafetyTest, EveryTypeAsItsValues) {
  constexpr int64_t kElements = 100;
  std::string elements;
  for (int i = 0; i < 8 * kElements; ++i) elements += static_cast<char>(i % 64 + 1);
  for (const ElementType type : kAllElementTypes) {
    SCOPED_TRACE(std::string(NameOf(type)));
    const std::string path = TempFile("elements.raw", elements.substr(0, kElements * BitsOf(type) / 8));
    const auto file = Open(path, {.raw_type = type});
    SafetyCheck expected({kFloat16, kBfloat16});
    expected.Add(Values(*file, 0));
    int calls = 0;
    uint64_t read = 0;
    const absl::Status status = CheckArrays(
        *file, Requests(*file),
        [&](size_t request, const SafetyCheck& check) {
          EXPECT_EQ(request, 0);
          ++calls;
          ExpectSame(check, expected);
          return absl::OkStatus();
        },
        [&](uint64_t bytes) { read += bytes; });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(read, kElements * SizeOf(type));
    const absl::Status by_device = CheckArrays(
        *file, Requests(*file),
        [&](size_t, const SafetyCheck& check) {
          ++calls;
          ExpectSame(check, expected);
          return absl::OkStatus();
        },
        [](uint64_t) {}, &TestDevice());
    EXPECT_TRUE(by_device.ok()) << by_device;
    EXPECT_EQ(calls, 2);
  }
}

// Arrays of many pieces, of one and of none, on any number of threads: the same bits.
TEST(ArraySafetyTest, PiecesAndThreads) {
  Device device;
  const Rng rng(3);
  std::vector<NamedTensor> tensors;
  for (const int64_t n : {3'000'001, 0, 17, 1 << 20}) {
    Tensor t = Tensor::Empty(device, DType::kF32, Shape{n});
    float* x = t.data<float>();
    for (int64_t i = 0; i < n; ++i) x[i] = (rng.Uniform(static_cast<uint64_t>(i)) - 0.5f) * 1e-3f;
    if (n > 2'000'000) x[2'000'000] = 70'000;
    tensors.push_back({"n" + std::to_string(n), t});
  }
  const std::string path = TempPath("pieces.safetensors");
  ASSERT_TRUE(WriteSafetensors(path, tensors).ok());
  std::vector<double> sums;
  ForEachThreadCount([&](int) {
    const auto file = Open(path);
    std::vector<double> now;
    size_t next = 0;
    const absl::Status status = CheckArrays(
        *file, Requests(*file),
        [&](size_t request, const SafetyCheck& check) {
          EXPECT_EQ(request, next++);
          const Tensor& t = tensors[request].tensor;
          SafetyCheck expected({kFloat16, kBfloat16});
          expected.Add(absl::MakeConstSpan(t.data<float>(), static_cast<size_t>(t.elements())));
          ExpectSame(check, expected);
          now.push_back(check.of(0).squared_errors);
          now.push_back(check.of(1).relative_errors);
          return absl::OkStatus();
        },
        [](uint64_t) {});
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(next, tensors.size());
    if (sums.empty()) sums = now;
    EXPECT_EQ(sums, now);
  });
}

TEST(ArraySafetyTest, ErrorsEndTheReading) {
  const std::string path = TempFile("cut.raw", std::string(4096, 'x'));
  const auto file = Open(path, {.raw_type = ElementType::kF32});
  const auto none = [](uint64_t) {};
  EXPECT_EQ(CheckArrays(
                *file, Requests(*file),
                [](size_t, const SafetyCheck&) { return absl::CancelledError("enough"); }, none)
                .message(),
            "enough");
  std::filesystem::resize_file(path, 100);
  const absl::Status status = CheckArrays(
      *file, Requests(*file), [](size_t, const SafetyCheck&) { return absl::OkStatus(); }, none);
  ExpectOneLine(status, path);
}

}  // namespace
}  // namespace halftone

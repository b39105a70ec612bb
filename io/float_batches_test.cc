#include "io/float_batches.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;

// 0, 1, 2, ... as float64, in chunks of an odd number of elements.
class CountingFile final : public ArrayFile {
 public:
  CountingFile(int64_t elements, bool random_access)
      : ArrayFile("memory",
                  {{"x", ElementType::kF64, Shape{elements}, 0, 8 * static_cast<uint64_t>(elements)}}),
        random_access_(random_access) {}
  bool random_access() const override { return random_access_; }

 private:
  absl::Status Read(size_t, uint64_t begin, uint64_t end, ChunkFunction f) const override {
    constexpr uint64_t kChunk = 8 * 30001;
    for (; begin < end; begin += kChunk) {
      std::vector<double> values;
      for (uint64_t at = begin; at < std::min(end, begin + kChunk); at += 8) values.push_back(at / 8);
      const absl::Status status = f({reinterpret_cast<const char*>(values.data()), 8 * values.size()});
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  bool random_access_;
};

// The batches' sizes; their elements are checked.
std::vector<size_t> Batches(int64_t elements, uint64_t row, bool random_access) {
  const CountingFile file(elements, random_access);
  std::vector<size_t> sizes;
  uint64_t next = 0;
  const absl::Status status =
      ReadFloatBatches(file, 0, row, [&](uint64_t first, absl::Span<const float> floats) {
        EXPECT_EQ(first, next);
        bool right = true;
        for (size_t i = 0; i < floats.size(); ++i) right &= floats[i] == static_cast<float>(first + i);
        EXPECT_TRUE(right);
        next += floats.size();
        sizes.push_back(floats.size());
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(next, static_cast<uint64_t>(elements));
  return sizes;
}

TEST(FloatBatchesTest, WholeRowsOrPartsOfOne) {
  constexpr size_t k = kFloatBatch;
  for (const bool random_access : {true, false}) {
    EXPECT_THAT(Batches(7, 7, random_access), ElementsAre(7));
    EXPECT_THAT(Batches(21, 7, random_access), ElementsAre(21));
    EXPECT_THAT(Batches(k, 1, random_access), ElementsAre(k));
    EXPECT_THAT(Batches(k + 2, 1, random_access), ElementsAre(k, 2));
    EXPECT_THAT(Batches(3 * 500'000, 500'000, random_access), ElementsAre(1'000'000, 500'000));
    EXPECT_THAT(Batches(2 * (k + 5), k + 5, random_access), ElementsAre(k, 5, k, 5));
    EXPECT_THAT(Batches(2 * k + 5, 2 * k + 5, random_access), ElementsAre(k, k, 5));
    EXPECT_THAT(Batches(0, 3, random_access), ElementsAre());
  }
}

TEST(FloatBatchesTest, AnErrorEndsIt) {
  for (const bool random_access : {true, false}) {
    const CountingFile file(3 * kFloatBatch, random_access);
    int calls = 0;
    const absl::Status status = ReadFloatBatches(file, 0, 1, [&](uint64_t, absl::Span<const float>) {
      ++calls;
      return absl::AbortedError("enough");
    });
    EXPECT_TRUE(absl::IsAborted(status));
    EXPECT_EQ(calls, 1);
  }
}

}  // namespace
}  // namespace halftone

// Batches that the device renders.
#include <vector>

#include "datasets/fixture.h"
#include "datasets/loader.h"
#include "gtest/gtest.h"
#include "tensor/ops/images/images_kernels.h"
#include "testing/device.h"

namespace halftone {
namespace {

std::unique_ptr<DataLoader> MakeLoader(Device& device, const ImageDataset& data, bool train,
                                       LoaderPosition start = {}) {
  auto loader = DataLoader::Create(device, data, train ? data.train : data.test,
                                   {.batch_size = 8, .shuffle = train, .augment = train, .seed = 9}, start);
  EXPECT_TRUE(loader.ok()) << loader.status();
  return *std::move(loader);
}

template <typename T>
std::vector<T> Numbers(const Tensor& t) {
  const auto span = t.span<T>();
  return {span.begin(), span.end()};
}

TEST(LoaderDeviceTest, TheHostsBatchesBitForBit) {
  ASSERT_NE(TestDevice().Kernels<ops::ImagesKernels>(), nullptr);
  Device host;
  const ImageDataset data = MakeDataset(3, 8, 7, 37);
  for (const bool train : {true, false}) {
    for (const LoaderPosition start : {LoaderPosition{0, 0}, {2, 3}}) {
      const auto expected = MakeLoader(host, data, train, start),
                 loader = MakeLoader(TestDevice(), data, train, start);
      for (int b = 0; b < 12; ++b) {
        const Batch want = expected->Next(), got = loader->Next();
        ASSERT_EQ(&got.input.device(), &TestDevice());
        ASSERT_EQ(&got.labels.device(), &TestDevice());
        ASSERT_EQ(got.input.shape(), want.input.shape());
        ASSERT_EQ(Numbers<float>(got.input), Numbers<float>(want.input));
        ASSERT_EQ(Numbers<int64_t>(got.labels), Numbers<int64_t>(want.labels));
      }
    }
  }
}

TEST(LoaderDeviceTest, SteadyStateWaitsForNothingAndTakesNothingFromTheSystem) {
  Device& device = TestDevice();
  const ImageDataset data = MakeDataset(3, 8, 7, 37);
  const auto loader = MakeLoader(device, data, true);
  for (int b = 0; b < 10; ++b) loader->Next();
  const int64_t waits = device.accelerator()->waits();
  const int64_t allocations = device.allocator().stats().system_allocations;
  for (int b = 0; b < 100; ++b) loader->Next();
  EXPECT_EQ(device.accelerator()->waits(), waits);
  EXPECT_EQ(device.allocator().stats().system_allocations, allocations);
}

}  // namespace
}  // namespace halftone

// Images a second, of one core: rendering alone, and through the loader's thread.
#include "benchmark/benchmark.h"
#include "datasets/augment.h"
#include "datasets/fixture.h"
#include "datasets/loader.h"
#include "datasets/shuffle.h"

namespace halftone {
namespace {

constexpr int kImages = 10000;

void Render(benchmark::State& state) {
  const ImageDataset data = MakeDataset(3, 32, 32, kImages);
  const std::vector<float> table = NormalizationTable(data);
  std::vector<float> out(data.image_bytes());
  uint32_t i = 0;
  for (auto _ : state) {
    const ops::ImageCrop crop = state.range(0) ? DrawAugmentation(1, 0, i, true) : ops::ImageCrop();
    ops::RenderImage(SizeOfImages(data), data.train.pixels.data() + i * data.image_bytes(), table.data(),
                     crop, out.data());
    benchmark::DoNotOptimize(out.data());
    i = (i + 1) % kImages;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Render)->ArgName("augment")->Arg(0)->Arg(1);

void Loader(benchmark::State& state) {
  Device device;
  const ImageDataset data = MakeDataset(3, 32, 32, kImages);
  const bool train = state.range(0) != 0;
  const auto loader =
      DataLoader::Create(device, data, data.train,
                         {.batch_size = 128, .shuffle = train, .augment = train, .drop_last = train})
          .value();
  int64_t images = 0;
  for (auto _ : state) images += loader->Next().labels.elements();
  state.SetItemsProcessed(images);
}
BENCHMARK(Loader)->ArgName("train")->Arg(0)->Arg(1)->UseRealTime();

void Shuffle(benchmark::State& state) {
  std::vector<uint32_t> order(50000);
  int64_t epoch = 0;
  for (auto _ : state) {
    ShuffledOrder(1, epoch++, absl::MakeSpan(order));
    benchmark::DoNotOptimize(order.data());
  }
  state.SetItemsProcessed(state.iterations() * std::ssize(order));
}
BENCHMARK(Shuffle);

}  // namespace
}  // namespace halftone

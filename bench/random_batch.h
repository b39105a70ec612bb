// What the benchmarks of training steps train on.
#ifndef HALFTONE_BENCH_RANDOM_BATCH_H_
#define HALFTONE_BENCH_RANDOM_BATCH_H_

#include <cstdint>

#include "base/philox.h"
#include "datasets/batch.h"
#include "models/model.h"
#include "tensor/tensor.h"

namespace halftone {

// n images of standard normal numbers, of ten classes; the same each time.
inline Batch RandomBatch(Device& device, const models::ImageShape& image, int64_t n) {
  Batch batch = {Tensor::Empty(device, DType::kF32, {n, image.height, image.width, image.channels}),
                 Tensor::Empty(device, DType::kI64, {n})};
  const Rng rng(1);
  for (int64_t i = 0; i < batch.input.elements(); ++i) batch.input.span<float>()[i] = rng.Normal(i);
  for (int64_t i = 0; i < n; ++i) batch.labels.span<int64_t>()[i] = rng.Stream(1).Below(i, 10);
  return batch;
}

}  // namespace halftone

#endif  // HALFTONE_BENCH_RANDOM_BATCH_H_

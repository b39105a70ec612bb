// CIFAR-10 and CIFAR-100, from the files of the official binary version: A. Krizhevsky, "Learning Multiple
// Layers of Features from Tiny Images", 2009.
//
// A file is a sequence of records without a header: the label's byte (in CIFAR-100 the coarse label's, then
// the fine label's), then 3 x 32 x 32 bytes of pixels, the red plane first. A file holds as many records as
// its size says.
#ifndef HALFTONE_DATASETS_CIFAR_H_
#define HALFTONE_DATASETS_CIFAR_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "datasets/image_dataset.h"

namespace halftone {

// root: the folder of test_batch.bin and of data_batch_<number>.bin: as many as there are, in the numbers'
// order. limit and errors: as LoadDataset.
absl::StatusOr<ImageDataset> LoadCifar10(const std::string& root, int64_t limit);

// root: the folder of train.bin and test.bin. The labels are the 100 fine ones.
absl::StatusOr<ImageDataset> LoadCifar100(const std::string& root, int64_t limit);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_CIFAR_H_

// MNIST from its four IDX files, not compressed: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of
// handwritten digits", 1998. Fashion-MNIST and others of that shape come in the same files.
//
// An IDX file is a big-endian header, two zero bytes, the element type (0x08: unsigned byte), the number of
// dimensions, then each dimension's size in 32 bits, and the elements.
#ifndef HALFTONE_DATASETS_MNIST_H_
#define HALFTONE_DATASETS_MNIST_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "datasets/image_dataset.h"

namespace halftone {

// root: the folder of train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
// t10k-labels-idx1-ubyte. limit and errors: as LoadDataset.
absl::StatusOr<ImageDataset> LoadMnist(const std::string& root, int64_t limit);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_MNIST_H_

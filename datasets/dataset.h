// The table of data sets, by name.
//
//   ASSIGN_OR_RETURN(const ImageDataset data, LoadDataset("cifar10", root, /*limit=*/0));
#ifndef HALFTONE_DATASETS_DATASET_H_
#define HALFTONE_DATASETS_DATASET_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "datasets/image_dataset.h"

namespace halftone {

struct DatasetRow {
  absl::string_view name;
  absl::string_view files;  // what the root folder holds, for people
  absl::StatusOr<ImageDataset> (*load)(const std::string& root, int64_t limit);
};

absl::Span<const DatasetRow> Datasets();

// Loads both splits from the files in the folder `root`, which is a path as open() takes it. limit: only the
// first so many training images (0: all); mean and stddev are of the images that were loaded. An unknown
// name, a missing, damaged or implausible file: an error of one line that names the file, what was expected
// of it and what to do. Files of any content are safe to load.
absl::StatusOr<ImageDataset> LoadDataset(absl::string_view name, const std::string& root, int64_t limit = 0);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_DATASET_H_

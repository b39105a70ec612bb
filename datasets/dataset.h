// The table of data sets, by name, and what training needs of any of them.
//
//   ASSIGN_OR_RETURN(const Dataset data, LoadDataset("cifar10", {.root = root}));
//   ASSIGN_OR_RETURN(auto batches, data.TrainBatches(device, {.batch_size = 128, .seed = seed}));
#ifndef HALFTONE_DATASETS_DATASET_H_
#define HALFTONE_DATASETS_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "datasets/batch.h"
#include "datasets/image_dataset.h"
#include "datasets/text/text_dataset.h"
#include "tensor/device.h"

namespace halftone {

struct BatchOptions {
  int64_t batch_size = 128;
  bool augment = false;        // images: see augment.h
  int64_t bucket_batches = 1;  // texts: see text/text_loader.h
  uint64_t seed = 0;           // of shuffling and augmentation
};

// Images or texts, with labels.
class Dataset {
 public:
  Dataset() = default;
  Dataset(ImageDataset images) : data_(std::move(images)) {}  // NOLINT: an ImageDataset is one
  Dataset(TextDataset texts) : data_(std::move(texts)) {}     // NOLINT

  // One of them is null.
  const ImageDataset* images() const { return std::get_if<ImageDataset>(&data_); }
  const TextDataset* texts() const { return std::get_if<TextDataset>(&data_); }

  const std::string& name() const;
  int num_classes() const;
  int64_t train_size() const;
  int64_t test_size() const;
  absl::string_view unit() const { return images() != nullptr ? "images" : "sentences"; }

  // Keeps the first `size` of the test split, if it has more.
  void LimitTest(int64_t size);

  // Shuffled, without an epoch's last batch where it is not full; and the test split in the order of its
  // file, as a whole. Texts lie on device.host(), and images where DataLoader says. This and the device must
  // outlive them. Errors: as those of DataLoader and TextLoader; augmenting texts.
  absl::StatusOr<std::unique_ptr<BatchSource>> TrainBatches(Device& device, const BatchOptions& options,
                                                            LoaderPosition start = {}) const;
  absl::StatusOr<std::unique_ptr<BatchSource>> TestBatches(Device& device, int64_t batch_size) const;

 private:
  std::variant<ImageDataset, TextDataset> data_;
};

struct DatasetOptions {
  std::string root;   // the folder of the files, a path as open() takes it
  int64_t limit = 0;  // only the first so many training examples; 0: all
  // Of texts alone.
  std::string vocabulary;    // the model's vocab.txt; see text/vocabulary.h
  int64_t max_length = 128;  // tokens a text; longer ones are cut
  bool lower_case = true;    // false for a "cased" vocabulary
};

struct DatasetRow {
  absl::string_view name;
  absl::string_view files;  // what the root folder holds, for people
  absl::StatusOr<Dataset> (*load)(const DatasetOptions& options);
};

absl::Span<const DatasetRow> Datasets();

// Loads both splits; images' mean and stddev are of the training images that were loaded. An unknown name, a
// missing, damaged or implausible file: an error of one line that names the file, what was expected of it and
// what to do. Files of any content are safe to load.
absl::StatusOr<Dataset> LoadDataset(absl::string_view name, const DatasetOptions& options);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_DATASET_H_

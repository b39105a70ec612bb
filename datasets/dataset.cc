#include "datasets/dataset.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datasets/cifar.h"
#include "datasets/mnist.h"

namespace halftone {
namespace {

constexpr DatasetRow kDatasets[] = {
    {"cifar10", "data_batch_1.bin, ... and test_batch.bin (binary version)", LoadCifar10},
    {"cifar100", "train.bin and test.bin (binary version)", LoadCifar100},
    {"mnist", "{train,t10k}-{images-idx3,labels-idx1}-ubyte (not compressed)", LoadMnist},
};

}  // namespace

absl::Span<const DatasetRow> Datasets() { return kDatasets; }

absl::StatusOr<ImageDataset> LoadDataset(absl::string_view name, const std::string& root, int64_t limit) {
  for (const DatasetRow& row : kDatasets) {
    if (row.name != name) continue;
    if (limit < 0) {
      return absl::InvalidArgumentError(absl::StrCat("data set ", name, ": the limit is ", limit,
                                                     ", expected a number of images, or 0 for all"));
    }
    std::error_code error;
    if (!std::filesystem::is_directory(root, error)) {
      return absl::NotFoundError(absl::StrCat("data set ", name, ": there is no folder \"", root,
                                              "\"; name the folder that holds ", row.files));
    }
    return row.load(root, limit);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown data set \"", name,
      "\"; expected one of: ", absl::StrJoin(kDatasets, ", ", [](std::string* out, const DatasetRow& row) {
        absl::StrAppend(out, row.name);
      })));
}

}  // namespace halftone

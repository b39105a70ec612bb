#include "datasets/dataset.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/unknown_name.h"
#include "datasets/cifar.h"
#include "datasets/loader.h"
#include "datasets/mnist.h"
#include "datasets/text/sst2.h"
#include "datasets/text/text_loader.h"

namespace halftone {
namespace {

template <auto kLoad>
absl::StatusOr<Dataset> Images(const DatasetOptions& options) {
  return kLoad(options.root, options.limit);
}

template <auto kLoad>
absl::StatusOr<Dataset> Texts(const DatasetOptions& options) {
  if (options.vocabulary.empty()) {
    return absl::InvalidArgumentError(
        "no vocabulary (data.vocabulary) is named; expected the vocab.txt that comes with the model");
  }
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Load(options.vocabulary));
  const WordPieceTokenizer tokenizer(std::move(vocabulary), {.lower_case = options.lower_case});
  return kLoad(options.root, tokenizer, options.max_length, options.limit);
}

constexpr DatasetRow kDatasets[] = {
    {"cifar10", "data_batch_1.bin, ... and test_batch.bin (binary version)", Images<LoadCifar10>},
    {"cifar100", "train.bin and test.bin (binary version)", Images<LoadCifar100>},
    {"mnist", "{train,t10k}-{images-idx3,labels-idx1}-ubyte (not compressed)", Images<LoadMnist>},
    {"sst2", "train.tsv and dev.tsv (of GLUE)", Texts<LoadSst2>},
};

template <typename Loader>
absl::StatusOr<std::unique_ptr<BatchSource>> AsSource(absl::StatusOr<std::unique_ptr<Loader>> loader) {
  RETURN_IF_ERROR(loader.status());
  return std::unique_ptr<BatchSource>(*std::move(loader));
}

}  // namespace

const std::string& Dataset::name() const {
  return std::visit([](const auto& d) -> const std::string& { return d.name; }, data_);
}
int Dataset::num_classes() const {
  return std::visit([](const auto& d) { return d.num_classes; }, data_);
}
int64_t Dataset::train_size() const {
  return std::visit([](const auto& d) { return d.train.size(); }, data_);
}
int64_t Dataset::test_size() const {
  return std::visit([](const auto& d) { return d.test.size(); }, data_);
}

void Dataset::LimitTest(int64_t size) {
  if (size >= test_size()) return;
  if (ImageDataset* images = std::get_if<ImageDataset>(&data_)) {
    images->test.labels.resize(size);
    images->test.pixels.resize(size * images->image_bytes());
    return;
  }
  TextSplit& test = std::get<TextDataset>(data_).test;
  test.labels.resize(size);
  test.begins.resize(size + 1);
  test.ids.resize(test.begins.back());
}

absl::StatusOr<std::unique_ptr<BatchSource>> Dataset::TrainBatches(Device& device,
                                                                   const BatchOptions& options,
                                                                   LoaderPosition start) const {
  if (const ImageDataset* d = images()) {
    return AsSource(DataLoader::Create(device, *d, d->train,
                                       {.batch_size = options.batch_size,
                                        .shuffle = true,
                                        .augment = options.augment,
                                        .drop_last = true,
                                        .seed = options.seed},
                                       start));
  }
  if (options.augment) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data set ", name(), " has sentences, and only images are augmented; leave data.augment out"));
  }
  return AsSource(TextLoader::Create(device.host(), *texts(), texts()->train,
                                     {.batch_size = options.batch_size,
                                      .shuffle = true,
                                      .drop_last = true,
                                      .bucket_batches = options.bucket_batches,
                                      .seed = options.seed},
                                     start));
}

absl::StatusOr<std::unique_ptr<BatchSource>> Dataset::TestBatches(Device& device, int64_t batch_size) const {
  if (const ImageDataset* d = images()) {
    return AsSource(DataLoader::Create(device, *d, d->test, {.batch_size = batch_size}));
  }
  return AsSource(TextLoader::Create(device.host(), *texts(), texts()->test, {.batch_size = batch_size}));
}

absl::Span<const DatasetRow> Datasets() { return kDatasets; }

absl::StatusOr<Dataset> LoadDataset(absl::string_view name, const DatasetOptions& options) {
  for (const DatasetRow& row : kDatasets) {
    if (row.name != name) continue;
    if (options.limit < 0) {
      return absl::InvalidArgumentError(absl::StrCat("data set ", name, ": the limit is ", options.limit,
                                                     ", expected a number of examples, or 0 for all"));
    }
    std::error_code error;
    if (!std::filesystem::is_directory(options.root, error)) {
      return absl::NotFoundError(absl::StrCat("data set ", name, ": there is no folder \"", options.root,
                                              "\"; name the folder that holds ", row.files));
    }
    return row.load(options);
  }
  return UnknownName("data set", name, kDatasets);
}

}  // namespace halftone

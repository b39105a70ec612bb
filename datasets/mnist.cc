#include "datasets/mnist.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "datasets/data_file.h"

namespace halftone {
namespace {

constexpr int kSide = 28;
constexpr int kClasses = 10;

uint32_t BigEndian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// The elements of an IDX file of unsigned bytes whose items have the sizes `item`; the first dimension, the
// number of items, is what the file says. items: "images", for messages.
absl::StatusOr<std::vector<uint8_t>> ReadIdx(const std::string& path, absl::string_view items,
                                             absl::Span<const uint32_t> item) {
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadDataFile(path, absl::StrCat("MNIST's ", items, " in the IDX format")));
  const size_t header = 4 * (2 + item.size());
  if (bytes.size() < header) {
    return DamagedFileError(
        path, absl::StrCat("the file has ", bytes.size(), " bytes, expected an IDX header of ", header,
                           " bytes and ", items));
  }
  const uint32_t expected_magic = 0x0800 + 1 + static_cast<uint32_t>(item.size());
  if (const uint32_t magic = BigEndian(bytes, 0); magic != expected_magic) {
    if (magic >> 16 == 0x1f8b) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": the file is compressed, expected plain IDX: run gunzip on it"));
    }
    return DamagedFileError(path, absl::StrFormat("the file starts with 0x%08x, expected 0x%08x (IDX, %s)",
                                                  magic, expected_magic, items));
  }
  int64_t item_bytes = 1;
  for (size_t i = 0; i < item.size(); ++i) {
    if (const uint32_t size = BigEndian(bytes, 8 + 4 * i); size != item[i]) {
      return DamagedFileError(
          path, absl::StrCat("dimension ", i + 1, " of the ", items, " is ", size, ", expected ", item[i]));
    }
    item_bytes *= item[i];
  }
  // Below 2^32 * 28 * 28: no overflow, and nothing is allocated before the file's size has confirmed it.
  const int64_t count = BigEndian(bytes, 4);
  const int64_t expected_bytes = static_cast<int64_t>(header) + count * item_bytes;
  if (static_cast<int64_t>(bytes.size()) != expected_bytes) {
    return DamagedFileError(path, absl::StrCat("the header says ", count, " ", items, ", which take ",
                                               expected_bytes, " bytes, but the file has ", bytes.size()));
  }
  if (count == 0)
    return DamagedFileError(path, absl::StrCat("the file holds no ", items, ", expected at least one"));
  return std::vector<uint8_t>(bytes.begin() + static_cast<int64_t>(header), bytes.end());
}

absl::StatusOr<ImageSplit> LoadSplit(const std::string& root, absl::string_view prefix, int64_t limit) {
  const std::string images_path = absl::StrCat(root, "/", prefix, "-images-idx3-ubyte");
  const std::string labels_path = absl::StrCat(root, "/", prefix, "-labels-idx1-ubyte");
  ImageSplit split;
  ASSIGN_OR_RETURN(split.pixels, ReadIdx(images_path, "images", {kSide, kSide}));
  ASSIGN_OR_RETURN(const std::vector<uint8_t> labels, ReadIdx(labels_path, "labels", {}));
  const size_t images = split.pixels.size() / (kSide * kSide);
  if (images != labels.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(images_path, " holds ", images, " images but ", labels_path, " holds ", labels.size(),
                     " labels, expected as many; the files are not of one set: get both again"));
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= kClasses) {
      return DamagedFileError(labels_path, absl::StrCat("record ", i, " (counted from 0) has the label ",
                                                        labels[i], ", expected 0 to ", kClasses - 1));
    }
  }
  const size_t taken = limit > 0 ? std::min<size_t>(limit, images) : images;
  split.pixels.resize(taken * kSide * kSide);
  split.labels.assign(labels.begin(), labels.begin() + static_cast<int64_t>(taken));
  return split;
}

}  // namespace

absl::StatusOr<ImageDataset> LoadMnist(const std::string& root, int64_t limit) {
  ImageDataset dataset;
  dataset.name = "mnist";
  dataset.channels = 1;
  dataset.height = dataset.width = kSide;
  dataset.num_classes = kClasses;
  dataset.flip = false;
  ASSIGN_OR_RETURN(dataset.train, LoadSplit(root, "train", limit));
  ASSIGN_OR_RETURN(dataset.test, LoadSplit(root, "t10k", /*limit=*/0));
  SetStatistics(dataset);
  return dataset;
}

}  // namespace halftone

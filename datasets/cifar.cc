#include "datasets/cifar.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "datasets/data_file.h"

namespace halftone {
namespace {

constexpr int kImageBytes = 3 * 32 * 32;

struct LabelByte {
  const char* name;
  int classes;
};

struct Format {
  const char* name;
  absl::Span<const LabelByte> labels;  // one byte each, before the pixels; the last is the one that is learnt
};

constexpr LabelByte kCifar10Labels[] = {{"label", 10}};
constexpr LabelByte kCifar100Labels[] = {{"coarse label", 20}, {"fine label", 100}};
constexpr Format kCifar10 = {"CIFAR-10", kCifar10Labels};
constexpr Format kCifar100 = {"CIFAR-100", kCifar100Labels};

// Appends the file's records to the split, until that holds `limit` images (0: all records).
absl::Status AppendFile(const Format& format, const std::string& path, int64_t limit, ImageSplit& split) {
  const int64_t label_bytes = static_cast<int64_t>(format.labels.size());
  const int64_t record_bytes = label_bytes + kImageBytes;
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadDataFile(path, absl::StrCat("a file of the binary version of ", format.name)));
  const int64_t size = static_cast<int64_t>(bytes.size());
  if (size % record_bytes != 0) {
    return DamagedFileError(
        path, absl::StrCat(size, " bytes are no whole number of ", format.name, " records of ", record_bytes,
                           " bytes: ", size % record_bytes, " remain"));
  }
  int64_t records = size / record_bytes;
  if (limit > 0) records = std::min(records, limit - split.size());

  split.labels.reserve(split.labels.size() + records);
  split.pixels.reserve(split.pixels.size() + records * kImageBytes);
  for (int64_t i = 0; i < records; ++i) {
    const char* record = bytes.data() + i * record_bytes;
    int32_t label = 0;
    for (int64_t j = 0; j < label_bytes; ++j) {
      label = static_cast<uint8_t>(record[j]);
      if (label >= format.labels[j].classes) {
        return DamagedFileError(
            path, absl::StrCat("record ", i, " (counted from 0) has the ", format.labels[j].name, " ", label,
                               ", expected 0 to ", format.labels[j].classes - 1));
      }
    }
    split.labels.push_back(label);
    split.pixels.insert(split.pixels.end(), record + label_bytes, record + record_bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<ImageDataset> Load(const Format& format, const char* name,
                                  const std::vector<std::string>& train, const std::string& test,
                                  int64_t limit) {
  ImageDataset dataset;
  dataset.name = name;
  dataset.channels = 3;
  dataset.height = dataset.width = 32;
  dataset.num_classes = format.labels.back().classes;
  for (const std::string& path : train) {
    if (limit > 0 && dataset.train.size() >= limit) break;
    RETURN_IF_ERROR(AppendFile(format, path, limit, dataset.train));
  }
  RETURN_IF_ERROR(AppendFile(format, test, /*limit=*/0, dataset.test));
  SetStatistics(dataset);
  return dataset;
}

// The paths of root's data_batch_<number>.bin, in the order of the numbers.
absl::StatusOr<std::vector<std::string>> TrainingBatches(const std::string& root) {
  std::vector<std::pair<int, std::string>> batches;
  std::error_code error;
  std::filesystem::directory_iterator entry(root, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string file = entry->path().filename().string();
    absl::string_view number = file;
    int value;
    if (absl::ConsumePrefix(&number, "data_batch_") && absl::ConsumeSuffix(&number, ".bin") &&
        std::all_of(number.begin(), number.end(), absl::ascii_isdigit) && absl::SimpleAtoi(number, &value)) {
      batches.emplace_back(value, entry->path().string());
    }
  }
  if (error) return absl::UnavailableError(absl::StrCat("cannot list ", root, ": ", error.message()));
  if (batches.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "there is no data_batch_1.bin, data_batch_2.bin, ... of the binary version of CIFAR-10 in ", root,
        ": put them there, or name the folder that has them"));
  }
  std::sort(batches.begin(), batches.end());
  std::vector<std::string> paths;
  for (auto& [value, path] : batches) paths.push_back(std::move(path));
  return paths;
}

}  // namespace

absl::StatusOr<ImageDataset> LoadCifar10(const std::string& root, int64_t limit) {
  ASSIGN_OR_RETURN(const std::vector<std::string> train, TrainingBatches(root));
  return Load(kCifar10, "cifar10", train, absl::StrCat(root, "/test_batch.bin"), limit);
}

absl::StatusOr<ImageDataset> LoadCifar100(const std::string& root, int64_t limit) {
  return Load(kCifar100, "cifar100", {absl::StrCat(root, "/train.bin")}, absl::StrCat(root, "/test.bin"),
              limit);
}

}  // namespace halftone

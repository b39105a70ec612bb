#include "datasets/text/text_loader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "datasets/shuffle.h"
#include "datasets/text/text_batch.h"

namespace halftone {
namespace {

constexpr int64_t kMaxLengthMultiple = 4096;

// The order of the batches is drawn apart from that of the sentences.
uint64_t SeedOfBatches(uint64_t seed) {
  const PhiloxBlock block = Rng(seed).Stream(HashStream("datasets.text.batches")).Block(0);
  return uint64_t{block[1]} << 32 | block[0];
}

}  // namespace

absl::StatusOr<std::unique_ptr<TextLoader>> TextLoader::Create(Device& device, const TextDataset& dataset,
                                                               const TextSplit& split,
                                                               const TextLoaderOptions& options,
                                                               LoaderPosition start) {
  const int64_t n = split.size();
  HALFTONE_CHECK(std::ssize(split.begins) == n + 1 && split.begins.back() == std::ssize(split.ids) &&
                 n <= UINT32_MAX);
  for (const auto& [name, value] : {std::pair{"batch size", options.batch_size},
                                    std::pair{"window of bucketing (batches)", options.bucket_batches},
                                    std::pair{"multiple of a batch's length", options.length_multiple}}) {
    if (value < 1) {
      return absl::InvalidArgumentError(absl::StrCat("the ", name, " is ", value, ", expected at least 1"));
    }
  }
  if (options.length_multiple > kMaxLengthMultiple) {
    return absl::InvalidArgumentError(absl::StrCat("the multiple of a batch's length is ",
                                                   options.length_multiple, ", expected at most ",
                                                   kMaxLengthMultiple));
  }
  ASSIGN_OR_RETURN(const Epochs epochs,
                   CutEpochs(dataset.name, "sentences", n, options.batch_size, options.drop_last, start));
  return std::unique_ptr<TextLoader>(
      new TextLoader(device, dataset, split, options, epochs.batches, epochs.start));
}

TextLoader::TextLoader(Device& device, const TextDataset& dataset, const TextSplit& split,
                       const TextLoaderOptions& options, int64_t batches_per_epoch, LoaderPosition start)
    : device_(device),
      dataset_(dataset),
      split_(split),
      options_(options),
      batches_per_epoch_(batches_per_epoch),
      position_(start),
      order_(split.size()),
      batches_(batches_per_epoch) {
  OrderEpoch();
}

void TextLoader::OrderEpoch() {
  // A last batch that is not full stays the last, of sentences that the shuffling put there: sorting would
  // give it, or with drop_last would leave out, a window's longest.
  const int64_t full = split_.size() / options_.batch_size;
  if (options_.shuffle) {
    ShuffledOrder(options_.seed, position_.epoch, absl::MakeSpan(order_));
    ShuffledOrder(SeedOfBatches(options_.seed), position_.epoch, absl::MakeSpan(batches_).subspan(0, full));
    std::iota(batches_.begin() + full, batches_.end(), static_cast<uint32_t>(full));
  } else {
    std::iota(order_.begin(), order_.end(), 0u);
    std::iota(batches_.begin(), batches_.end(), 0u);
  }
  if (options_.bucket_batches == 1) return;
  const int64_t window = std::min(options_.bucket_batches, full);
  for (int64_t batch = 0; batch < full; batch += window) {
    const auto begin = order_.begin() + batch * options_.batch_size;
    const auto end = order_.begin() + std::min(batch + window, full) * options_.batch_size;
    std::stable_sort(begin, end,
                     [this](uint32_t a, uint32_t b) { return split_.length(a) < split_.length(b); });
  }
}

absl::Span<const uint32_t> TextLoader::Sentences(int64_t batch) const {
  return absl::MakeConstSpan(order_).subspan(batches_[batch] * options_.batch_size, options_.batch_size);
}

int64_t TextLoader::Length(absl::Span<const uint32_t> sentences) const {
  int64_t longest = 0;
  for (const uint32_t i : sentences) longest = std::max(longest, split_.length(i));
  return PaddedLength(longest, options_.length_multiple);
}

Batch TextLoader::Next() {
  const absl::Span<const uint32_t> sentences = Sentences(position_.batch);
  std::vector<TextRow> rows;
  Batch batch = {.labels = Tensor::Empty(device_, DType::kI64, {static_cast<int64_t>(sentences.size())})};
  int64_t* label = batch.labels.data<int64_t>();
  for (const uint32_t i : sentences) {
    rows.push_back({.ids = split_.sentence(i)});
    *label++ = split_.labels[i];
  }
  batch.input = PadRows(device_, rows, Length(sentences), dataset_.pad_id);
  if (++position_.batch == batches_per_epoch_) {
    position_ = {position_.epoch + 1, 0};
    if (options_.shuffle) OrderEpoch();
  }
  return batch;
}

double TextLoader::PaddingShare() const {
  int64_t tokens = 0, positions = 0;
  for (int64_t batch = 0; batch < batches_per_epoch_; ++batch) {
    const absl::Span<const uint32_t> sentences = Sentences(batch);
    positions += Length(sentences) * static_cast<int64_t>(sentences.size());
    for (const uint32_t i : sentences) tokens += split_.length(i);
  }
  return static_cast<double>(positions - tokens) / static_cast<double>(positions);
}

std::string TextLoader::About() const {
  return absl::StrFormat(
      "%d of %d sentences were cut, the longest has %d tokens; %.1f%% of the batches is padding",
      split_.truncated, split_.size(), dataset_.max_length, 100 * PaddingShare());
}

}  // namespace halftone

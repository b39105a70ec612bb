// Labelled sentences in memory, as the numbers of their pieces.
#ifndef HALFTONE_DATASETS_TEXT_TEXT_DATASET_H_
#define HALFTONE_DATASETS_TEXT_TEXT_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace halftone {

struct TextSplit {
  std::vector<int32_t> ids;        // of all sentences in a row, each [CLS] ... [SEP]
  std::vector<int64_t> begins{0};  // sentence i: ids [begins[i], begins[i + 1])
  std::vector<int32_t> labels;     // in [0, num_classes)
  int64_t truncated = 0;           // sentences that were cut to the greatest length

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  int64_t length(int64_t i) const { return begins[i + 1] - begins[i]; }
  absl::Span<const int32_t> sentence(int64_t i) const {
    return {ids.data() + begins[i], static_cast<size_t>(length(i))};
  }
};

struct TextDataset {
  std::string name;
  int num_classes = 0;
  int32_t pad_id = 0;      // what batches are padded with
  int64_t vocabulary = 0;  // each id is in [0, vocabulary)
  int64_t max_length = 0;  // ids of the longest sentence of both splits
  TextSplit train, test;
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_TEXT_DATASET_H_

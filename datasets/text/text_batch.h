// Texts of several lengths as one tensor: what a BERT reads.
#ifndef HALFTONE_DATASETS_TEXT_TEXT_BATCH_H_
#define HALFTONE_DATASETS_TEXT_TEXT_BATCH_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tensor/device.h"
#include "tensor/tensor.h"

namespace halftone {

struct TextRow {
  absl::Span<const int32_t> ids;
  absl::Span<const int32_t> token_types;  // as many, or none: all 0
};

// The longest length rounded up to a multiple of `multiple`: S of the batch. multiple: 1 or more.
int64_t PaddedLength(int64_t longest, int64_t multiple);

// int64 [rows, 3, length]. Of each row the plane 0 holds the ids, then pad_id; 1 the attention mask, 1 for
// ids and 0 for padding; 2 the token types, then 0. No row is longer than `length`.
Tensor PadRows(Device& device, absl::Span<const TextRow> rows, int64_t length, int32_t pad_id);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_TEXT_BATCH_H_

#include "datasets/text/text_batch.h"

#include <algorithm>

#include "base/check.h"

namespace halftone {

int64_t PaddedLength(int64_t longest, int64_t multiple) {
  HALFTONE_CHECK(longest >= 0 && multiple >= 1);
  return (longest + multiple - 1) / multiple * multiple;
}

Tensor PadRows(Device& device, absl::Span<const TextRow> rows, int64_t length, int32_t pad_id) {
  Tensor batch = Tensor::Empty(device, DType::kI64, {static_cast<int64_t>(rows.size()), 3, length});
  int64_t* ids = batch.data<int64_t>();
  for (const TextRow& row : rows) {
    const auto n = static_cast<int64_t>(row.ids.size());
    HALFTONE_CHECK(n <= length && (row.token_types.empty() || row.token_types.size() == row.ids.size()));
    int64_t* mask = ids + length;
    int64_t* types = mask + length;
    std::fill(std::copy(row.ids.begin(), row.ids.end(), ids), mask, pad_id);
    std::fill(std::fill_n(mask, n, 1), types, 0);
    std::fill(std::copy(row.token_types.begin(), row.token_types.end(), types), types + length, 0);
    ids = types + length;
  }
  return batch;
}

}  // namespace halftone

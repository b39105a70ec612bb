// Autocast's op table: which class of cast each op is in, and why.
//
// The classes are those of PyTorch's autocast for CUDA (aten/src/ATen/autocast_mode.h): matrix products in
// the lower precision, losses in float32, additions in the widest type, everything else as it comes.
#ifndef HALFTONE_AMP_OP_TABLE_H_
#define HALFTONE_AMP_OP_TABLE_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nn/cast_policy.h"

namespace halftone::amp {

struct OpRow {
  nn::Op op;  // its name: nn::NameOf
  nn::CastClass cast;
  absl::string_view why;
};

// One row for each nn::Op, in its order.
absl::Span<const OpRow> OpTable();

absl::string_view NameOf(nn::CastClass cast);  // "lower precision", "float32", "promote", "as it comes"

}  // namespace halftone::amp

#endif  // HALFTONE_AMP_OP_TABLE_H_

#include "amp/op_table.h"

namespace halftone::amp {
namespace {

using nn::CastClass;
using nn::Op;

constexpr OpRow kOps[] = {
    {Op::kConv2d, "conv2d", CastClass::kLower, "a matrix product with float32 sums"},
    {Op::kLinear, "linear", CastClass::kLower, "a matrix product with float32 sums"},
    {Op::kBatchNorm, "batch_norm", CastClass::kAsIs, "statistics, scale and shift are float32 inside"},
    {Op::kActivation, "activation", CastClass::kAsIs, "element by element, one rounding"},
    {Op::kMaxPool, "max_pool2d", CastClass::kAsIs, "chooses, does not compute"},
    {Op::kAvgPool, "adaptive_avg_pool2d", CastClass::kAsIs, "float32 sums inside, one rounding"},
    {Op::kDropout, "dropout", CastClass::kAsIs, "element by element, one rounding"},
    {Op::kAdd, "add", CastClass::kPromote, "a residual keeps its widest branch"},
    {Op::kCrossEntropy, "cross_entropy", CastClass::kFloat32, "exponentials and logarithms need the range"},
    {Op::kMse, "mse_loss", CastClass::kFloat32, "squares overflow float16 from 256 on"},
};
static_assert(sizeof(kOps) / sizeof(kOps[0]) == nn::kNumOps);

}  // namespace

absl::Span<const OpRow> OpTable() { return kOps; }

absl::string_view NameOf(CastClass cast) {
  switch (cast) {
    case CastClass::kLower:
      return "lower precision";
    case CastClass::kFloat32:
      return "float32";
    case CastClass::kPromote:
      return "promote";
    case CastClass::kAsIs:
      return "as it comes";
  }
  return "";
}

}  // namespace halftone::amp

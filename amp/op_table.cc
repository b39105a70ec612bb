#include "amp/op_table.h"

namespace halftone::amp {
namespace {

using nn::CastClass;
using nn::Op;

constexpr OpRow kOps[] = {
    {Op::kConv2d, CastClass::kLower, "a matrix product with float32 sums"},
    {Op::kLinear, CastClass::kLower, "a matrix product with float32 sums"},
    {Op::kAttention, CastClass::kLower,
     "two matrix products with float32 sums; the softmax between is float32"},
    {Op::kBatchNorm, CastClass::kAsIs, "statistics, scale and shift are float32 inside"},
    {Op::kLayerNorm, CastClass::kAsIs, "statistics, scale and shift are float32 inside"},
    {Op::kActivation, CastClass::kAsIs, "element by element, one rounding"},
    {Op::kMaxPool, CastClass::kAsIs, "chooses, does not compute"},
    {Op::kAvgPool, CastClass::kAsIs, "float32 sums inside, one rounding"},
    {Op::kDropout, CastClass::kAsIs, "element by element, one rounding"},
    {Op::kAdd, CastClass::kPromote, "a residual keeps its widest branch"},
    {Op::kCrossEntropy, CastClass::kFloat32, "exponentials and logarithms need the range"},
    {Op::kMse, CastClass::kFloat32, "squares overflow float16 from 256 on"},
    {Op::kBce, CastClass::kFloat32, "exponentials and logarithms need the range"},
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

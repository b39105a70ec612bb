// Which dtype an op computes in: autocast's rules as an immutable value. amp/ makes the policies; ops only
// ask.
#ifndef HALFTONE_NN_CAST_POLICY_H_
#define HALFTONE_NN_CAST_POLICY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "tensor/dtype.h"

namespace halftone::nn {

// The ops that a policy knows, one for each function that records on a Graph.
enum class Op : uint8_t {
  kConv2d,
  kLinear,
  kAttention,
  kBatchNorm,
  kLayerNorm,
  kActivation,
  kMaxPool,
  kAvgPool,
  kDropout,
  kAdd,
  kCrossEntropy,
  kMse,
  kBce,
};
inline constexpr size_t kNumOps = static_cast<size_t>(Op::kBce) + 1;
inline constexpr std::array<absl::string_view, kNumOps> kOpNames = {
    "conv2d",        "linear",     "attention",           "batch_norm", "layer_norm",
    "activation",    "max_pool2d", "adaptive_avg_pool2d", "dropout",    "add",
    "cross_entropy", "mse_loss",   "binary_cross_entropy"};

constexpr absl::string_view NameOf(Op op) { return kOpNames[static_cast<size_t>(op)]; }

enum class CastClass : uint8_t {
  kLower,    // inputs are cast to the lower precision: matrix products, which hardware does fastest there
  kFloat32,  // 16-bit inputs are cast to float32: losses and sums, which need its range
  kPromote,  // inputs are cast to the widest dtype among them
  kAsIs,     // runs in the dtype that its input comes in
};

// float64 is never cast, and without a lower precision nothing is.
struct CastPolicy {
  absl::optional<DType> lower;  // kF16 or kBF16; kF32 in a part of the network that is to run in float32
  std::array<CastClass, kNumOps> classes = {};

  CastClass ClassOf(Op op) const { return classes[static_cast<size_t>(op)]; }

  // The dtype to compute `op` in, given the widest dtype of its inputs.
  DType Resolve(Op op, DType widest) const {
    if (!lower.has_value() || widest == DType::kF64) return widest;
    if (ClassOf(op) == CastClass::kLower) return *lower;
    if (ClassOf(op) == CastClass::kFloat32) return DType::kF32;
    return widest;
  }
};

// Another policy for a part of the network: for the modules whose whole path (nn/module.h) the pattern
// matches, and for all that is within them. In a pattern * stands for any characters, also for none; nothing
// else is special: "layer4", "layer4.*", "*.bn1".
struct PolicyOverride {
  std::string path;
  CastPolicy policy;
};

bool MatchesPath(absl::string_view pattern, absl::string_view path);

}  // namespace halftone::nn

#endif  // HALFTONE_NN_CAST_POLICY_H_

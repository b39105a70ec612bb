// Optimisers on an accelerator.
#ifndef HALFTONE_NN_OPTIM_OPTIMIZER_KERNELS_H_
#define HALFTONE_NN_OPTIM_OPTIMIZER_KERNELS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "base/philox.h"
#include "nn/optim/adam_rule.h"
#include "nn/optim/sgd_rule.h"
#include "tensor/tensor.h"

namespace halftone {

inline constexpr size_t kOptimizerSlots = 2;  // arrays that an optimiser remembers for a parameter, at most

// A ParamRef and what is remembered of it, in the accelerator's memory.
struct DeviceParam {
  float* value;  // null: the weights are 16-bit ones alone
  const float* grad;
  std::array<float*, kOptimizerSlots> slots;  // null: not remembered
  uint16_t* codes;                            // null: none
  uint16_t* excess;                           // of WeightRounding::kKahan, else null
  int64_t elements;
  uint32_t stream;  // of the random numbers
  bool decays;
  bool is_half;  // codes and excess; bfloat16 otherwise
};

struct DeviceUpdate {
  Device* device;
  absl::Span<const DeviceParam> params;
  float gradient_factor;
  const float* device_factor;  // times gradient_factor; null: 1
  // Learning rate and momentum in place of the rule's; NaN: the rule's; null: both are.
  const double* schedule;
  const int32_t* found_inf;  // null: 0. Not 0: nothing changes, `steps` neither
  int64_t* steps;            // taken before; counts this one
  std::optional<Rng> rng;    // rounds weights of 16 bits alone stochastically
};

struct OptimizerKernels {
  void (*sgd)(const SgdRule& rule, const DeviceUpdate& update);
  void (*adam)(const AdamRule& rule, const DeviceUpdate& update);
  // Of at most 256 float32 values, nearly in order: as SortValues (quant/codebook.h).
  void (*sort_values)(Tensor& values);
};

extern const OptimizerKernels kOptimizerKernels;

}  // namespace halftone

#endif  // HALFTONE_NN_OPTIM_OPTIMIZER_KERNELS_H_

// How much memory a run would take where every number has the bits of its format: what emulation cannot show.
//
//   estimated_memory = parameters + gradients + optimizer + activations
//
//   parameters   each weight's master copy (32 bits; 16 where a pure recipe keeps no other), its working copy where
//                that is another one (16 bits of a 16-bit recipe; of a quantised layer its format's bits, the
//                share of blocks' scales in them), 16 bits more where Kahan summation is on, and buffers (32)
//   gradients    32 bits a parameter: they arrive in full precision
//   optimizer    32 bits a parameter and slot: one of SGD with momentum, two of Adam and AdamW
//   activations  what the forward pass of a batch keeps for the backward pass, and the batch itself: each tensor's
//                elements times the fewer of its own bits and the activation bits of its layer, which is the
//                one that computes it or else the last one before it that can be quantised (norms, activation
//                functions, sums)
//
// The elements are counted, not guessed: a forward pass of 2 and one of 4 examples, without quantisers, say
// how what is kept grows with the batch. In float32 and 16 bits the sum is what the training step itself
// allocates, but for gradients of activations and workspaces, which come and go; below that it is what it
// would be if the numbers were stored as they are rounded.
#ifndef HALFTONE_TOOLS_SWEEP_ESTIMATE_H_
#define HALFTONE_TOOLS_SWEEP_ESTIMATE_H_

#include "absl/status/statusor.h"
#include "datasets/dataset.h"
#include "train/proto/sweep_config.pb.h"
#include "train/proto/train_config.pb.h"

namespace halftone::sweep {

// All but `threads`, `hardware` and `version`. `config` is resolved.
absl::StatusOr<RunFacts> EstimateRun(const TrainConfig& config, const Dataset& dataset);

}  // namespace halftone::sweep

#endif  // HALFTONE_TOOLS_SWEEP_ESTIMATE_H_

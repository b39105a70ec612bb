// float32 master weights and the 16-bit working copies that a model computes with, in sync after every
// update.
//
// Updates are often smaller than half a unit in the last place of a 16-bit weight and would be lost in it; so
// they go to the masters, and the working copies are rounded from those. (Micikevicius et al., "Mixed
// Precision Training", 2018, section 3.1.) Without masters there are 16-bit weights alone: half the memory,
// and stochastic rounding is then what keeps small updates, on average (Gupta et al., "Deep Learning with
// Limited Numerical Precision", 2015).
//
//   WeightManager<half> weights({}, initial);                  // initial: a span for each tensor
//   ... compute with weights.Working(i) ...
//   weights.StartStep(step);
//   weights.Update([&](size_t i, size_t begin, absl::Span<float> w) {
//     for (size_t j = 0; j < w.size(); ++j) w[j] -= rate * grads[i][begin + j];
//   });
//
// Code that wants whole tensors, like the optimisers of nn/optim, writes to MutableMaster(i); the working
// copy is then rounded when next read, once for each update and not once for each use.
//
// Every result is the same bits for any number of threads. Not for use from several threads at once, but for
// reading: after Sync, Working and Master may be called from any number of them.
#ifndef HALFTONE_SCALER_WEIGHT_MANAGER_H_
#define HALFTONE_SCALER_WEIGHT_MANAGER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "fp16/bfloat16.h"
#include "fp16/half.h"
#include "scaler/span_blocks.h"

namespace halftone {

struct WeightManagerOptions {
  bool masters = true;
  // false: to nearest even. true: stochastically, element j of tensor i in step s by number j of
  // Rng(seed).AtStep(s).Stream(i). Overflow is to infinity.
  bool stochastic = false;
  uint64_t seed = 1;
};

// All that resuming needs, as views: into the manager that gave it, until its next update.
template <typename T>
struct WeightManagerState {
  uint64_t step = 0;
  std::vector<absl::Span<const float>> masters;  // empty without masters
  std::vector<absl::Span<const T>> working;
};

// T: half or bfloat16.
template <typename T>
class WeightManager {
 public:
  // Copies the initial weights, one span a tensor, and rounds them as in step 0.
  WeightManager(const WeightManagerOptions& options, absl::Span<const absl::Span<const float>> initial);

  size_t tensors() const { return working_.size(); }

  // The step, 0 to 2^32 - 1, that the roundings to come belong to. Rounding one master twice in one step
  // gives the same bits; two updates without masters in one step would draw the same random numbers.
  void StartStep(uint64_t step);
  uint64_t step() const { return step_; }

  // The working copy of tensor i, rounded first if its master has changed.
  absl::Span<const T> Working(size_t i);
  // Rounds all working copies whose masters have changed: in one parallel loop, where Working does one by
  // one.
  void Sync();

  // These two need masters. MutableMaster's span is for writing until the next call of Working or Sync.
  absl::Span<const float> Master(size_t i) const;
  absl::Span<float> MutableMaster(size_t i);

  // Calls update(i, begin, values) for blocks of every tensor, from several threads: values are elements
  // [begin, begin + values.size()) of tensor i as floats, masters or widened, to be changed in place. Then
  // rounds the block, while it is in the cache.
  void Update(absl::FunctionRef<void(size_t i, size_t begin, absl::Span<float> values)> update);

  WeightManagerState<T> State();
  // Continues from `state`, copying it. Refuses one of other tensors, or with masters where these options
  // want none or the other way round; then nothing has changed.
  absl::Status Restore(const WeightManagerState<T>& state);

 private:
  void Round(size_t i, size_t begin, absl::Span<const float> values);
  SpanBlocks Blocks() const;

  const WeightManagerOptions options_;
  uint64_t step_ = 0;
  std::vector<std::vector<float>> masters_;  // empty without masters
  std::vector<std::vector<T>> working_;
  std::vector<bool> dirty_;  // by tensor: the master is newer
};

extern template class WeightManager<half>;
extern template class WeightManager<bfloat16>;

}  // namespace halftone

#endif  // HALFTONE_SCALER_WEIGHT_MANAGER_H_

#include "scaler/weight_manager.h"

#include <limits>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/parallel.h"
#include "base/status_macros.h"
#include "fp16/codec.h"
#include "fp16/convert.h"
#include "fp16/format.h"

namespace halftone {
namespace {

// A multiple of Philox's blocks of 4 numbers. A block and its float copy fit into the first-level cache.
constexpr size_t kBlock = 4096;

template <typename T>
constexpr FloatFormat kFormat = kFloat16;
template <>
constexpr FloatFormat kFormat<bfloat16> = kBfloat16;

absl::Status CheckTensors(const char* what, size_t saved, size_t expected) {
  if (saved == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("weights: the saved state has %s of %d tensors, expected %d", what, saved, expected));
}

absl::Status CheckSize(const char* what, size_t i, size_t saved, size_t expected) {
  if (saved == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "weights: the saved %s of tensor %d has %d elements, expected %d", what, i, saved, expected));
}

}  // namespace

template <typename T>
WeightManager<T>::WeightManager(const WeightManagerOptions& options,
                                absl::Span<const absl::Span<const float>> initial)
    : options_(options), dirty_(initial.size()) {
  for (const absl::Span<const float> weights : initial) {
    working_.emplace_back(weights.size());
    if (options_.masters) masters_.emplace_back(weights.begin(), weights.end());
  }
  Blocks().ParallelForEach([&](size_t i, size_t begin, size_t end, size_t) {
    Round(i, begin, initial[i].subspan(begin, end - begin));
  });
}

template <typename T>
SpanBlocks WeightManager<T>::Blocks() const {
  return SpanBlocks(
      working_.size(), [&](size_t i) { return working_[i].size(); }, kBlock);
}

template <typename T>
void WeightManager<T>::Round(size_t i, size_t begin, absl::Span<const float> values) {
  T* const to = working_[i].data() + begin;
  if (!options_.stochastic) return Convert(values.data(), to, values.size());
  static_assert(sizeof(T) == sizeof(uint16_t));
  const Rng rng = Rng(options_.seed).AtStep(step_).Stream(static_cast<uint32_t>(i));
  EncodeAll(kFormat<T>, values, Rounding::kStochastic, Overflow::kInfinity,
            absl::MakeSpan(reinterpret_cast<uint16_t*>(to), values.size()), RandomBits(rng, begin));
}

template <typename T>
void WeightManager<T>::StartStep(uint64_t step) {
  HALFTONE_CHECK(step <= std::numeric_limits<uint32_t>::max());
  Sync();  // what changed before belongs to the step before
  step_ = step;
}

template <typename T>
absl::Span<const T> WeightManager<T>::Working(size_t i) {
  if (dirty_[i]) {
    const std::vector<float>& master = masters_[i];
    ParallelForBlocks(master.size(), kBlock, [&](size_t, size_t begin, size_t end) {
      Round(i, begin, absl::MakeConstSpan(master).subspan(begin, end - begin));
    });
    dirty_[i] = false;
  }
  return working_[i];
}

template <typename T>
void WeightManager<T>::Sync() {
  std::vector<size_t> stale;
  for (size_t i = 0; i < dirty_.size(); ++i) {
    if (dirty_[i]) stale.push_back(i);
  }
  if (stale.empty()) return;
  const SpanBlocks blocks(
      stale.size(), [&](size_t k) { return masters_[stale[k]].size(); }, kBlock);
  blocks.ParallelForEach([&](size_t k, size_t begin, size_t end, size_t) {
    const size_t i = stale[k];
    Round(i, begin, absl::MakeConstSpan(masters_[i]).subspan(begin, end - begin));
  });
  dirty_.assign(dirty_.size(), false);
}

template <typename T>
absl::Span<const float> WeightManager<T>::Master(size_t i) const {
  HALFTONE_CHECK(options_.masters);
  return masters_[i];
}

template <typename T>
absl::Span<float> WeightManager<T>::MutableMaster(size_t i) {
  HALFTONE_CHECK(options_.masters);
  dirty_[i] = true;
  return absl::MakeSpan(masters_[i]);
}

template <typename T>
void WeightManager<T>::Update(
    absl::FunctionRef<void(size_t i, size_t begin, absl::Span<float> values)> update) {
  Blocks().ParallelForEach([&](size_t i, size_t begin, size_t end, size_t) {
    float widened[kBlock];
    absl::Span<float> values = absl::MakeSpan(widened).subspan(0, end - begin);
    if (options_.masters) {
      values = absl::MakeSpan(masters_[i]).subspan(begin, end - begin);
    } else {
      Convert(working_[i].data() + begin, widened, end - begin);
    }
    update(i, begin, values);
    Round(i, begin, values);
  });
  dirty_.assign(dirty_.size(), false);
}

template <typename T>
WeightManagerState<T> WeightManager<T>::State() {
  Sync();
  WeightManagerState<T> state = {.step = step_};
  for (const std::vector<float>& master : masters_) state.masters.push_back(master);
  for (const std::vector<T>& working : working_) state.working.push_back(working);
  return state;
}

template <typename T>
absl::Status WeightManager<T>::Restore(const WeightManagerState<T>& state) {
  if (state.step > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("weights: the saved step is %d, expected at most 2^32 - 1", state.step));
  }
  RETURN_IF_ERROR(CheckTensors("working copies", state.working.size(), working_.size()));
  RETURN_IF_ERROR(CheckTensors("master weights", state.masters.size(), masters_.size()));
  for (size_t i = 0; i < working_.size(); ++i) {
    RETURN_IF_ERROR(CheckSize("working copy", i, state.working[i].size(), working_[i].size()));
    if (!options_.masters) continue;
    RETURN_IF_ERROR(CheckSize("master", i, state.masters[i].size(), working_[i].size()));
  }
  // Copied before anything is given up, for `state` may be views into this very object.
  std::vector<std::vector<float>> masters;
  std::vector<std::vector<T>> working;
  for (const absl::Span<const float> m : state.masters) masters.emplace_back(m.begin(), m.end());
  for (const absl::Span<const T> w : state.working) working.emplace_back(w.begin(), w.end());
  masters_ = std::move(masters);
  working_ = std::move(working);
  dirty_.assign(dirty_.size(), false);
  step_ = state.step;
  return absl::OkStatus();
}

template class WeightManager<half>;
template class WeightManager<bfloat16>;

}  // namespace halftone

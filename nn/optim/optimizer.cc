#include "nn/optim/optimizer.h"

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "scaler/span_blocks.h"

namespace halftone {

Optimizer::Optimizer(std::vector<std::string> slots) : slots_(std::move(slots)) {
  HALFTONE_CHECK(slots_.size() <= kMaxSlots);
}

void Optimizer::Allocate(absl::Span<const ParamRef> params) {
  names_.clear();
  sizes_.clear();
  arrays_.clear();
  for (const ParamRef& param : params) {
    names_.emplace_back(param.name.data(), param.name.size());
    sizes_.push_back(param.value.size());
    for (size_t k = 0; k < slots_.size(); ++k) arrays_.emplace_back(param.value.size());
  }
  allocated_ = true;
}

void Optimizer::Step(absl::Span<const ParamRef> params, const StepOptions& options) {
  HALFTONE_CHECK(options.learning_rate >= 0 && std::isfinite(options.learning_rate));
  HALFTONE_CHECK(!options.momentum || (*options.momentum >= 0 && *options.momentum < 1));
  if (!allocated_) Allocate(params);
  HALFTONE_CHECK(params.size() == sizes_.size());
  for (size_t i = 0; i < params.size(); ++i) {
    HALFTONE_CHECK(params[i].value.size() == sizes_[i] && params[i].grad.size() == sizes_[i]);
  }

  constexpr size_t kBlock = 4096;  // no sums here: it matters to nothing but speed
  const SpanBlocks blocks(
      params.size(), [&](size_t i) { return sizes_[i]; }, kBlock);
  const Kernel kernel = Prepare(options, ++steps_);
  blocks.ParallelForEach([&](size_t i, size_t begin, size_t end, size_t) {
    std::array<float*, kMaxSlots> slots = {};
    for (size_t k = 0; k < slots_.size(); ++k) slots[k] = arrays_[i * slots_.size() + k].data() + begin;
    kernel(params[i].value.data() + begin, params[i].grad.data() + begin, slots, end - begin);
  });
}

OptimizerState Optimizer::State() const {
  OptimizerState state{.steps = steps_};
  if (steps_ == 0) return state;
  for (size_t i = 0; i < names_.size(); ++i) {
    for (size_t k = 0; k < slots_.size(); ++k) {
      state.tensors.push_back({absl::StrCat(slots_[k], "/", names_[i]), arrays_[i * slots_.size() + k]});
    }
  }
  return state;
}

absl::Status Optimizer::Restore(absl::Span<const ParamRef> params, const OptimizerState& state) {
  if (state.steps < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("optimizer state: %d steps taken, expected 0 or more", state.steps));
  }
  std::map<std::string, absl::Span<const float>> saved;
  for (const StateTensor& tensor : state.tensors) {
    if (!saved.emplace(tensor.name, tensor.value).second) {
      return absl::InvalidArgumentError(
          absl::StrFormat("optimizer state: tensor %s is there twice, expected it once", tensor.name));
    }
  }
  // Copied first, for a refused state changes nothing, and `state` may hold views into this very optimiser.
  std::vector<std::vector<float>> arrays;
  for (const ParamRef& param : params) {
    for (const std::string& slot : slots_) {
      if (state.steps == 0) continue;
      const auto it = saved.find(absl::StrCat(slot, "/", param.name));
      if (it == saved.end()) {
        return absl::NotFoundError(
            absl::StrFormat("optimizer state: tensor %s/%s is missing after %d steps of %s", slot, param.name,
                            state.steps, Describe()));
      }
      if (it->second.size() != param.value.size()) {
        return absl::InvalidArgumentError(
            absl::StrFormat("optimizer state: tensor %s has %d elements, expected %d as in its parameter",
                            it->first, it->second.size(), param.value.size()));
      }
      arrays.emplace_back(it->second.begin(), it->second.end());
      saved.erase(it);
    }
  }
  if (!saved.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "optimizer state: tensor %s is not expected with these parameters after %d steps of %s",
        saved.begin()->first, state.steps, Describe()));
  }
  Allocate(params);
  if (state.steps > 0) arrays_ = std::move(arrays);
  steps_ = state.steps;
  return absl::OkStatus();
}

}  // namespace halftone

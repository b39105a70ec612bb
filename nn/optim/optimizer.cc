#include "nn/optim/optimizer.h"

#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "fp16/codec.h"
#include "scaler/span_blocks.h"

namespace halftone {

namespace {

constexpr size_t kBlock = 4096;  // no sums here: it matters to nothing but speed
constexpr char kExcess[] = "kahan";

}  // namespace

Optimizer::Optimizer(std::vector<std::string> slots) : slots_(std::move(slots)) {
  HALFTONE_CHECK(slots_.size() <= kMaxSlots);
}

void Optimizer::RoundWeights16(WeightRounding rounding, const Rng& rng) {
  HALFTONE_CHECK(!allocated_);
  rounding_ = rounding;
  rng_ = rng;
}

void Optimizer::Allocate(absl::Span<const ParamRef> params) {
  names_.clear();
  sizes_.clear();
  arrays_.clear();
  excess_.clear();
  formats_.clear();
  for (const ParamRef& param : params) {
    names_.emplace_back(param.name.data(), param.name.size());
    sizes_.push_back(param.size());
    for (size_t k = 0; k < slots_.size(); ++k) arrays_.emplace_back(param.size());
    excess_.emplace_back(KeepsExcess(param) ? param.size() : 0);
    formats_.push_back(param.weights16.format);
  }
  allocated_ = true;
}

void Optimizer::Step(absl::Span<const ParamRef> params, const StepOptions& options) {
  HALFTONE_CHECK(options.learning_rate >= 0 && std::isfinite(options.learning_rate));
  HALFTONE_CHECK(std::isfinite(options.gradient_factor));
  HALFTONE_CHECK(!options.momentum || (*options.momentum >= 0 && *options.momentum < 1));
  if (!allocated_) Allocate(params);
  HALFTONE_CHECK(params.size() == sizes_.size());
  for (size_t i = 0; i < params.size(); ++i) {
    const ParamRef& p = params[i];
    HALFTONE_CHECK(p.size() == sizes_[i] && p.grad.size() == sizes_[i]);
    HALFTONE_CHECK(p.weights16.codes.empty() || p.weights16.codes.size() == sizes_[i]);
    HALFTONE_CHECK(excess_[i].size() == (KeepsExcess(p) ? sizes_[i] : 0));
  }

  const SpanBlocks blocks(
      params.size(), [&](size_t i) { return sizes_[i]; }, kBlock);
  ++steps_;
  const Kernel decaying = Prepare(options, steps_, true), other = Prepare(options, steps_, false);
  blocks.ParallelForEach([&](size_t i, size_t begin, size_t end, size_t) {
    std::array<float*, kMaxSlots> slots = {};
    for (size_t k = 0; k < slots_.size(); ++k) slots[k] = arrays_[i * slots_.size() + k].data() + begin;
    const ParamRef& p = params[i];
    const Kernel& kernel = p.decays ? decaying : other;
    if (p.value.empty()) return Update16(kernel, p, slots, i, begin, end);
    kernel(p.value.data() + begin, p.grad.data() + begin, slots, end - begin);
    if (p.weights16.codes.empty()) return;
    EncodeAll(p.weights16.format, p.value.subspan(begin, end - begin), Rounding::kNearestEven,
              Overflow::kInfinity, p.weights16.codes.subspan(begin, end - begin));
  });
}

// Elements [begin, end) of parameter i, which has no value.
void Optimizer::Update16(const Kernel& kernel, const ParamRef& p, const std::array<float*, kMaxSlots>& slots,
                         size_t i, size_t begin, size_t end) {
  const size_t n = end - begin;
  const FloatFormat& format = p.weights16.format;
  const absl::Span<uint16_t> codes = p.weights16.codes.subspan(begin, n);
  std::array<float, kBlock> weights, other;
  const absl::Span<float> w(weights.data(), n), o(other.data(), n);
  DecodeAll(format, codes, w);
  if (excess_[i].empty()) {
    kernel(w.data(), p.grad.data() + begin, slots, n);
    const bool stochastic = rounding_ == WeightRounding::kStochastic;
    EncodeAll(
        format, w, stochastic ? Rounding::kStochastic : Rounding::kNearestEven, Overflow::kInfinity, codes,
        stochastic ? RandomBits(rng_.AtStep(steps_).Stream(HashStream(names_[i])), begin) : RandomBits());
    return;
  }
  const absl::Span<uint16_t> excess = absl::MakeSpan(excess_[i]).subspan(begin, n);
  DecodeAll(format, excess, o);
  for (size_t j = 0; j < n; ++j) w[j] -= o[j];
  kernel(w.data(), p.grad.data() + begin, slots, n);
  EncodeAll(format, w, Rounding::kNearestEven, Overflow::kInfinity, codes);
  DecodeAll(format, codes, o);
  // Beyond the largest number there is nothing to give back.
  for (size_t j = 0; j < n; ++j) o[j] = std::isfinite(o[j]) ? o[j] - w[j] : 0;
  EncodeAll(format, o, Rounding::kNearestEven, Overflow::kInfinity, excess);
}

OptimizerState Optimizer::State() const {
  OptimizerState state{.steps = steps_};
  if (steps_ == 0) return state;
  for (size_t i = 0; i < names_.size(); ++i) {
    for (size_t k = 0; k < slots_.size(); ++k) {
      state.tensors.push_back({absl::StrCat(slots_[k], "/", names_[i]), arrays_[i * slots_.size() + k]});
    }
  }
  excess_floats_.assign(excess_.size(), {});
  for (size_t i = 0; i < excess_.size(); ++i) {
    if (excess_[i].empty()) continue;
    excess_floats_[i].resize(excess_[i].size());
    DecodeAll(formats_[i], excess_[i], absl::MakeSpan(excess_floats_[i]));
    state.tensors.push_back({absl::StrCat(kExcess, "/", names_[i]), excess_floats_[i]});
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
  std::vector<std::vector<float>> arrays, excesses;
  const auto take = [&](const ParamRef& param, absl::string_view slot,
                        std::vector<float>& to) -> absl::Status {
    const auto it = saved.find(absl::StrCat(slot, "/", param.name));
    if (it == saved.end()) {
      return absl::NotFoundError(
          absl::StrFormat("optimizer state: tensor %s/%s is missing after %d steps of %s", slot, param.name,
                          state.steps, Describe()));
    }
    if (it->second.size() != param.size()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("optimizer state: tensor %s has %d elements, expected %d as in its parameter",
                          it->first, it->second.size(), param.size()));
    }
    to.assign(it->second.begin(), it->second.end());
    saved.erase(it);
    return absl::OkStatus();
  };
  if (state.steps > 0) {
    for (const ParamRef& param : params) {
      for (const std::string& slot : slots_) RETURN_IF_ERROR(take(param, slot, arrays.emplace_back()));
      excesses.emplace_back();
      if (KeepsExcess(param)) RETURN_IF_ERROR(take(param, kExcess, excesses.back()));
    }
  }
  if (!saved.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "optimizer state: tensor %s is not expected with these parameters after %d steps of %s",
        saved.begin()->first, state.steps, Describe()));
  }
  Allocate(params);
  if (state.steps > 0) arrays_ = std::move(arrays);
  for (size_t i = 0; i < excesses.size(); ++i) {
    EncodeAll(params[i].weights16.format, excesses[i], Rounding::kNearestEven, Overflow::kInfinity,
              absl::MakeSpan(excess_[i]));
  }
  steps_ = state.steps;
  return absl::OkStatus();
}

}  // namespace halftone

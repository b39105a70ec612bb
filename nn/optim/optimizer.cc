#include "nn/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

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

std::array<float*, kOptimizerSlots> SlotsFrom(const DeviceParam& param, size_t begin) {
  std::array<float*, kOptimizerSlots> slots = param.slots;
  for (float*& slot : slots) {
    if (slot != nullptr) slot += begin;
  }
  return slots;
}

absl::Span<const uint16_t> Codes(const Tensor& t) {
  return {static_cast<const uint16_t*>(t.raw()), static_cast<size_t>(t.elements())};
}

}  // namespace

Optimizer::Optimizer(std::vector<std::string> slots)
    : slots_(std::move(slots)), steps_(Tensor::Zeros(cpu_, DType::kI64, {})) {
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
    const auto n = static_cast<int64_t>(param.size());
    names_.emplace_back(param.name.data(), param.name.size());
    sizes_.push_back(param.size());
    for (size_t k = 0; k < slots_.size(); ++k) {
      arrays_.push_back(Tensor::Zeros(*device_, DType::kF32, {n}));
    }
    excess_.push_back(KeepsExcess(param) ? Tensor::Zeros(*device_, DType::kF16, {n}) : Tensor());
    formats_.push_back(param.weights16.format);
  }
  allocated_ = true;
}

void Optimizer::MoveTo(Device& device) {
  if (device_ == &device) return;
  device_ = &device;
  steps_ = steps_.To(device);
  for (Tensor& t : arrays_) t = t.To(device);
  for (Tensor& t : excess_) {
    if (t.defined()) t = t.To(device);
  }
}

void Optimizer::Begin(absl::Span<const ParamRef> params, const StepOptions& options) {
  HALFTONE_CHECK(options.learning_rate >= 0 && std::isfinite(options.learning_rate));
  HALFTONE_CHECK(std::isfinite(options.gradient_factor));
  HALFTONE_CHECK(!options.momentum || (*options.momentum >= 0 && *options.momentum < 1));
  if (!allocated_) Allocate(params);
  HALFTONE_CHECK(params.size() == sizes_.size());
  for (size_t i = 0; i < params.size(); ++i) {
    const ParamRef& p = params[i];
    HALFTONE_CHECK(p.size() == sizes_[i] && p.grad.size() == sizes_[i]);
    HALFTONE_CHECK(p.weights16.codes.empty() || p.weights16.codes.size() == sizes_[i]);
    HALFTONE_CHECK(excess_[i].defined() == KeepsExcess(p));
  }
}

std::vector<DeviceParam> Optimizer::DeviceParams(absl::Span<const ParamRef> params) {
  std::vector<DeviceParam> all;
  all.reserve(params.size());
  for (size_t i = 0; i < params.size(); ++i) {
    const ParamRef& p = params[i];
    DeviceParam to = {.value = p.value.empty() ? nullptr : p.value.data(),
                      .grad = p.grad.data(),
                      .slots = {},
                      .codes = p.weights16.codes.empty() ? nullptr : p.weights16.codes.data(),
                      .excess = nullptr,
                      .elements = static_cast<int64_t>(sizes_[i]),
                      .stream = HashStream(names_[i]),
                      .decays = p.decays,
                      .is_half = p.weights16.format.mantissa_bits == kFloat16.mantissa_bits};
    for (size_t k = 0; k < slots_.size(); ++k) {
      to.slots[k] = arrays_[i * slots_.size() + k].device_data<float>();
    }
    if (excess_[i].defined()) to.excess = static_cast<uint16_t*>(excess_[i].device_raw());
    all.push_back(to);
  }
  return all;
}

void Optimizer::StepOn(Device& device, absl::Span<const ParamRef> params, const StepOptions& options,
                       const DeviceStep& known) {
  MoveTo(device);
  if (const auto* kernels = device.Kernels<OptimizerKernels>()) {
    Begin(params, options);
    const std::vector<DeviceParam> all = DeviceParams(params);
    DeviceUpdate update = {.device = &device,
                           .params = all,
                           .gradient_factor = options.gradient_factor,
                           .steps = steps_.device_data<int64_t>()};
    if (known.gradient_factor.defined()) update.device_factor = known.gradient_factor.device_data<float>();
    if (known.schedule.defined()) update.schedule = known.schedule.device_data<double>();
    if (known.found_inf.defined()) update.found_inf = known.found_inf.device_data<int32_t>();
    if (rounding_ == WeightRounding::kStochastic) update.rng = rng_;
    return StepOnDevice(*kernels, options, update);
  }
  if (known.found_inf.defined() && *known.found_inf.data<int32_t>() != 0) return;
  StepOptions all_known = options;
  if (known.gradient_factor.defined()) all_known.gradient_factor *= *known.gradient_factor.data<float>();
  if (known.schedule.defined()) {
    const double* schedule = known.schedule.data<double>();
    all_known.learning_rate = schedule[0];
    if (!std::isnan(schedule[1])) all_known.momentum = schedule[1];
  }
  Step(params, all_known);
}

void Optimizer::Step(absl::Span<const ParamRef> params, const StepOptions& options) {
  Begin(params, options);
  const int64_t t = ++*steps_.data<int64_t>();  // waits for the device: from here on all is the host's
  const std::vector<DeviceParam> remembered = DeviceParams(params);
  const Kernel decaying = Prepare(options, t, true), other = Prepare(options, t, false);
  const SpanBlocks blocks(
      params.size(), [&](size_t i) { return sizes_[i]; }, kBlock);
  blocks.ParallelForEach([&](size_t i, size_t begin, size_t end, size_t) {
    const ParamRef& p = params[i];
    const Kernel& kernel = p.decays ? decaying : other;
    if (p.value.empty()) return Update16(kernel, p, remembered[i], rng_.AtStep(t), begin, end);
    kernel(p.value.data() + begin, p.grad.data() + begin, SlotsFrom(remembered[i], begin), end - begin);
    if (p.weights16.codes.empty()) return;
    EncodeAll(p.weights16.format, p.value.subspan(begin, end - begin), Rounding::kNearestEven,
              Overflow::kInfinity, p.weights16.codes.subspan(begin, end - begin));
  });
}

// Elements [begin, end) of a parameter that has no value.
void Optimizer::Update16(const Kernel& kernel, const ParamRef& p, const DeviceParam& remembered,
                         const Rng& rng, size_t begin, size_t end) const {
  const size_t n = end - begin;
  const FloatFormat& format = p.weights16.format;
  const absl::Span<uint16_t> codes = p.weights16.codes.subspan(begin, n);
  std::array<float, kBlock> weights, other;
  const absl::Span<float> w(weights.data(), n), o(other.data(), n);
  DecodeAll(format, codes, w);
  if (remembered.excess == nullptr) {
    kernel(w.data(), p.grad.data() + begin, SlotsFrom(remembered, begin), n);
    const bool stochastic = rounding_ == WeightRounding::kStochastic;
    EncodeAll(format, w, stochastic ? Rounding::kStochastic : Rounding::kNearestEven, Overflow::kInfinity,
              codes, stochastic ? RandomBits(rng.Stream(remembered.stream), begin) : RandomBits());
    return;
  }
  const absl::Span<uint16_t> excess(remembered.excess + begin, n);
  DecodeAll(format, excess, o);
  for (size_t j = 0; j < n; ++j) w[j] -= o[j];
  kernel(w.data(), p.grad.data() + begin, SlotsFrom(remembered, begin), n);
  EncodeAll(format, w, Rounding::kNearestEven, Overflow::kInfinity, codes);
  DecodeAll(format, codes, o);
  // Beyond the largest number there is nothing to give back.
  for (size_t j = 0; j < n; ++j) o[j] = std::isfinite(o[j]) ? o[j] - w[j] : 0;
  EncodeAll(format, o, Rounding::kNearestEven, Overflow::kInfinity, excess);
}

OptimizerState Optimizer::State() const {
  OptimizerState state{.steps = steps()};
  if (state.steps == 0) return state;
  for (size_t i = 0; i < names_.size(); ++i) {
    for (size_t k = 0; k < slots_.size(); ++k) {
      state.tensors.push_back(
          {absl::StrCat(slots_[k], "/", names_[i]), arrays_[i * slots_.size() + k].span<float>()});
    }
  }
  excess_floats_.assign(excess_.size(), {});
  for (size_t i = 0; i < excess_.size(); ++i) {
    if (!excess_[i].defined()) continue;
    excess_floats_[i].resize(sizes_[i]);
    DecodeAll(formats_[i], Codes(excess_[i]), absl::MakeSpan(excess_floats_[i]));
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
  for (size_t i = 0; i < arrays.size(); ++i) {
    std::copy(arrays[i].begin(), arrays[i].end(), arrays_[i].data<float>());
  }
  for (size_t i = 0; i < excesses.size(); ++i) {
    if (!excess_[i].defined()) continue;
    EncodeAll(params[i].weights16.format, excesses[i], Rounding::kNearestEven, Overflow::kInfinity,
              absl::MakeSpan(static_cast<uint16_t*>(excess_[i].raw()), sizes_[i]));
  }
  *steps_.data<int64_t>() = state.steps;
  return absl::OkStatus();
}

}  // namespace halftone

#include "nn/optim/device_scaler.h"

#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/status_macros.h"
#include "nn/optim/parameters.h"
#include "nn/optim/unscale_kernels.h"
#include "scaler/unscale.h"

namespace halftone::nn {
namespace {

ScalerReport* ReportIn(Tensor& t) { return reinterpret_cast<ScalerReport*>(t.device_data<uint8_t>()); }

}  // namespace

DeviceScaler::DeviceScaler(Device& device, const LossScale& loss_scale)
    : device_(device),
      options_(loss_scale.options()),
      scale_(Tensor::Empty(device, DType::kF32, {})),
      report_(Tensor::Empty(device, DType::kU8, {sizeof(ScalerReport)})),
      known_{.gradient_factor = Tensor::Empty(device, DType::kF32, {}),
             .found_inf = Tensor::Zeros(device, DType::kI32, {})} {
  HALFTONE_CHECK(options_.floor_policy != FloorPolicy::kFallback);
  Start(loss_scale.state());
}

void DeviceScaler::Start(const LossScaleState& state) {
  const ScalerReport report = {.loss_scale = state};
  std::memcpy(report_.raw(), &report, sizeof(report));
  *scale_.data<float>() = state.scale;
  *known_.gradient_factor.data<float>() = 1;
  *known_.found_inf.data<int32_t>() = 0;
  unscaled_ = false;
}

absl::Status DeviceScaler::Unscale(absl::Span<Parameter* const> parameters, const UnscaleOptions& options) {
  HALFTONE_CHECK(!unscaled_ && options.micro_batches > 0);
  HALFTONE_CHECK(options.max_norm == options.max_norm && options.max_value == options.max_value);
  HALFTONE_CHECK(!options.zeros.defined() ||
                 options.zeros.elements() == static_cast<int64_t>(parameters.size()));
  RETURN_IF_ERROR(FillGradients(parameters));
  unscaled_ = true;
  Tensor zeros = options.zeros;
  const auto micro_batches = static_cast<double>(options.micro_batches);
  if (const auto* kernels = device_.Kernels<UnscaleKernels>()) {
    std::vector<DeviceGradients::Array> arrays;
    arrays.reserve(parameters.size());
    for (Parameter* p : parameters) {
      Tensor& gradient = p->mutable_gradient();
      arrays.push_back({gradient.device_data<float>(), gradient.elements()});
    }
    kernels->unscale(device_, {.gradients = arrays,
                               .scale = scale_.device_data<float>(),
                               .micro_batches = micro_batches,
                               .max_norm = options.max_norm,
                               .max_value = options.max_value,
                               .zeros = zeros.defined() ? zeros.device_data<int64_t>() : nullptr,
                               .report = ReportIn(report_),
                               .clip_factor = known_.gradient_factor.device_data<float>(),
                               .found_inf = known_.found_inf.device_data<int32_t>()});
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<absl::Span<float>> gradients, GradientsOf(parameters));
  const GradStats stats = UnscaleAndCheck(gradients, *scale_.data<float>() * micro_batches,
                                          zeros.defined() ? zeros.span<int64_t>() : absl::Span<int64_t>());
  if (stats.finite) ClipByValue(gradients, options.max_value);
  ScalerReport& report = *ReportIn(report_);
  report.grads = stats;
  report.clip_factor = stats.finite ? ClipFactor(options.max_norm, stats.norm) : 1;
  *known_.gradient_factor.data<float>() = report.clip_factor;
  *known_.found_inf.data<int32_t>() = !stats.finite;
  return absl::OkStatus();
}

void DeviceScaler::Abandon() { unscaled_ = false; }

void DeviceScaler::Update() {
  HALFTONE_CHECK(unscaled_);
  unscaled_ = false;
  if (const auto* kernels = device_.Kernels<UnscaleKernels>()) {
    return kernels->update(device_, options_, ReportIn(report_), scale_.device_data<float>());
  }
  device_.Synchronize();
  ScalerReport& report = *ReportIn(report_);
  report.update = AdvanceLossScale(options_, report.loss_scale, report.grads.finite);
  *scale_.data<float>() = report.loss_scale.scale;
}

ScalerReport DeviceScaler::Read(const Tensor& snapshot) {
  HALFTONE_CHECK(snapshot.bytes() == sizeof(ScalerReport));
  ScalerReport report;
  std::memcpy(&report, snapshot.raw(), sizeof(report));
  return report;
}

absl::Status DeviceScaler::Restore(const LossScaleState& state) {
  ASSIGN_OR_RETURN(LossScale loss_scale, LossScale::Create(options_));
  RETURN_IF_ERROR(loss_scale.Restore(state));
  Start(state);
  return absl::OkStatus();
}

}  // namespace halftone::nn

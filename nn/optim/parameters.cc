#include "nn/optim/parameters.h"

#include <algorithm>
#include <cstdint>

#include "base/status_macros.h"
#include "fp16/format.h"
#include "quant/codebook.h"

namespace halftone::nn {
namespace {

Weights16 Codes(Tensor& tensor) {
  return {.format = tensor.dtype() == DType::kF16 ? kFloat16 : kBfloat16,
          .codes = absl::MakeSpan(static_cast<uint16_t*>(tensor.device_raw()),
                                  static_cast<size_t>(tensor.elements()))};
}

absl::Span<float> Floats(Tensor& tensor) {
  return absl::MakeSpan(tensor.device_data<float>(), static_cast<size_t>(tensor.elements()));
}

// The copy that is updated together with a float32 master; null if there is none.
Tensor* WorkingCopy(Parameter& p) {
  return p.master().dtype() == DType::kF32 ? p.mutable_working16() : nullptr;
}

// Their spans are the device's, which has not been waited for.
std::vector<ParamRef> DeviceParamRefs(absl::Span<Parameter* const> parameters) {
  std::vector<ParamRef> refs;
  refs.reserve(parameters.size());
  for (Parameter* p : parameters) {
    ParamRef ref = {.name = p->path(), .decays = p->decays()};
    if (p->master().dtype() == DType::kF32) {
      ref.value = Floats(p->mutable_master());
      if (Tensor* working = WorkingCopy(*p)) ref.weights16 = Codes(*working);
    } else {
      ref.weights16 = Codes(p->mutable_master());
    }
    if (p->gradient().defined()) ref.grad = Floats(p->mutable_gradient());
    refs.push_back(ref);
  }
  return refs;
}

}  // namespace

absl::Status FillGradients(absl::Span<Parameter* const> parameters) {
  if (std::none_of(parameters.begin(), parameters.end(),
                   [](const Parameter* p) { return p->gradient().defined(); })) {
    return absl::FailedPreconditionError("no parameter has a gradient: the loss depends on none of them");
  }
  for (Parameter* p : parameters) {
    if (p->gradient().defined()) continue;
    p->mutable_gradient() = Tensor::Zeros(p->master().device(), DType::kF32, p->shape());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<absl::Span<float>>> GradientsOf(absl::Span<Parameter* const> parameters) {
  RETURN_IF_ERROR(FillGradients(parameters));
  std::vector<absl::Span<float>> gradients;
  gradients.reserve(parameters.size());
  for (Parameter* p : parameters) gradients.push_back(p->mutable_gradient().span<float>());
  return gradients;
}

std::vector<ParamRef> ParamRefs(absl::Span<Parameter* const> parameters) {
  if (!parameters.empty()) parameters[0]->master().device().Synchronize();
  return DeviceParamRefs(parameters);
}

void Step(Optimizer& optimizer, absl::Span<Parameter* const> parameters, const StepOptions& options,
          const DeviceStep& known) {
  if (parameters.empty()) return;
  Device& device = parameters[0]->master().device();
  optimizer.StepOn(device, DeviceParamRefs(parameters), options, known);
  const auto* kernels = device.Kernels<OptimizerKernels>();
  for (Parameter* p : parameters) {
    if (p->ascending()) {
      Tensor& values = p->mutable_master();
      kernels != nullptr ? kernels->sort_values(values) : SortValues(values.span<float>());
    }
    WorkingCopy(*p) != nullptr ? p->MarkUpdatedWithWorking() : p->MarkUpdated();
  }
}

void ClearGradients(absl::Span<Parameter* const> parameters) {
  for (Parameter* p : parameters) p->ClearGradient();
}

}  // namespace halftone::nn

#include "nn/parameter.h"

#include "base/check.h"
#include "base/parallel.h"
#include "tensor/ops/cast/cast.h"
#include "tensor/ops/elementwise/elementwise.h"

namespace halftone::nn {

void Parameter::Initialize(Device& device, const Rng& rng, std::string path) {
  path_ = std::move(path);
  Tensor master = Tensor::Empty(device, DType::kF32, shape_);
  float* out = master.data<float>();
  const Rng stream = rng.Stream(HashStream(path_));
  const auto value = static_cast<float>(init_.value);
  ParallelFor(master.elements(), 4096, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      switch (init_.kind) {
        case Init::kConstant:
          out[i] = value;
          break;
        case Init::kNormal:
          out[i] = value * stream.Normal(i);
          break;
        case Init::kUniform:
          out[i] = value * (2 * stream.Uniform(i) - 1);
          break;
      }
    }
  });
  SetMaster(dtype_ == DType::kF32 ? std::move(master) : ops::Cast(master, dtype_));
}

void Parameter::SetMaster(Tensor master) {
  HALFTONE_CHECK(master.shape() == shape_);
  master_ = std::move(master);
  gradient_ = Tensor();
  working_ = Tensor();
  working_fresh_ = false;
}

const Tensor& Parameter::Working(DType dtype) {
  if (dtype == master_.dtype()) return master_;
  if (!working_fresh_ || working_.dtype() != dtype) {
    working_ = ops::Cast(master_, dtype);
    working_fresh_ = true;
  }
  return working_;
}

void Parameter::ClearGradient() {
  const Tensor none;  // by name: of a temporary GCC 12 warns falsely, as uninitialised
  gradient_ = none;
}

Tensor* Parameter::mutable_working16() {
  const bool is16 = working_.defined() && SizeOf(working_.dtype()) == 2;
  return is16 ? &working_ : nullptr;
}

void Parameter::AccumulateGradient(Tensor gradient) {
  HALFTONE_CHECK(gradient.shape() == shape_ && gradient.dtype() == full_precision());
  if (gradient_.defined()) {
    ops::AddInPlace(gradient_, gradient);
  } else {
    gradient_ = std::move(gradient);
  }
}

}  // namespace halftone::nn

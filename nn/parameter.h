// What a module learns, and what it remembers without learning.
#ifndef HALFTONE_NN_PARAMETER_H_
#define HALFTONE_NN_PARAMETER_H_

#include <string>
#include <utility>
#include <vector>

#include "base/philox.h"
#include "tensor/tensor.h"

namespace halftone::nn {

// How the elements of a parameter start. Normal and uniform draw from a Philox stream keyed by the
// parameter's path.
struct Init {
  enum Kind { kConstant, kNormal, kUniform } kind = kConstant;
  double value = 0;  // the constant; the standard deviation; the bound b of U(-b, b)

  static constexpr Init Constant(double value) { return {kConstant, value}; }
  static constexpr Init Normal(double std) { return {kNormal, std}; }
  static constexpr Init Uniform(double bound) { return {kUniform, bound}; }
};

// A learned tensor: a master copy, its gradient, and a working copy in another precision that is cast from
// the master once after each update, not once a use. The master is float32; float64 in gradient checks;
// float16 or bfloat16 where nothing more is kept of the weights.
class Parameter {
 public:
  Parameter(Shape shape, Init init, DType dtype = DType::kF32)
      : shape_(std::move(shape)), init_(init), dtype_(dtype) {}
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const Shape& shape() const { return shape_; }
  const std::string& path() const { return path_; }  // "layer1.0.conv1.weight"

  // Allocates the master copy and fills it. The same bits for the same (rng, path), whatever else the model
  // has.
  void Initialize(Device& device, const Rng& rng, std::string path);

  const Tensor& master() const { return master_; }
  // For whoever updates the weights: call MarkUpdated afterwards.
  Tensor& mutable_master() { return master_; }
  void MarkUpdated() { working_fresh_ = false; }
  // The working copy where it is float16 or bfloat16, else null: for whoever updates it together with the
  // master, and then calls MarkUpdatedWithWorking instead.
  Tensor* mutable_working16();
  void MarkUpdatedWithWorking() { working_fresh_ = true; }
  // Replaces master copy (and so its dtype); the gradient is dropped.
  void SetMaster(Tensor master);

  // The weights in `dtype`, rounded to nearest even.
  const Tensor& Working(DType dtype);

  // In which the gradient is, and what is added to an output as it is, a bias say: float64 where the master
  // is, else float32.
  DType full_precision() const { return master_.dtype() == DType::kF64 ? DType::kF64 : DType::kF32; }

  // The sum of the gradients since ClearGradient; undefined when there was none.
  const Tensor& gradient() const { return gradient_; }
  Tensor& mutable_gradient() { return gradient_; }
  // Whether most of the gradient is zero by its nature: of a table that a step looks up few rows of.
  bool sparse() const { return sparse_; }
  void set_sparse() { sparse_ = true; }
  // Whether weight decay is for it: it is, unless it is something else than a weight, a scale say.
  bool decays() const { return decays_; }
  void set_decays(bool decays) { decays_ = decays; }
  // Whether its values are kept in ascending order, which after an update is to name them anew: of a
  // codebook.
  bool ascending() const { return ascending_; }
  void set_ascending() { ascending_ = true; }
  void AccumulateGradient(Tensor gradient);
  void ClearGradient();

 private:
  Shape shape_;
  Init init_;
  DType dtype_;  // of the master at the start
  std::string path_;
  Tensor master_, gradient_, working_;
  bool working_fresh_ = false;
  bool sparse_ = false;
  bool decays_ = true;
  bool ascending_ = false;
};

// A tensor that is state but has no gradient: running statistics. float32 (float64 in gradient checks) or
// int64.
struct Buffer {
  Shape shape;
  double initial = 0;
  DType dtype = DType::kF32;
  Tensor value;
};

}  // namespace halftone::nn

#endif  // HALFTONE_NN_PARAMETER_H_

// The sizes of a tensor's dimensions, slowest first. Images are [N, H, W, C].
#ifndef HALFTONE_TENSOR_SHAPE_H_
#define HALFTONE_TENSOR_SHAPE_H_

#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"

namespace halftone {

class Shape {
 public:
  Shape() = default;  // a scalar
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) { Check(); }
  explicit Shape(absl::Span<const int64_t> dims) : dims_(dims.begin(), dims.end()) { Check(); }

  int rank() const { return static_cast<int>(dims_.size()); }
  // Negative i counts from the end.
  int64_t operator[](int i) const { return dims_[i < 0 ? i + rank() : i]; }
  absl::Span<const int64_t> dims() const { return dims_; }
  int64_t elements() const;
  std::string ToString() const;  // "[2, 3]"

  friend bool operator==(const Shape& a, const Shape& b) { return a.dims_ == b.dims_; }

 private:
  void Check() const;

  absl::InlinedVector<int64_t, 4> dims_;
};

}  // namespace halftone

#endif  // HALFTONE_TENSOR_SHAPE_H_

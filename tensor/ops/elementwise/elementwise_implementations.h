// The implementations of elementwise.h, fastest first; the first that supports a dtype is used.
#ifndef HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_IMPLEMENTATIONS_H_
#define HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_IMPLEMENTATIONS_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "tensor/dtype.h"

namespace halftone::ops {

struct ElementwiseImplementation {
  absl::string_view name;
  bool (*supports)(DType dtype);
  // One thread; y may be a.
  void (*add)(DType dtype, const void* a, const void* b, void* y, size_t n);
  void (*scale)(DType dtype, const void* a, double factor, void* y, size_t n);
};

absl::Span<const ElementwiseImplementation> ElementwiseImplementations();

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_ELEMENTWISE_ELEMENTWISE_IMPLEMENTATIONS_H_

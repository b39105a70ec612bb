// Tensors for tests.
#ifndef HALFTONE_TESTING_TENSORS_H_
#define HALFTONE_TESTING_TENSORS_H_

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace halftone {

inline constexpr DType kFloatDTypes[] = {DType::kF64, DType::kF32, DType::kF16, DType::kBF16};

// The distance from 1 to the next number of a float dtype.
double EpsilonOf(DType dtype);

// Standard normal numbers, rounded to the dtype; the same for the same seed.
Tensor RandomTensor(Device& device, DType dtype, Shape shape, uint64_t seed);
// The same values, each rounded to the (float) dtype.
Tensor FromDoubles(Device& device, DType dtype, Shape shape, const std::vector<double>& values);
std::vector<double> ToDoubles(const Tensor& t);

// Same dtype, same shape, same bits.
bool SameBits(const Tensor& a, const Tensor& b);
// max |a - b| / max(1, max |b|); infinite where a NaN or an infinity of one is not the other's.
double Distance(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace halftone

#endif  // HALFTONE_TESTING_TENSORS_H_

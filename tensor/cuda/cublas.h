// Products of matrices by cuBLASLt. Errors become the accelerator's status, with the call's name.
#ifndef HALFTONE_TENSOR_CUDA_CUBLAS_H_
#define HALFTONE_TENSOR_CUDA_CUBLAS_H_

#include "tensor/cuda/cublas_product.h"
#include "tensor/device.h"

namespace halftone::cuda {

// c = scale * a b, told to a GPU. Of 16-bit numbers the products are exact and the sums float32, rounded once
// into c; of float32, both are float32 unless MathOptions say otherwise. The same arguments give the same
// bits on the same GPU. The algorithm is chosen when a product first comes, and kept with the device, as a
// workspace of some MiB is.
void Multiply(Device& device, const Product& product, const void* a, const void* b, void* c,
              double scale = 1);

// c = a b + bias (product.bias). False: cuBLASLt has nothing for that, though it may for the product alone,
// and nothing was done. After an error true: the status says what it was.
bool MultiplyAndAdd(Device& device, const Product& product, const void* a, const void* b, const void* bias,
                    void* c);

// 8-bit floats of OFP8: codes, row by row, and the scale that each is to be multiplied with, all on the
// device.
struct Float8Matrix {
  bool e5m2 = false;  // else E4M3
  const void* codes = nullptr;
  const float* scale = nullptr;
};

// c [m, n] = a b^T, a [m, k], b [n, k], sums times both scales, with as many bits as the GPU keeps
// (Hopper's: 13 or so below the largest term): for GPUs of compute capability 8.9 and more. False: cuBLASLt
// has nothing for that, and nothing was done.
bool MultiplyFloat8(Device& device, int64_t m, int64_t n, int64_t k, const Float8Matrix& a,
                    const Float8Matrix& b, float* c);

}  // namespace halftone::cuda

#endif  // HALFTONE_TENSOR_CUDA_CUBLAS_H_

// Layer normalisation over the last dimension: for each row of n numbers of x [..., n]
//
//   y = (x - mean) / sqrt(variance + eps) * gamma + beta
//
// with the mean and the (biased) variance of the row itself.
//
// Ba, Kiros, Hinton: "Layer Normalization", 2016. Mean and variance are those of the corrected two-pass
// algorithm: Chan, Golub, LeVeque: "Algorithms for Computing the Sample Variance", 1983.
//
// x, y and their gradients are of any one float dtype. All the rest is f32, or f64 where x is; so are the
// sums. The results have the same bits for any number of threads.
#ifndef HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_H_
#define HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_H_

#include "absl/types/optional.h"
#include "tensor/tensor.h"

namespace halftone::ops {

struct LayerNormOptions {
  double eps = 1e-5;  // 1e-12 in BERT, 1e-6 in ViT and MLP-Mixer
  // Also gives (x - mean) / sqrt(variance + eps) in this dtype, of 16 or 32 bits: numbers of about 1, all
  // that the backward pass needs of x. Half the memory of an x in float32.
  absl::optional<DType> keep = absl::nullopt;
};

struct LayerNormResult {
  Tensor y;
  // Of each of the rows, for LayerNormBackward. The mean is the sum of both columns of [rows, 2]: a pivot,
  // and what it misses of the mean. Far from zero one float alone could miss it by a row's whole deviation.
  Tensor mean, inv_std;
  Tensor normalised;  // undefined unless options.keep
};

// gamma and beta [n].
LayerNormResult LayerNormForward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                 const LayerNormOptions& options);

struct LayerNormGradients {
  Tensor dx, dgamma, dbeta;
};

// Of LayerNormForward with the same x and gamma.
LayerNormGradients LayerNormBackward(const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                     const Tensor& inv_std, const Tensor& dy);

// The same from result.normalised alone; dx in dy's dtype.
LayerNormGradients LayerNormBackward(const Tensor& normalised, const Tensor& gamma, const Tensor& inv_std,
                                     const Tensor& dy);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_LAYER_NORM_LAYER_NORM_H_

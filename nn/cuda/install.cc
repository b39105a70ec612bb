#include "nn/cuda/install.h"

#include "nn/optim/optimizer_kernels.h"
#include "nn/optim/unscale_kernels.h"
#include "nn/quantizer_kernels.h"
#include "tensor/ops/activation/activation_device_kernels.h"
#include "tensor/ops/avg_pool/avg_pool_kernels.h"
#include "tensor/ops/batch_norm/batch_norm_kernels.h"
#include "tensor/ops/bce/bce_kernels.h"
#include "tensor/ops/cast/cast_kernels.h"
#include "tensor/ops/cross_entropy/cross_entropy_kernels.h"
#include "tensor/ops/dropout/dropout_kernels.h"
#include "tensor/ops/elementwise/elementwise_kernels.h"
#include "tensor/ops/embedding/embedding_kernels.h"
#include "tensor/ops/grid_graph/grid_graph_kernels.h"
#include "tensor/ops/images/images_kernels.h"
#include "tensor/ops/layer_norm/layer_norm_kernels.h"
#include "tensor/ops/max_pool/max_pool_kernels.h"
#include "tensor/ops/mse/mse_kernels.h"
#include "tensor/ops/patches/patches_kernels.h"
#include "tensor/ops/safety/safety_counts.h"
#include "tensor/ops/tokens/tokens_kernels.h"
#include "tensor/ops/transpose/transpose_kernels.h"

namespace halftone::cuda {

void InstallKernels(Device& device) {
  device.Install(kOptimizerKernels);
  device.Install(nn::kQuantizerKernels);
  device.Install(nn::kUnscaleKernels);
  device.Install(ops::kActivationDeviceKernels);
  device.Install(ops::kAvgPoolKernels);
  device.Install(ops::kBatchNormKernels);
  device.Install(ops::kBceKernels);
  device.Install(ops::kCastKernels);
  device.Install(ops::kCrossEntropyKernels);
  device.Install(ops::kDropoutKernels);
  device.Install(ops::kElementwiseKernels);
  device.Install(ops::kEmbeddingKernels);
  device.Install(ops::kGridGraphKernels);
  device.Install(ops::kImagesKernels);
  device.Install(ops::kLayerNormKernels);
  device.Install(ops::kMaxPoolKernels);
  device.Install(ops::kMseKernels);
  device.Install(ops::kPatchesKernels);
  device.Install(ops::kSafetyCountKernels);
  device.Install(ops::kTokensKernels);
  device.Install(ops::kTransposeKernels);
}

}  // namespace halftone::cuda

// Images of bytes as networks take them: cropped from the image within zeros, mirrored, normalised by a table:
//
//   y[n, r, x, c] = table[c, pixels[n, c, r + row, x' + column]],   x' = W - 1 - x if mirrored, else x
//
// and 0 where that is outside of the image: padding is zero after normalisation.
#ifndef HALFTONE_TENSOR_OPS_IMAGES_IMAGES_H_
#define HALFTONE_TENSOR_OPS_IMAGES_IMAGES_H_

#include <cstdint>

#include "tensor/tensor.h"

namespace halftone::ops {

struct ImageSize {
  int channels = 0, height = 0, width = 0;
};

// Where the crop, as large as the image, starts in it: 0, 0 is the image itself.
struct ImageCrop {
  int32_t row = 0, column = 0;
  bool mirror = false;  // left to right, after the crop
};

inline constexpr int kPixelValues = 256;

// One image, by the calling thread alone: bytes [C, H, W] and table [C, 256] to out [H, W, C].
void RenderImage(const ImageSize& size, const uint8_t* image, const float* table, const ImageCrop& crop,
                 float* out);

// The same of many: pixels uint8 [N, C, H, W], crops int32 [N, 3] (row, column, 1 to mirror), table float32
// [C, 256] to float32 [N, H, W, C].
Tensor RenderImages(const Tensor& pixels, const Tensor& crops, const Tensor& table);

}  // namespace halftone::ops

#endif  // HALFTONE_TENSOR_OPS_IMAGES_IMAGES_H_

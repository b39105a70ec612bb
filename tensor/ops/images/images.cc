#include "tensor/ops/images/images.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "tensor/ops/images/images_kernels.h"

namespace halftone::ops {

void RenderImage(const ImageSize& size, const uint8_t* image, const float* table, const ImageCrop& crop,
                 float* out) {
  const int height = size.height, width = size.width, channels = size.channels;
  // The columns of the crop, before it is mirrored, that lie in the image; the others are padding.
  const int begin = std::clamp(-crop.column, 0, width), end = std::clamp(width - crop.column, begin, width);
  const ptrdiff_t step = crop.mirror ? -channels : channels;
  const ptrdiff_t first = ptrdiff_t{crop.mirror ? width - 1 - begin : begin} * channels;
  const ptrdiff_t row_size = ptrdiff_t{width} * channels;
  for (int y = 0; y < height; ++y, out += row_size) {
    const int from = y + crop.row;
    const bool inside = from >= 0 && from < height;
    if (!inside || begin > 0 || end < width) std::fill_n(out, row_size, 0.0f);
    if (!inside) continue;
    for (int c = 0; c < channels; ++c) {
      const uint8_t* row = image + (ptrdiff_t{c} * height + from) * width;
      const float* values = table + ptrdiff_t{c} * kPixelValues;
      ptrdiff_t at = first + c;
      for (int x = begin; x < end; ++x, at += step) out[at] = values[row[x + crop.column]];
    }
  }
}

Tensor RenderImages(const Tensor& pixels, const Tensor& crops, const Tensor& table) {
  const Shape& s = pixels.shape();
  HALFTONE_CHECK(pixels.dtype() == DType::kU8 && s.rank() == 4);
  HALFTONE_CHECK(crops.dtype() == DType::kI32 && crops.shape() == Shape({s[0], 3}));
  HALFTONE_CHECK(table.dtype() == DType::kF32 && table.shape() == Shape({s[1], kPixelValues}));
  Tensor y = Tensor::Empty(pixels.device(), DType::kF32, {s[0], s[2], s[3], s[1]});
  if (y.elements() == 0) return y;
  if (const auto* kernels = pixels.device().Kernels<ImagesKernels>()) {
    kernels->render(pixels, crops, table, y);
    return y;
  }
  const ImageSize size = {static_cast<int>(s[1]), static_cast<int>(s[2]), static_cast<int>(s[3])};
  const int64_t elements = s[1] * s[2] * s[3];
  const int32_t* crop = crops.data<int32_t>();
  for (int64_t n = 0; n < s[0]; ++n, crop += 3) {
    RenderImage(size, pixels.data<uint8_t>() + n * elements, table.data<float>(),
                {.row = crop[0], .column = crop[1], .mirror = crop[2] != 0}, y.data<float>() + n * elements);
  }
  return y;
}

}  // namespace halftone::ops

// Vector code of quant/codebook.h: one piece of one row, one thread. Each element's result depends on its own
// value alone; sums on places within the piece, never on the instruction set.
#ifndef HALFTONE_QUANT_CODEBOOK_KERNELS_H_
#define HALFTONE_QUANT_CODEBOOK_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "quant/codebook_search.h"

namespace halftone {

// `stream`: past the caches, for outputs that are larger than those.
void FakeQuantizePiece(const CodebookSearch& search, float scale, const float* x, float* y, size_t n,
                       bool stream);
void QuantizePiece(const CodebookSearch& search, float scale, const float* x, uint8_t* codes, size_t n);
void DequantizePiece(const CodebookSearch& search, float scale, const uint8_t* codes, float* y, size_t n,
                     bool stream);

// What BackwardPiece adds into for each value: the value's sum is that of its kSumLanes numbers.
inline constexpr size_t kSumLanes = 8;

struct BackwardPieceArguments {
  float scale;
  const float* x;
  const float* dy;
  float* dx;
  size_t n;
  double* value_sums;  // [search.tree_size][kSumLanes], or null where they are not wanted
  bool wants_scale;
  bool stream;
};
// Writes dx, adds to value_sums, and gives the scale's gradient (0 where it is not wanted).
double BackwardPiece(const CodebookSearch& search, const BackwardPieceArguments& arguments);

}  // namespace halftone

#endif  // HALFTONE_QUANT_CODEBOOK_KERNELS_H_

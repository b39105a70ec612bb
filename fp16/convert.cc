#include "fp16/convert.h"

namespace halftone {
namespace {

template <typename From, typename To>
void ConvertEach(const From* from, To* to, size_t n) {
  for (size_t i = 0; i < n; ++i) to[i] = To(from[i]);
}

}  // namespace

void Convert(const float* from, half* to, size_t n) { ConvertEach(from, to, n); }
void Convert(const half* from, float* to, size_t n) { ConvertEach(from, to, n); }
void Convert(const float* from, bfloat16* to, size_t n) { ConvertEach(from, to, n); }
void Convert(const bfloat16* from, float* to, size_t n) { ConvertEach(from, to, n); }

}  // namespace halftone

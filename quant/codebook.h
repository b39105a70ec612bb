// Quantisation to any set of values: each number becomes the nearest value of a codebook, times a scale. What
// is learned of values and scales is learned through the gradients below;
// docs/design/0005-learned-codebooks.md derives them.
//
//   const Codebook codebook = MinifloatCodebook(4).value();                   // quant/codebook_init.h
//   FakeQuantize(codebook, weights, scales, absl::MakeSpan(y));               // 16 values, times a row's scale
//   FakeQuantizeBackward(codebook, weights, scales, dy, absl::MakeSpan(dx), absl::MakeSpan(dvalues),
//                        absl::MakeSpan(dscales));
//
// Rows: scales.size() equal slices of the elements, each with a scale of its own: one for a whole tensor, one
// for each output channel of a weight. The scales are positive and normal.
//
// Arithmetic: with the float quotient q = x / scale, an element's code j is the number of middles
// (values[j] + values[j + 1]) / 2 that q is above, compared exactly; so where two values are equally near it
// is the lower one, beyond the ends the code is that of the end, and among equal values all but the first and
// the last go unused. The result is the float product values[j] * scale. Every element and every sum has the
// same bits on every instruction set and for any number of threads; the loops run on all threads.
//
// Sources: Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982;
// Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013 (the straight-through
// estimator); Esser et al., "Learned step size quantization", ICLR 2020 (LSQ, the scale's gradient).
#ifndef HALFTONE_QUANT_CODEBOOK_H_
#define HALFTONE_QUANT_CODEBOOK_H_

#include <bit>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quant/codebook_search.h"

namespace halftone {

// Values in ascending order, some of them perhaps equal, and what it takes to find the nearest one fast. It
// does not change: after an optimiser's step make another, of SortValues.
class Codebook {
 public:
  static constexpr int kMaxSize = CodebookSearch::kMaxSize;

  // 2 to kMaxSize values; a -0 becomes 0. InvalidArgument: another number of them, one that is not finite or
  // that is below the one before.
  static absl::StatusOr<Codebook> Create(absl::Span<const float> values);

  absl::Span<const float> values() const { return absl::MakeConstSpan(search_.values).first(size()); }
  int size() const { return search_.size; }
  // Of a code: 1 to 8.
  int bits() const { return std::bit_width(static_cast<unsigned>(size() - 1)); }
  // The code of q, see above; 0 for NaN.
  int Nearest(float q) const { return search_.Nearest(q); }

  // For codebook.cc.
  const CodebookSearch& search() const { return search_; }

 private:
  explicit Codebook(absl::Span<const float> values) : search_(values) {}

  CodebookSearch search_;
};

// Puts learned values back into order after an optimiser's step, which is only to name them anew: what x
// becomes depends on the set of values alone. NaNs go last, where Create finds them.
void SortValues(absl::Span<float> values);

// y[i] = scale * the value nearest to x[i] / scale; NaNs and infinities stay as they are. x and y are of one
// length, a multiple of scales.size(), and the same span, or do not overlap.
void FakeQuantize(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
                  absl::Span<float> y);

// The codes instead. Infinities become the codes of the ends, NaN that of 0.
void Quantize(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
              absl::Span<uint8_t> codes);
// values[code] * scale. A code beyond the last is taken for the last.
void Dequantize(const Codebook& codebook, absl::Span<const uint8_t> codes, absl::Span<const float> scales,
                absl::Span<float> y);

// The gradients of FakeQuantize, overwriting dx, dvalues and dscales. With j the code of x:
//
//   dx         dy where values.front() * scale <= x <= values.back() * scale, as float products, else 0
//   dvalues[j] the sum of dy * scale over the elements of code j, those beyond the ends among them
//   dscales    the row's sum of dy * (values[j] - x / scale), beyond the ends of dy * values[j]
//
// Elements that are infinite or NaN count nowhere; a NaN or infinity of dy does. dvalues (one for each value)
// and dscales (one for each row) may be empty. dx may be dy or x; else nothing overlaps. The sums are in
// double, but for those of up to 8 values over 64 elements at a time, which are in float32.
//
// LSQ's factor 1 / sqrt(n * values) of a scale's gradient is the caller's.
void FakeQuantizeBackward(const Codebook& codebook, absl::Span<const float> x, absl::Span<const float> scales,
                          absl::Span<const float> dy, absl::Span<float> dx, absl::Span<double> dvalues,
                          absl::Span<double> dscales);

}  // namespace halftone

#endif  // HALFTONE_QUANT_CODEBOOK_H_

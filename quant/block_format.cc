#include "quant/block_format.h"

#include <atomic>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/parallel.h"
#include "hwy/cache_control.h"
#include "quant/block_kernels.h"
#include "quant/grid.h"
#include "quant/scaled_kernels.h"
#include "quant/scales.h"
#include "quant/scales_kernels.h"

namespace halftone {
namespace {

using quant_internal::BlockScales;
using quant_internal::FloatGrid;
using quant_internal::HasFloatGrid;
using quant_internal::IntegerGrid;
using quant_internal::kInfinityBits;
using quant_internal::kRun;
using quant_internal::SignedZeroGrid;

constexpr size_t kLargestBlock = 32, kRunElements = kRun * kLargestBlock;
// Blocks that are only looked at: as many as keep a thread busy for a while.
constexpr size_t kManyBlocks = 1024;
// As in quant/scaled.cc.
constexpr size_t kPastCache = size_t{4} << 20;

// mxint8's elements: in units of 1 / 64, and as integers.
constexpr float kInt8Unit = 1.0f / 64;
constexpr IntegerGrid kInt8Values(-128, 127, 0, kInt8Unit), kInt8Codes(-128, 127, 0, 1);

void MakeScales(const BlockFormat& format, BlockScaleRule rule, float tensor_scale, size_t blocks,
                BlockScales* s) {
  using quant_internal::E8m0RuleOf;
  format.scale == BlockScale::kE8m0 ? quant_internal::MakeE8m0Scales(E8m0RuleOf(format, rule), blocks, s)
                                    : quant_internal::MakeE4m3Scales(tensor_scale, blocks, s);
}

// scales[b]: that of codes[b].
void ScalesOfCodes(const BlockFormat& format, absl::Span<const uint8_t> codes, float tensor_scale,
                   float* scales) {
  const absl::Span<float> to = absl::MakeSpan(scales, codes.size());
  if (format.scale == BlockScale::kE4m3) {
    DecodeAll(kFloat8E4m3fn, codes, to);
    quant_internal::ScaleRow(tensor_scale, scales, codes.size());
    return;
  }
  for (size_t b = 0; b < codes.size(); ++b) {
    const uint32_t power = codes[b] == 0 ? 0x400000u : uint32_t{codes[b]} << 23;  // 2^-127 is subnormal
    to[b] = std::bit_cast<float>(codes[b] == 0xff ? 0x7fc00000u : power);
  }
}

// The sizes of a call, checked.
class BlockRows {
 public:
  BlockRows(const BlockFormat& format, size_t n, size_t row_size, size_t other_size)
      : block_(static_cast<size_t>(format.block)), n_(n), row_size_(row_size) {
    HALFTONE_CHECK(format.valid() && row_size > 0 && n % row_size == 0 && other_size == n);
    blocks_ = n / row_size * format.BlocksPerRow(row_size);
    // Rows of whole blocks are as good as one.
    if (row_size % block_ == 0) row_size_ = n;
  }

  size_t blocks() const { return blocks_; }

  // body(begin, n, first_block) on several threads for elements [begin, begin + n) of a row: at most `most`
  // whole blocks, or its last block if that is shorter.
  template <class Body>
  void ForEachRun(size_t most, Body body) const {
    if (n_ == 0) return;
    const size_t per_row = (row_size_ + block_ - 1) / block_, runs_per_row = (per_row + most - 1) / most;
    ParallelFor(n_ / row_size_ * runs_per_row, 4, [&](size_t first, size_t last) {
      for (size_t run = first; run < last; ++run) {
        const size_t row = run / runs_per_row, in_row = run % runs_per_row * most;
        const size_t begin = row * row_size_ + in_row * block_, number = row * per_row + in_row;
        const size_t n = std::min((row + 1) * row_size_ - begin, most * block_), whole = n / block_;
        if (whole > 0) body(begin, whole * block_, number);
        if (n > whole * block_) body(begin + whole * block_, n - whole * block_, number + whole);
      }
      hwy::FlushStream();
    });
  }

 private:
  size_t block_, n_, row_size_, blocks_;
};

// The elements of a run, filled up with zeros to whole blocks.
class Padded {
 public:
  Padded(const BlockFormat& format, absl::Span<const float> x, size_t begin, size_t n)
      : blocks_(format.BlocksPerRow(n)), x_(&x[begin]) {
    if (n % static_cast<size_t>(format.block) == 0) return;
    std::fill(std::copy_n(x_, n, few_), few_ + kLargestBlock, 0.0f);
    x_ = few_;
  }
  Padded(const Padded&) = delete;
  Padded& operator=(const Padded&) = delete;

  size_t blocks() const { return blocks_; }
  const float* x() const { return x_; }
  bool padded() const { return x_ == few_; }

 private:
  size_t blocks_;
  const float* x_;
  float few_[kLargestBlock];
};

// Where the results of a run go: those of missing elements nowhere.
template <typename T>
class Results {
 public:
  Results(const Padded& run, T* to, size_t n) : n_(n), to_(to), data_(run.padded() ? few_ : to) {}
  ~Results() {
    if (data_ != to_) std::copy_n(data_, n_, to_);
  }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  T* data() { return data_; }

 private:
  size_t n_;
  T few_[kLargestBlock];
  T *to_, *data_;
};

// The random bits of a run: none but for stochastic rounding, and 0 of missing elements.
class Bits {
 public:
  Bits(Rounding rounding, const RandomBits& random, size_t begin, size_t n) {
    if (rounding != Rounding::kStochastic) return;
    const uint32_t* const bits = random.Get(begin, n, buffer_);
    if (bits != buffer_) std::copy_n(bits, n, buffer_);
    std::fill_n(buffer_ + n, std::min(kLargestBlock, kRunElements - n), 0);
    bits_ = buffer_;
  }

  const uint32_t* data() const { return bits_; }
  RandomBits OfAll(size_t n) const {
    return bits_ == nullptr ? RandomBits() : RandomBits(absl::MakeConstSpan(bits_, n));
  }

 private:
  uint32_t buffer_[kRunElements];
  const uint32_t* bits_ = nullptr;
};

bool OnGrid(const BlockFormat& format, Rounding rounding) {
  const bool on_grid =
      !format.element || (HasFloatGrid(*format.element) && format.element->has_negative_zero());
  return rounding == Rounding::kNearestEven && on_grid;
}

// q = x * factor by block. MX's is exact but for underflow; to any format a number too small for float is as
// good as its smallest normal one, for it rounds the same way in every mode.
void MultiplyByFactors(const BlockFormat& format, const float* x, const BlockScales& s, size_t blocks,
                       float* q) {
  const size_t n = blocks * static_cast<size_t>(format.block);
  quant_internal::ScaleBlocks(x, s.factors, static_cast<size_t>(format.block), blocks, q);
  if (format.scale != BlockScale::kE8m0) return;
  for (size_t i = 0; i < n; ++i) {
    if (x[i] != 0 && std::fabs(q[i]) < FLT_MIN) q[i] = std::copysign(FLT_MIN, x[i]);
  }
}

void EncodeRun(const BlockFormat& format, const float* x, const BlockScales& s, size_t blocks,
               Rounding rounding, const Bits& bits, uint8_t* codes) {
  const auto block = static_cast<size_t>(format.block);
  const size_t n = blocks * block;
  if (OnGrid(format, rounding)) {
    format.element ? EncodeBlocks(SignedZeroGrid(*format.element), x, s.factors, block, blocks, codes)
                   : EncodeBlocks(kInt8Values, x, s.factors, block, blocks, codes);
  } else {
    float q[kRunElements];
    MultiplyByFactors(format, x, s, blocks, q);
    if (format.element) {
      EncodeAll(*format.element, absl::MakeConstSpan(q, n), rounding, Overflow::kSaturate,
                absl::MakeSpan(codes, n), bits.OfAll(n));
    } else {
      quant_internal::ScaleRow(1 / kInt8Unit, q, n);
      quant_internal::RoundIntegers(kInt8Codes, rounding, bits.data(), q, n);
      quant_internal::CodesOfIntegers(q, 0, codes, n);
    }
  }
  for (size_t b = 0; b < blocks; ++b) {
    if (s.amax[b] <= kInfinityBits) continue;
    for (size_t i = b * block; i < (b + 1) * block; ++i) {
      const float kept =
          std::isfinite(x[i]) ? std::copysign(0.0f, x[i]) : std::numeric_limits<float>::quiet_NaN();
      codes[i] = format.element ? static_cast<uint8_t>(Encode(*format.element, kept, Rounding::kNearestEven,
                                                              Overflow::kSaturate))
                                : 0;
    }
  }
}

void FakeQuantizeRun(const BlockFormat& format, const float* x, const BlockScales& s, size_t blocks,
                     Rounding rounding, const Bits& bits, float* y, bool past_cache) {
  const auto block = static_cast<size_t>(format.block);
  if (OnGrid(format, rounding)) {
    format.element ? quant_internal::FakeQuantizeBlocks(FloatGrid(*format.element), x, s.factors, s.scales,
                                                        block, blocks, y, past_cache)
                   : quant_internal::FakeQuantizeBlocks(kInt8Values, x, s.factors, s.scales, block, blocks, y,
                                                        past_cache);
    return;
  }
  float q[kRunElements];
  MultiplyByFactors(format, x, s, blocks, q);
  const size_t n = blocks * block;
  if (format.element) {
    const absl::Span<float> values = absl::MakeSpan(q, n);
    RoundAll(*format.element, values, rounding, Overflow::kSaturate, values, bits.OfAll(n));
  } else {
    quant_internal::ScaleRow(1 / kInt8Unit, q, n);
    quant_internal::RoundIntegers(kInt8Codes, rounding, bits.data(), q, n);
    quant_internal::ScaleRow(kInt8Unit, q, n);
  }
  for (size_t b = 0; b < blocks; ++b) {
    quant_internal::MultiplyRow(x + b * block, q + b * block, s.scales[b], y + b * block, block);
  }
}

// The magnitudes of all blocks of NVFP4, where they are wanted for the tensor's scale before any block is
// done; else none.
class AllMagnitudes {
 public:
  AllMagnitudes(const BlockFormat& format, absl::Span<const float> x, const BlockRows& rows,
                const BlockOptions& options) {
    if (format.scale != BlockScale::kE4m3) return;
    tensor_scale_ = options.tensor_scale;
    HALFTONE_CHECK(tensor_scale_ == 0 || (tensor_scale_ >= quant_internal::kLeastTensorScale &&
                                          tensor_scale_ <= quant_internal::kMostTensorScale));
    if (tensor_scale_ != 0) return;

    amax_ = std::make_unique_for_overwrite<int32_t[]>(rows.blocks());
    std::atomic<int32_t> most = 0;
    rows.ForEachRun(kManyBlocks, [&](size_t begin, size_t n, size_t first_block) {
      const Padded run(format, x, begin, n);
      const int32_t most_here = quant_internal::BlockMagnitudes(run.x(), static_cast<size_t>(format.block),
                                                                run.blocks(), &amax_[first_block]);
      for (int32_t known = most; known < most_here && !most.compare_exchange_weak(known, most_here);) {
      }
    });
    const int32_t largest = most < kInfinityBits ? most.load() : std::bit_cast<int32_t>(Amax(x));
    tensor_scale_ = quant_internal::TensorScaleOf(std::bit_cast<float>(largest));
  }

  float tensor_scale() const { return tensor_scale_; }

  // Of a run's blocks.
  void Get(const BlockFormat& format, const Padded& run, size_t first_block, int32_t* amax) const {
    if (amax_ != nullptr) {
      std::copy_n(&amax_[first_block], run.blocks(), amax);
    } else {
      quant_internal::BlockMagnitudes(run.x(), static_cast<size_t>(format.block), run.blocks(), amax);
    }
  }

 private:
  float tensor_scale_ = 1;
  std::unique_ptr<int32_t[]> amax_;
};

struct Alias {
  std::string_view name, row;
};
constexpr Alias kAliases[] = {{"mxfp8_e4m3", "mxfp8"}, {"mxfp6_e2m3", "mxfp6"}};

}  // namespace

absl::StatusOr<BlockFormat> FindBlockFormat(absl::string_view name) {
  std::string_view wanted(name.data(), name.size());
  for (const Alias& alias : kAliases) {
    if (alias.name == wanted) wanted = alias.row;
  }
  for (const BlockFormat& format : kBlockFormats) {
    if (format.name == wanted) return format;
  }
  const auto append_name = [](std::string* to, const auto& row) { to->append(row.name); };
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown block format '", name, "'; known: ", absl::StrJoin(kBlockFormats, ", ", append_name), ", ",
      absl::StrJoin(kAliases, ", ", append_name)));
}

void FakeQuantizeBlocks(const BlockFormat& format, absl::Span<const float> x, size_t row_size,
                        const BlockOptions& options, absl::Span<float> y, const RandomBits& random) {
  const BlockRows rows(format, x.size(), row_size, y.size());
  if (x.empty()) return;
  const AllMagnitudes magnitudes(format, x, rows, options);
  const auto block = static_cast<size_t>(format.block);
  rows.ForEachRun(kRun, [&](size_t begin, size_t n, size_t first_block) {
    const Padded run(format, x, begin, n);
    Results<float> results(run, &y[begin], n);
    const Bits bits(options.rounding, random, begin, n);
    BlockScales s;
    magnitudes.Get(format, run, first_block, s.amax);
    for (size_t b = 0; b < run.blocks(); ++b) {
      if (s.amax[b] < kInfinityBits) continue;
      s.amax[b] = std::bit_cast<int32_t>(quant_internal::LargestMagnitude(run.x() + b * block, block));
    }
    MakeScales(format, options.rule, magnitudes.tensor_scale(), run.blocks(), &s);
    const bool aligned = reinterpret_cast<uintptr_t>(results.data()) % 64 == 0;
    FakeQuantizeRun(format, run.x(), s, run.blocks(), options.rounding, bits, results.data(),
                    x.size() >= kPastCache && aligned);
  });
}

void QuantizeBlocks(const BlockFormat& format, absl::Span<const float> x, size_t row_size,
                    const BlockOptions& options, absl::Span<uint8_t> codes, absl::Span<uint8_t> scales,
                    float* tensor_scale, const RandomBits& random) {
  const BlockRows rows(format, x.size(), row_size, codes.size());
  HALFTONE_CHECK(scales.size() == rows.blocks());
  *tensor_scale = 1;
  if (x.empty()) return;
  const AllMagnitudes magnitudes(format, x, rows, options);
  *tensor_scale = magnitudes.tensor_scale();
  rows.ForEachRun(kRun, [&](size_t begin, size_t n, size_t first_block) {
    const Padded run(format, x, begin, n);
    Results<uint8_t> results(run, &codes[begin], n);
    const Bits bits(options.rounding, random, begin, n);
    BlockScales s;
    magnitudes.Get(format, run, first_block, s.amax);
    MakeScales(format, options.rule, magnitudes.tensor_scale(), run.blocks(), &s);
    std::copy_n(s.codes, run.blocks(), &scales[first_block]);
    EncodeRun(format, run.x(), s, run.blocks(), options.rounding, bits, results.data());
  });
}

void DequantizeBlocks(const BlockFormat& format, absl::Span<const uint8_t> codes,
                      absl::Span<const uint8_t> scales, float tensor_scale, size_t row_size,
                      absl::Span<float> y) {
  const BlockRows rows(format, codes.size(), row_size, y.size());
  HALFTONE_CHECK(scales.size() == rows.blocks());
  const auto block = static_cast<size_t>(format.block);
  rows.ForEachRun(kRun, [&](size_t begin, size_t n, size_t first_block) {
    const absl::Span<float> to = y.subspan(begin, n);
    if (format.element) {
      DecodeAll(*format.element, codes.subspan(begin, n), to);
    } else {
      quant_internal::ValuesOfCodes(&codes[begin], 0, to.data(), n);
      quant_internal::ScaleRow(kInt8Unit, to.data(), n);
    }
    const size_t blocks = format.BlocksPerRow(n);
    float factors[kRun];
    ScalesOfCodes(format, scales.subspan(first_block, blocks), tensor_scale, factors);
    if (n % block == 0) {
      quant_internal::ScaleBlocks(to.data(), factors, block, blocks, to.data());
    } else {
      quant_internal::ScaleRow(factors[0], to.data(), n);
    }
  });
}

}  // namespace halftone

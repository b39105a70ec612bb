#include "tools/convert/convert_quantized.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "fp16/codec.h"
#include "io/array_writer.h"
#include "io/float_batches.h"
#include "io/quantized/quantized_array.h"
#include "quant/block_format.h"
#include "quant/codebook.h"
#include "quant/codebook_init.h"
#include "quant/pack.h"
#include "quant/scaled.h"
#include "quant/scales.h"
#include "tools/convert/convert_elements.h"
#include "tools/text.h"

namespace halftone {
namespace {

bool IsChosen(const FileArray& array, const QuantizeOptions& options) {
  return IsFloat(array.type) && array.shape.rank() >= 2 && array.bytes > 0 &&
         options.names.Matches(array.name);
}

double LargestValue(const QuantFormat& format) {
  if (const auto* integers = std::get_if<IntegerFormat>(&format)) return integers->highest();
  if (IsCodebook(format)) return 1;
  return std::get<FloatFormat>(format).largest_finite();
}

// Codes, one a byte, into bytes without gaps; what does not fill a byte waits for the next ones.
class Packer {
 public:
  explicit Packer(int bits) : bits_(bits) {}

  // The bytes that are full; all of them at the `end`.
  absl::Span<const uint8_t> Add(absl::Span<const uint8_t> codes, bool end) {
    if (bits_ == 8) return codes;
    codes_.insert(codes_.end(), codes.begin(), codes.end());
    const size_t n = end ? codes_.size() : codes_.size() / 8 * 8;
    packed_.resize(PackedBytes(bits_, n));
    PackBits(bits_, absl::MakeConstSpan(codes_).first(n), absl::MakeSpan(packed_));
    codes_.erase(codes_.begin(), codes_.begin() + static_cast<ptrdiff_t>(n));
    return packed_;
  }

 private:
  int bits_;
  std::vector<uint8_t> codes_, packed_;
};

// Some of an array's numbers, evenly, for a codebook: as many of any array as QuantileCodebook looks at.
class Sample {
 public:
  explicit Sample(const QuantizedArray& array)
      : array_(array), every_((array.numbers() + kMost - 1) / kMost) {}

  void Add(uint64_t first, absl::Span<const float> x) {
    for (uint64_t i = (every_ - first % every_) % every_; i < x.size(); i += every_) {
      numbers_.push_back(x[i]);
      rows_.push_back((first + i) / array_.row);
    }
  }
  // Its quantiles, in units of the rows' scales; of nothing but zeros the values of a small float.
  Codebook Values(absl::Span<const float> scales) {
    const auto& format = std::get<CodebookFormat>(array_.format);
    for (size_t i = 0; i < numbers_.size(); ++i) numbers_[i] /= scales[rows_[i]];
    absl::StatusOr<Codebook> values = QuantileCodebook(numbers_, {1.0f}, format.size());
    return values.ok() ? *std::move(values) : MinifloatCodebook(format.bits).value();
  }

 private:
  static constexpr uint64_t kMost = uint64_t{1} << 18;

  const QuantizedArray& array_;
  const uint64_t every_;
  std::vector<float> numbers_;
  std::vector<uint64_t> rows_;
};

// An array on its way.
struct Work {
  size_t index;  // into the file's arrays
  QuantizedArray array;
  std::vector<float> scales;          // of the rows, or the tensor's; none of MX formats
  absl::optional<Codebook> codebook;  // where the format is one
  std::vector<uint8_t> block_scales;  // from the writing of the codes on to that of the scales
};

class Quantizer {
 public:
  Quantizer(const ArrayFile& file, const QuantizeOptions& options, ConvertProgress progress)
      : file_(file), options_(options), progress_(progress) {
    const auto* block = std::get_if<BlockFormat>(&options.to);
    needs_amax_ = block == nullptr || block->scale == BlockScale::kE4m3;
  }

  absl::Status Plan(QuantizeSummary* summary) {
    absl::Status misfit;  // of the first array that the format does not fit
    size_t misfits = 0;
    for (size_t i = 0; i < file_.arrays().size(); ++i) {
      const FileArray& array = file_.arrays()[i];
      const uint64_t bytes = *FileBytes(array.type, array.shape.dims());
      summary->all.arrays += 1;
      summary->all.bytes_in += bytes;
      all_ += array.bytes;
      if (array.fortran_order) {
        return absl::InvalidArgumentError(
            absl::StrCat("array ", QuotedName(array.name), " is in Fortran order; convert the file ",
                         "to float32 in a .safetensors file first, and then that one"));
      }
      if (!IsChosen(array, options_)) {
        arrays_.push_back(array);
        copies_[array.name] = i;
        continue;
      }
      absl::StatusOr<QuantizedArray> planned = PlanQuantized(array, options_.to, options_.per_channel);
      if (!planned.ok()) {
        if (misfits++ == 0) misfit = planned.status();
        continue;
      }
      QuantizedArray& plan = *planned;
      summary->all.converted += 1;
      summary->numbers += plan.numbers();
      summary->bits_before += 8 * bytes;
      for (const FileArray& stored : plan.Stored()) {
        arrays_.push_back(stored);
        stored_[stored.name] = works_.size();
        summary->bits += 8 * *FileBytes(stored.type, stored.shape.dims());
      }
      works_.push_back({.index = i, .array = std::move(plan)});
    }
    if (misfits > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(misfit.message(), "; so with ", Plural(misfits - 1, "other array")));
    }
    RETURN_IF_ERROR(misfit);
    if (works_.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("none of the ", summary->all.arrays,
                                                     " arrays is of floats in two dimensions and more and "
                                                     "has a name that --include and --exclude choose"));
    }
    return absl::OkStatus();
  }

  // All that the file will hold, in an order in which scales follow their codes.
  const std::vector<FileArray>& arrays() const { return arrays_; }
  std::map<std::string, std::string> Metadata() const {
    std::map<std::string, std::string> metadata = file_.metadata();
    for (const Work& work : works_) metadata.insert(work.array.Metadata());
    return metadata;
  }

  // The scales of all arrays, where they need be known before the first code.
  absl::Status FindScales() {
    if (!needs_amax_) return absl::OkStatus();
    uint64_t all = 0, done = 0;
    for (const Work& work : works_) all += file_.arrays()[work.index].bytes;
    for (Work& work : works_) {
      const QuantizedArray& array = work.array;
      const uint64_t row = array.block() != nullptr ? array.numbers() : array.row;
      std::vector<float>& amaxes = work.scales;
      amaxes.resize(array.numbers() / row);
      if (array.has_codebook()) {
        ASSIGN_OR_RETURN(work.codebook, LearnedCodebook(array));
      }
      Sample sample(array);
      RETURN_IF_ERROR(
          ReadFloatBatches(file_, work.index, row, [&](uint64_t first, absl::Span<const float> x) {
            RETURN_IF_ERROR(CheckStop(options_.stop));
            RETURN_IF_ERROR(CheckFinite(array, first, x));
            if (array.has_codebook() && !work.codebook.has_value()) sample.Add(first, x);
            for (size_t at = 0; at < x.size(); at += row) {
              float& amax = amaxes[(first + at) / row];
              amax = std::max(amax, Amax(x.subspan(at, row)));
            }
            progress_("checking", done += x.size() * SizeOf(array.type), all);
            return absl::OkStatus();
          }));
      for (float& scale : amaxes) {
        scale = array.block() != nullptr ? TensorScaleOf(*array.block(), scale)
                                         : ScaleOf(scale, LargestValue(array.format));
      }
      if (array.has_codebook() && !work.codebook.has_value()) work.codebook = sample.Values(work.scales);
    }
    return absl::OkStatus();
  }

  absl::Status Write(const FileArray& stored, ArrayWriter& writer) {
    if (const auto copy = copies_.find(stored.name); copy != copies_.end()) return Copy(copy->second, writer);
    Work& work = works_[stored_.at(stored.name)];
    if (stored.name == work.array.name) return WriteCodes(work, writer);
    if (work.codebook.has_value() && stored.name == work.array.codebook_name()) {
      const absl::Span<const float> values = work.codebook->values();
      return writer.Append({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
    }
    if (stored.type == ElementType::kF32) {
      const char* const bytes = reinterpret_cast<const char*>(work.scales.data());
      return writer.Append({bytes, work.scales.size() * sizeof(float)});
    }
    const std::vector<uint8_t> scales = std::exchange(work.block_scales, {});
    return Append(scales, writer);
  }

 private:
  // What training has learned for "conv1.weight" is "conv1.weight_quantizer.codebook", in units of the largest
  // magnitude.
  absl::StatusOr<absl::optional<Codebook>> LearnedCodebook(const QuantizedArray& array) const {
    const std::string name = absl::StrCat(array.name, "_quantizer.codebook");
    const int size = std::get<CodebookFormat>(array.format).size();
    for (size_t i = 0; i < file_.arrays().size(); ++i) {
      const FileArray& a = file_.arrays()[i];
      if (a.name != name || a.type != ElementType::kF32 || !(a.shape == Shape{size})) continue;
      std::vector<float> values;
      RETURN_IF_ERROR(ReadFloatBatches(file_, i, 1, [&](uint64_t, absl::Span<const float> x) {
        values.insert(values.end(), x.begin(), x.end());
        return absl::OkStatus();
      }));
      absl::StatusOr<Codebook> codebook = Codebook::Create(values);
      if (codebook.ok()) return absl::optional<Codebook>(*std::move(codebook));
      return absl::DataLossError(absl::StrCat("array ", QuotedName(name), ": ", codebook.status().message()));
    }
    return absl::optional<Codebook>();
  }

  static absl::Status Append(absl::Span<const uint8_t> bytes, ArrayWriter& writer) {
    return writer.Append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  absl::Status CheckFinite(const QuantizedArray& array, uint64_t first, absl::Span<const float> x) const {
    if (options_.allow_unsafe) return absl::OkStatus();
    const auto found = std::find_if(x.begin(), x.end(), [](float v) { return !std::isfinite(v); });
    if (found == x.end()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("unsafe in ", NameOf(array.format), ": array ", QuotedName(array.name), " has ", *found,
                     " at index ", first + static_cast<uint64_t>(found - x.begin()),
                     "; leave it out with --exclude, give --allow_unsafe, or see what fp16_check says"));
  }

  absl::Status Copy(size_t index, ArrayWriter& writer) {
    const ElementType type = file_.arrays()[index].type;
    const ElementConverter copier(type, type, Rounding::kNearestEven, Overflow::kInfinity, Rng(0));
    std::vector<char> out;
    uint64_t element = 0;
    return file_.ReadChunks(index, [&](absl::Span<const char> bytes) {
      RETURN_IF_ERROR(CheckStop(options_.stop));
      out.clear();
      copier.Append(bytes, element, out);
      element += bytes.size() / SizeOf(type);
      progress_("writing", done_ += bytes.size(), all_);
      return writer.Append(out);
    });
  }

  absl::Status WriteCodes(Work& work, ArrayWriter& writer) {
    const QuantizedArray& array = work.array;
    const Rng rng = Rng(options_.seed).Stream(HashStream(array.name));
    Packer packer(array.code_bits());
    std::vector<uint8_t> codes;
    return ReadFloatBatches(file_, work.index, array.row, [&](uint64_t first, absl::Span<const float> x) {
      RETURN_IF_ERROR(CheckStop(options_.stop));
      if (!needs_amax_) RETURN_IF_ERROR(CheckFinite(array, first, x));
      codes.resize(x.size());
      const RandomBits random =
          options_.rounding == Rounding::kStochastic ? RandomBits(rng, first) : RandomBits();
      Encode(work, first, x, random, absl::MakeSpan(codes));
      progress_("writing", done_ += x.size() * SizeOf(array.type), all_);
      return Append(packer.Add(codes, first + x.size() == array.numbers()), writer);
    });
  }

  void Encode(Work& work, uint64_t first, absl::Span<const float> x, const RandomBits& random,
              absl::Span<uint8_t> codes) const {
    const QuantizedArray& array = work.array;
    if (const BlockFormat* format = array.block()) {
      // Batches begin where blocks do, and rows are whole blocks: here they are as good as one row.
      const size_t before = work.block_scales.size();
      work.block_scales.resize(before + format->BlocksPerRow(x.size()));
      float tensor_scale = work.scales.empty() ? 0 : work.scales[0];
      QuantizeBlocks(*format, x, x.size(), {.rounding = options_.rounding, .tensor_scale = tensor_scale},
                     codes, absl::MakeSpan(work.block_scales).subspan(before), &tensor_scale, random);
      return;
    }
    // Whole rows, or a part of one.
    const absl::Span<const float> scales =
        absl::MakeConstSpan(work.scales)
            .subspan(first / array.row, std::max<size_t>(x.size() / array.row, 1));
    if (work.codebook.has_value()) return Quantize(*work.codebook, x, scales, codes);
    if (const auto* integers = std::get_if<IntegerFormat>(&array.format)) {
      return Quantize(*integers, x, scales, {}, options_.rounding, codes, random);
    }
    Quantize(std::get<FloatFormat>(array.format), x, scales, options_.rounding, codes, random);
  }

  const ArrayFile& file_;
  const QuantizeOptions& options_;
  ConvertProgress progress_;
  bool needs_amax_;
  std::vector<FileArray> arrays_;
  std::vector<Work> works_;
  std::map<std::string, size_t> copies_, stored_;  // by name: into the file's arrays, into works_
  uint64_t done_ = 0, all_ = 0;
};

}  // namespace

absl::StatusOr<QuantizeSummary> QuantizeFile(const ArrayFile& file, const std::string& path,
                                             const QuantizeOptions& options, ConvertProgress progress) {
  if (!absl::EndsWith(path, ".safetensors")) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write ", path, ": codes and scales go to .safetensors files alone"));
  }
  QuantizeSummary summary;
  Quantizer quantizer(file, options, progress);
  RETURN_IF_ERROR(quantizer.Plan(&summary));
  // Before the first pass, which takes long: a path that cannot be written shows at once.
  ASSIGN_OR_RETURN(const std::unique_ptr<ArrayWriter> writer,
                   ArrayWriter::Create(path, quantizer.arrays(), quantizer.Metadata()));
  RETURN_IF_ERROR(quantizer.FindScales());
  for (const FileArray& array : writer->arrays()) {
    RETURN_IF_ERROR(quantizer.Write(array, *writer));
    summary.all.bytes_out += array.bytes;
  }
  RETURN_IF_ERROR(CheckStop(options.stop));
  RETURN_IF_ERROR(writer->Commit());
  return summary;
}

}  // namespace halftone

#include "tools/convert/convert_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/array_safety.h"
#include "io/array_writer.h"
#include "tools/convert/convert_elements.h"

namespace halftone {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;  // of the input, what a thread takes at once
constexpr size_t kPiecesAtOnce = 16;       // held in memory together
constexpr uint64_t kGap = 4096;            // bytes that are cheaper to read than to step over

bool IsChosen(const FileArray& array, const ConvertOptions& options) {
  return IsFloat(array.type) && options.names.Matches(array.name) && options.kept.count(array.name) == 0;
}

ElementConverter ConverterOf(const FileArray& array, const ConvertOptions& options) {
  return ElementConverter(array.type, IsChosen(array, options) ? options.to : array.type, options.rounding,
                          options.overflow, Rng(options.seed).Stream(HashStream(array.name)));
}

// --- The check

struct Unsafe {
  std::string name;
  NumberStats numbers;
  FormatStats stats;

  uint64_t lost() const { return stats.overflows + numbers.nans + numbers.infinities; }
};

// Whether a is worse: more numbers that are infinite or NaN afterwards, then more that become 0, then noise.
bool IsWorse(const Unsafe& a, const Unsafe& b) {
  const auto key = [](const Unsafe& u) {
    return std::make_tuple(u.lost(), u.stats.underflows, -u.stats.sqnr_db());
  };
  return key(a) > key(b);
}

absl::Status UnsafeError(const Unsafe& worst, size_t count, size_t checked, const ConvertOptions& options) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "unsafe in %s: %d of %d arrays, the worst %s: of %d numbers %d overflow, %d underflow to 0, "
      "%d are NaN, %d infinite; the largest is %.4g, the signal-to-noise ratio %.1f dB; "
      "choose another --to, give --allow_unsafe, or see what fp16_check says",
      NameOf(options.to), count, checked, QuotedName(worst.name), worst.numbers.elements,
      worst.stats.overflows, worst.stats.underflows, worst.numbers.nans, worst.numbers.infinities,
      worst.numbers.max_magnitude, worst.stats.sqnr_db()));
}

// The check rounds to nearest even; other roundings may overflow from the largest finite value on. With these
// random bits stochastic rounding goes away from zero.
bool MayOverflow(const FloatFormat& format, double magnitude, Rounding rounding) {
  const auto overflows = [&](double x) {
    return !IsFinite(format, Encode(format, x, rounding, Overflow::kInfinity, /*random_bits=*/0));
  };
  return overflows(magnitude) || overflows(-magnitude);
}

absl::Status CheckSafety(const ArrayFile& file, const ConvertOptions& options, ConvertProgress progress) {
  std::vector<ArraySafetyRequest> requests;
  uint64_t all = 0;
  for (size_t i = 0; i < file.arrays().size(); ++i) {
    const FileArray& array = file.arrays()[i];
    if (!ConverterOf(array, options).rounds()) continue;
    requests.push_back({i, {*FormatOf(options.to)}, {}});
    all += array.bytes;
  }
  size_t count = 0;
  Unsafe worst;
  uint64_t done = 0;
  RETURN_IF_ERROR(CheckArrays(
      file, requests,
      [&](size_t request, const SafetyCheck& check) -> absl::Status {
        RETURN_IF_ERROR(CheckStop(options.stop));
        const FloatFormat& format = check.formats()[0];
        const Verdict verdict = Judge(check.numbers(), check.of(0), format, options.limits);
        const bool may_overflow = MayOverflow(format, check.numbers().max_magnitude, options.rounding);
        if (verdict.safe() && !may_overflow) return absl::OkStatus();
        Unsafe unsafe = {file.arrays()[requests[request].index].name, check.numbers(), check.of(0)};
        if (count++ == 0 || IsWorse(unsafe, worst)) worst = std::move(unsafe);
        return absl::OkStatus();
      },
      [&](uint64_t bytes) { progress("checking", done += bytes, all); }));
  return count == 0 ? absl::OkStatus() : UnsafeError(worst, count, requests.size(), options);
}

// --- The writing

// Reads arrays in the order in which they are written, and hands their converted elements on.
class Converter {
 public:
  Converter(const ArrayFile& file, const ConvertOptions& options, ArrayWriter& writer,
            ConvertProgress progress)
      : file_(file), options_(options), writer_(writer), progress_(progress) {
    for (const FileArray& array : file.arrays()) all_ += array.bytes;
  }

  // `c_order`: whether what is in Fortran order has to be put in C order.
  absl::Status Convert(size_t index, bool c_order) {
    const FileArray& array = file_.arrays()[index];
    if (array.bytes == 0) return absl::OkStatus();
    if (array.fortran_order && c_order) {
      RETURN_IF_ERROR(Flush());
      return ConvertFortran(index);
    }
    if (!file_.random_access()) {
      RETURN_IF_ERROR(Flush());
      return ConvertInOneGo(index);
    }
    for (uint64_t begin = 0; begin < array.bytes; begin += kPieceBytes) {
      pieces_.push_back({index, begin, std::min(array.bytes, begin + kPieceBytes), {}});
      if (pieces_.size() == kPiecesAtOnce) RETURN_IF_ERROR(Flush());
    }
    return absl::OkStatus();
  }

  // Converts and writes the pieces that are waiting.
  absl::Status Flush() {
    ParallelForBlocks(pieces_.size(), 1, [&](size_t i, size_t, size_t) {
      Piece& piece = pieces_[i];
      const FileArray& array = file_.arrays()[piece.index];
      const ElementConverter converter = ConverterOf(array, options_);
      std::vector<char>& out = out_[i];
      out.clear();
      uint64_t element = piece.begin / SizeOf(array.type);
      piece.status = file_.ReadRange(piece.index, piece.begin, piece.end, [&](absl::Span<const char> bytes) {
        converter.Append(bytes, element, out);
        element += bytes.size() / SizeOf(array.type);
        return absl::OkStatus();
      });
    });
    for (size_t i = 0; i < pieces_.size(); ++i) {
      RETURN_IF_ERROR(pieces_[i].status);
      RETURN_IF_ERROR(Write(out_[i], pieces_[i].end - pieces_[i].begin));
    }
    pieces_.clear();
    return absl::OkStatus();
  }

 private:
  struct Piece {
    size_t index;
    uint64_t begin, end;  // bytes of the input
    absl::Status status;
  };

  absl::Status Write(absl::Span<const char> out, uint64_t bytes_in) {
    RETURN_IF_ERROR(CheckStop(options_.stop));
    RETURN_IF_ERROR(writer_.Append(out));
    progress_("writing", done_ += bytes_in, all_);
    return absl::OkStatus();
  }

  absl::Status ConvertInOneGo(size_t index) {
    const FileArray& array = file_.arrays()[index];
    const ElementConverter converter = ConverterOf(array, options_);
    uint64_t element = 0;
    std::vector<char> out;
    return file_.ReadChunks(index, [&](absl::Span<const char> bytes) {
      out.clear();
      converter.Append(bytes, element, out);
      element += bytes.size() / SizeOf(array.type);
      return Write(out, bytes.size());
    });
  }

  // In the file the first index runs fastest: `rows` of them lie together, once for each of the other
  // indices.
  absl::Status ConvertFortran(size_t index) {
    const FileArray& array = file_.arrays()[index];
    const uint64_t rows = static_cast<uint64_t>(array.shape[0]);
    const uint64_t row_bytes = array.bytes / rows;
    const uint64_t fitting = std::max<uint64_t>(options_.panel_bytes / row_bytes, 1);
    const uint64_t panel_rows = file_.random_access() ? std::min(rows, fitting) : rows;
    std::vector<char> panel;
    for (uint64_t row = 0; row < rows; row += panel_rows) {
      const uint64_t n = std::min(panel_rows, rows - row);
      panel.clear();
      RETURN_IF_ERROR(ReadPanel(index, row, n, panel));
      RETURN_IF_ERROR(Write(InCOrder(array.shape, n, panel), n * row_bytes));
    }
    return absl::OkStatus();
  }

  // Appends the converted elements of n rows from `row` on, in the file's order.
  absl::Status ReadPanel(size_t index, uint64_t row, uint64_t n, std::vector<char>& panel) {
    const FileArray& array = file_.arrays()[index];
    const uint64_t size = SizeOf(array.type), rows = static_cast<uint64_t>(array.shape[0]);
    const uint64_t elements = array.bytes / size;
    const ElementConverter converter = ConverterOf(array, options_);
    // Of the elements [begin, end) those in the panel.
    const auto read = [&](uint64_t begin, uint64_t end) {
      return file_.ReadRange(index, begin * size, end * size, [&](absl::Span<const char> bytes) {
        const uint64_t chunk_end = begin + bytes.size() / size;
        for (uint64_t column = begin / rows; column * rows < chunk_end; ++column) {
          const uint64_t from = std::max(begin, column * rows + row);
          const uint64_t to = std::min(chunk_end, column * rows + row + n);
          if (from < to) {
            converter.Append(bytes.subspan((from - begin) * size, (to - from) * size), from, panel);
          }
        }
        begin = chunk_end;
        return absl::OkStatus();
      });
    };
    if ((rows - n) * size <= kGap) return read(0, elements);
    for (uint64_t start = row; start < elements; start += rows) RETURN_IF_ERROR(read(start, start + n));
    return absl::OkStatus();
  }

  // A panel of n rows.
  static std::vector<char> InCOrder(const Shape& shape, uint64_t n, const std::vector<char>& panel) {
    const int rank = shape.rank();
    // In elements; stride[0], of the rows, is 1.
    std::vector<uint64_t> stride(rank, 1), index(rank, 0);
    for (int d = 1; d < rank; ++d) {
      stride[d] = stride[d - 1] * (d == 1 ? n : static_cast<uint64_t>(shape[d - 1]));
    }
    const uint64_t elements = stride[rank - 1] * static_cast<uint64_t>(shape[rank - 1]);
    const size_t size = panel.size() / elements;
    std::vector<char> out(panel.size());
    uint64_t at = 0;
    for (uint64_t i = 0; i < elements; ++i) {
      std::memcpy(&out[i * size], &panel[at * size], size);
      for (int d = rank - 1; d >= 0; --d) {
        at += stride[d];
        if (++index[d] < static_cast<uint64_t>(shape[d])) break;
        at -= stride[d] * index[d];
        index[d] = 0;
      }
    }
    return out;
  }

  const ArrayFile& file_;
  const ConvertOptions& options_;
  ArrayWriter& writer_;
  ConvertProgress progress_;
  std::vector<Piece> pieces_;
  std::array<std::vector<char>, kPiecesAtOnce> out_;  // the pieces' results; their memory is kept
  uint64_t done_ = 0, all_ = 0;
};

}  // namespace

absl::Status CheckStop(const std::atomic<bool>* stop) {
  if (stop == nullptr || !*stop) return absl::OkStatus();
  return absl::CancelledError("stopped by a signal; nothing was written");
}

std::string QuotedName(absl::string_view name) {
  constexpr size_t kMost = 200;
  return absl::StrCat("\"", absl::Utf8SafeCEscape(name.substr(0, kMost)), name.size() > kMost ? "..." : "",
                      "\"");
}

absl::StatusOr<ConvertSummary> ConvertFile(const ArrayFile& file, const std::string& path,
                                           const ConvertOptions& options, ConvertProgress progress) {
  ConvertSummary summary;
  const bool c_order = !absl::EndsWith(path, ".npy");
  std::vector<FileArray> arrays;
  std::map<std::string, size_t> index_of;
  for (size_t i = 0; i < file.arrays().size(); ++i) {
    const FileArray& array = file.arrays()[i];
    const bool chosen = IsChosen(array, options);
    arrays.push_back(
        {array.name, chosen ? options.to : array.type, array.shape, 0, 0, array.fortran_order && !c_order});
    index_of[array.name] = i;
    summary.arrays += 1;
    summary.converted += chosen;
    summary.bytes_in += *FileBytes(array.type, array.shape.dims());
  }
  if (summary.converted == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of the ", summary.arrays,
                     " arrays is of floats and has a name that --include and --exclude choose"));
  }
  // Before the check, which takes long: a path that cannot be written shows at once.
  ASSIGN_OR_RETURN(const std::unique_ptr<ArrayWriter> writer,
                   ArrayWriter::Create(path, std::move(arrays), file.metadata()));
  if (!options.allow_unsafe) RETURN_IF_ERROR(CheckSafety(file, options, progress));
  Converter converter(file, options, *writer, progress);
  for (const FileArray& array : writer->arrays()) {
    RETURN_IF_ERROR(converter.Convert(index_of.at(array.name), c_order));
    summary.bytes_out += array.bytes;
  }
  RETURN_IF_ERROR(converter.Flush());
  RETURN_IF_ERROR(CheckStop(options.stop));
  RETURN_IF_ERROR(writer->Commit());
  return summary;
}

}  // namespace halftone

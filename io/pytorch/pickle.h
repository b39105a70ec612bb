// Reads Python's pickles as data: nothing is imported, called or built.
//
// A pickle is a program for a stack machine that makes values, some of them by calling any function of any
// module. Here a call is kept as a value that says what would be called with what; PyTorch's files, say, can
// then be read by knowing what a handful of functions mean. Opcodes and protocols: CPython's pickletools.
#ifndef HALFTONE_IO_PYTORCH_PICKLE_H_
#define HALFTONE_IO_PYTORCH_PICKLE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace halftone {

// A value of a Pickle. Values refer to others, and may be shared or lie in themselves, as in Python.
using PickleRef = uint32_t;
inline constexpr PickleRef kNoPickleRef = ~PickleRef{0};

struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,        // integer: 0 or 1
    kInt,         // integer
    kLong,        // text: an integer beyond 64 bits, two's complement, little endian
    kFloat,       // number
    kString,      // text; Python 2's strings too
    kBytes,       // text
    kTuple,       // items
    kList,        // items; sets too
    kDict,        // items: key, value, key, value, ...
    kGlobal,      // items: the module and the name, both kString
    kPersistent,  // items: the id, which means something to the file around the pickle
    kCall,        // items: by the constants below
  };
  // A kCall's items; kNoPickleRef where there is none.
  enum CallItem { kFunction, kArguments, kElements, kEntries, kState, kCallItems };

  Kind kind = Kind::kNone;
  union {
    int64_t integer = 0;
    double number;
  };
  absl::string_view text;  // lies in the pickle's bytes
  std::vector<PickleRef> items;
};

class Pickle {
 public:
  // The most values that are read: what a pickle can ask for is bounded by this and by its own size.
  static constexpr size_t kMaxValues = size_t{1} << 22;

  // Reads the pickle that `bytes` begins with; they must outlive it. Protocols 2 to 5. Errors, of one line
  // that begins with `who`: DataLoss (no whole pickle), Unimplemented (opcodes of protocols 0 and 1, values
  // outside the file).
  static absl::StatusOr<Pickle> Parse(absl::string_view who, absl::string_view bytes);

  PickleRef root() const { return root_; }
  size_t size() const { return size_; }  // of the pickle, in bytes
  size_t values() const { return values_.size(); }
  const PickleValue& operator[](PickleRef ref) const { return values_[ref]; }
  // All of kind kPersistent, as they come.
  absl::Span<const PickleRef> persistent() const { return persistent_; }

 private:
  friend class PickleMachine;

  Pickle() = default;

  std::vector<PickleValue> values_;
  std::vector<PickleRef> persistent_;
  PickleRef root_ = kNoPickleRef;
  size_t size_ = 0;
};

}  // namespace halftone

#endif  // HALFTONE_IO_PYTORCH_PICKLE_H_

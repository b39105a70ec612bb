#include "io/pytorch/pytorch_tensors.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/status_macros.h"
#include "io/array.h"
#include "io/file_errors.h"
#include "tensor/shape.h"

namespace halftone {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxTensors = size_t{1} << 20;
constexpr size_t kFewTensors = 1024;                    // whatever the pickle's size
constexpr size_t kMaxNameBytes = 4096;                  // of one tensor
constexpr size_t kMaxAllNamesBytes = size_t{64} << 20;  // of a file

struct StorageType {
  absl::string_view name;
  ElementType type;
};

constexpr StorageType kStorageTypes[] = {
    {"DoubleStorage", ElementType::kF64}, {"FloatStorage", ElementType::kF32},
    {"HalfStorage", ElementType::kF16},   {"BFloat16Storage", ElementType::kBF16},
    {"LongStorage", ElementType::kI64},   {"IntStorage", ElementType::kI32},
    {"ShortStorage", ElementType::kI16},  {"CharStorage", ElementType::kI8},
    {"ByteStorage", ElementType::kU8},    {"BoolStorage", ElementType::kBool},
    {"UntypedStorage", ElementType::kU8},
};

struct Global {
  absl::string_view module, name;
  std::string ToString() const {
    return QuotedForError(absl::StrCat(module.substr(0, 100), ".", name.substr(0, 100)));
  }
};

absl::optional<Global> GlobalOf(const Pickle& pickle, PickleRef ref) {
  const PickleValue& value = pickle[ref];
  if (value.kind != Kind::kGlobal) return absl::nullopt;
  return Global{pickle[value.items[0]].text, pickle[value.items[1]].text};
}

// The items of a tuple or a list, or nothing.
const std::vector<PickleRef>* ItemsOf(const Pickle& pickle, PickleRef ref) {
  const PickleValue& value = pickle[ref];
  return value.kind == Kind::kTuple || value.kind == Kind::kList ? &value.items : nullptr;
}

// A whole number that is not negative, as sizes and places are.
absl::optional<int64_t> CountOf(const Pickle& pickle, PickleRef ref) {
  const PickleValue& value = pickle[ref];
  if (value.kind != Kind::kInt || value.integer < 0) return absl::nullopt;
  return value.integer;
}

// One tensor, from the call that would make it.
class TensorReader {
 public:
  TensorReader(absl::string_view who, const Pickle& pickle, absl::string_view name)
      : who_(absl::StrCat(who, ": tensor ", QuotedForError(name))), pickle_(pickle) {
    tensor_.name = std::string(name);
  }

  absl::StatusOr<TorchTensor> Read(PickleRef call) {
    RETURN_IF_ERROR(Unwrap(call));
    const bool v2 = function_.name == "_rebuild_tensor_v2", v3 = function_.name == "_rebuild_tensor_v3";
    if (!v2 && !v3 && function_.name != "_rebuild_tensor") return Refuse();
    const std::vector<PickleRef>& args = *arguments_;
    if (args.size() < (v3 ? 7 : 4)) return Damaged(who_, "its pickle gives too few arguments");
    if (pickle_[args[0]].kind != Kind::kPersistent) return Damaged(who_, "its storage is none");
    ASSIGN_OR_RETURN(tensor_.storage, TorchStorageOf(who_, pickle_, args[0]));
    tensor_.type = tensor_.storage.type;
    if (v3) RETURN_IF_ERROR(ReadType(args[6]));
    RETURN_IF_ERROR(ReadPlace(args[1], args[2], args[3]));
    const size_t metadata = v3 ? 7 : 6;
    if (args.size() > metadata) RETURN_IF_ERROR(CheckMetadata(args[metadata]));
    return std::move(tensor_);
  }

 private:
  // Parameters and subclasses are tensors with something about them; they are seldom more than two deep.
  absl::Status Unwrap(PickleRef ref) {
    for (int depth = 0; depth < 8; ++depth) {
      const PickleValue& call = pickle_[ref];
      if (call.kind != Kind::kCall) return Damaged(who_, "its pickle names no call that makes it");
      absl::optional<Global> function = GlobalOf(pickle_, call.items[PickleValue::kFunction]);
      arguments_ = ItemsOf(pickle_, call.items[PickleValue::kArguments]);
      if (arguments_ != nullptr && function.has_value() &&
          absl::StartsWith(function->name, "_rebuild_from_type") && arguments_->size() >= 3) {
        function = GlobalOf(pickle_, (*arguments_)[0]);
        arguments_ = ItemsOf(pickle_, (*arguments_)[2]);
      }
      if (!function.has_value() || arguments_ == nullptr) return Damaged(who_, "its pickle's call is none");
      function_ = *function;
      const bool wrapper = absl::StartsWith(function_.name, "_rebuild_parameter");
      if (!wrapper) return absl::OkStatus();
      if (arguments_->empty()) return Damaged(who_, "its pickle gives too few arguments");
      ref = arguments_->front();
    }
    return absl::UnimplementedError(absl::StrCat(who_, " is a parameter of a parameter, again and again"));
  }

  absl::Status Refuse() const {
    static constexpr struct {
      absl::string_view name, what;
    } kKinds[] = {{"_rebuild_qtensor", "quantised; store its dequantize()"},
                  {"_rebuild_sparse_tensor", "sparse; store its to_dense()"},
                  {"_rebuild_sparse_csr_tensor", "sparse; store its to_dense()"},
                  {"_rebuild_nested_tensor", "nested; store its unbind()"},
                  {"_rebuild_meta_tensor_no_storage", "without elements: it lay on the device \"meta\""}};
    const auto row = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const auto& r) { return r.name == function_.name; });
    const absl::string_view what =
        row == std::end(kKinds) ? "of a kind that Halftone does not read" : row->what;
    return absl::UnimplementedError(
        absl::StrCat(who_, " is ", what, " (made by ", function_.ToString(), ")"));
  }

  absl::Status UnknownType(absl::string_view name) const {
    return absl::UnimplementedError(absl::StrCat(who_, " has elements of ", QuotedForError(name),
                                                 "; Halftone reads float64 to float8, integers and bool"));
  }

  absl::Status ReadType(PickleRef ref) {
    const absl::optional<Global> global = GlobalOf(pickle_, ref);
    if (!global.has_value()) return Damaged(who_, "its dtype is none");
    const absl::optional<ElementType> type = ElementTypeFromName(global->name);
    if (!type.has_value() || BitsOf(*type) < 8) return UnknownType(global->name);
    tensor_.type = *type;
    return absl::OkStatus();
  }

  // A tuple of counts, or torch.Size's call of one.
  absl::optional<std::vector<int64_t>> Counts(PickleRef ref) const {
    const PickleValue& value = pickle_[ref];
    if (value.kind == Kind::kCall) {
      const std::vector<PickleRef>* args = ItemsOf(pickle_, value.items[PickleValue::kArguments]);
      if (args == nullptr || args->size() != 1) return absl::nullopt;
      ref = args->front();
    }
    const std::vector<PickleRef>* items = ItemsOf(pickle_, ref);
    if (items == nullptr || items->size() > static_cast<size_t>(kMaxArrayRank)) return absl::nullopt;
    std::vector<int64_t> counts;
    for (const PickleRef item : *items) {
      const absl::optional<int64_t> count = CountOf(pickle_, item);
      if (!count.has_value()) return absl::nullopt;
      counts.push_back(*count);
    }
    return counts;
  }

  absl::Status ReadPlace(PickleRef offset, PickleRef size, PickleRef stride) {
    const absl::optional<int64_t> first = CountOf(pickle_, offset);
    absl::optional<std::vector<int64_t>> dims = Counts(size), strides = Counts(stride);
    if (!first.has_value() || !dims.has_value() || !strides.has_value() || dims->size() != strides->size()) {
      return Damaged(who_, "its pickle gives no valid size, stride and storage offset");
    }
    tensor_.dims = *std::move(dims);
    tensor_.strides = *std::move(strides);
    const absl::optional<uint64_t> bytes = ArrayBytes(tensor_.type, tensor_.dims);
    if (!bytes.has_value()) {
      return Damaged(who_,
                     absl::StrCat("shape ", Shape(tensor_.dims).ToString(), " is larger than any memory"));
    }
    tensor_.bytes = *bytes;
    if (*bytes == 0) return absl::OkStatus();
    // The last element's end, from the storage's beginning.
    const auto element = static_cast<int64_t>(SizeOf(tensor_.type));
    int64_t end = *first, step;
    bool overflow = false;
    for (size_t d = 0; d < tensor_.dims.size(); ++d) {
      overflow |= __builtin_mul_overflow(tensor_.dims[d] - 1, tensor_.strides[d], &step) ||
                  __builtin_add_overflow(end, step, &end);
    }
    overflow |= __builtin_add_overflow(end, 1, &end) || __builtin_mul_overflow(end, element, &end);
    const uint64_t has = tensor_.storage.end - tensor_.storage.begin;
    if (overflow || static_cast<uint64_t>(end) > has) {
      return Damaged(who_,
                     absl::StrCat("shape ", Shape(tensor_.dims).ToString(), ", with its strides, reaches ",
                                  "beyond the ", has, " bytes of its storage"));
    }
    tensor_.offset = static_cast<uint64_t>(*first * element);
    return absl::OkStatus();
  }

  // What is still to be done to the elements: to negate them, say.
  absl::Status CheckMetadata(PickleRef ref) const {
    const PickleValue& value = pickle_[ref];
    if (value.kind != Kind::kDict) return absl::OkStatus();
    for (size_t i = 0; i < value.items.size(); i += 2) {
      const PickleValue &key = pickle_[value.items[i]], &flag = pickle_[value.items[i + 1]];
      if (flag.kind != Kind::kBool || flag.integer == 0) continue;
      if (key.text == "neg" || key.text == "conj") {
        return absl::UnimplementedError(absl::StrCat(
            who_, " is a view that is yet to be ",
            key.text == "neg" ? "negated; store its resolve_neg()" : "conjugated; store its resolve_conj()"));
      }
    }
    return absl::OkStatus();
  }

  std::string who_;
  const Pickle& pickle_;
  TorchTensor tensor_;
  Global function_;
  const std::vector<PickleRef>* arguments_ = nullptr;
};

// Goes through the pickle without recursion, which a file could make as deep as it likes.
class Lister {
 public:
  Lister(absl::string_view who, const Pickle& pickle, absl::string_view lone)
      : who_(who), pickle_(pickle), lone_(lone), state_(pickle.values()) {}

  absl::StatusOr<std::vector<TorchTensor>> Run() {
    RETURN_IF_ERROR(Enter(pickle_.root(), "", Mode::kPlain));
    while (!levels_.empty()) {
      if (++steps_ > 4 * pickle_.values() + kMaxTensors) {
        return absl::UnimplementedError(
            absl::StrCat(who_, ": the pickle's values refer to one another in too many ways"));
      }
      RETURN_IF_ERROR(Advance());
    }
    return std::move(tensors_);
  }

 private:
  // What a level's value is taken for.
  enum class Mode : uint8_t {
    kPlain,
    kState,  // an object's attributes
    kPairs,  // a list of keys with values, as Python 2 gives to an OrderedDict
  };

  struct Level {
    PickleRef ref;
    Mode mode;
    size_t next;            // child
    size_t path_bytes;      // of this level's own name
    bool overlong;          // which is longer than is kept
    size_t tensors_before;  // found before this level
  };

  struct ValueState {
    bool open = false;    // one of the levels
    bool barren = false;  // has been gone through and holds no tensor
  };

  absl::Status Advance() {
    Level& level = levels_.back();
    const PickleValue& value = pickle_[level.ref];
    path_.resize(level.path_bytes);
    const size_t i = level.next++;
    switch (value.kind) {
      case Kind::kTuple:
      case Kind::kList:
        if (i >= value.items.size()) return Leave();
        if (level.mode == Mode::kPairs) {
          const std::vector<PickleRef>* pair = ItemsOf(pickle_, value.items[i]);
          if (pair == nullptr || pair->size() != 2) return absl::OkStatus();
          return Enter((*pair)[1], KeyName((*pair)[0], i), Mode::kPlain);
        }
        if (!Matters(value.items[i])) return absl::OkStatus();
        return Enter(value.items[i], absl::StrCat(i), Mode::kPlain);
      case Kind::kDict: {
        if (2 * i >= value.items.size()) return Leave();
        const PickleRef key = value.items[2 * i], item = value.items[2 * i + 1];
        if (!Matters(item)) return absl::OkStatus();
        const absl::string_view text = pickle_[key].text;
        const bool inner =
            level.mode == Mode::kState && (text == "_parameters" || text == "_buffers" || text == "_modules");
        return Enter(item, inner ? "" : KeyName(key, i), Mode::kPlain);
      }
      default:
        return AdvanceCall(value, i);
    }
  }

  // An object: its items, its entries, its attributes.
  absl::Status AdvanceCall(const PickleValue& call, size_t i) {
    const PickleRef elements = call.items[PickleValue::kElements],
                    entries = call.items[PickleValue::kEntries];
    const PickleRef state = call.items[PickleValue::kState];
    switch (i) {
      case 0: {
        const absl::optional<Global> function = GlobalOf(pickle_, call.items[PickleValue::kFunction]);
        const std::vector<PickleRef>* args = ItemsOf(pickle_, call.items[PickleValue::kArguments]);
        const bool pairs = function.has_value() && function->name == "OrderedDict" && args != nullptr &&
                           args->size() == 1 && ItemsOf(pickle_, args->front()) != nullptr;
        return pairs ? Enter(args->front(), "", Mode::kPairs) : absl::OkStatus();
      }
      case 1:
        return elements == kNoPickleRef ? absl::OkStatus() : Enter(elements, "", Mode::kPlain);
      case 2:
        return entries == kNoPickleRef ? absl::OkStatus() : Enter(entries, "", Mode::kPlain);
      case 3:
        if (state == kNoPickleRef || pickle_[state].kind != Kind::kDict) return absl::OkStatus();
        return Enter(state, "", Mode::kState);
      default:
        return Leave();
    }
  }

  // Whether there can be a tensor in it.
  bool Matters(PickleRef ref) const {
    switch (pickle_[ref].kind) {
      case Kind::kTuple:
      case Kind::kList:
      case Kind::kDict:
      case Kind::kCall:
        return !pickle_[ref].items.empty() && !state_[ref].open && !state_[ref].barren;
      default:
        return false;
    }
  }

  bool IsTensor(PickleRef ref) const {
    const PickleValue& value = pickle_[ref];
    if (value.kind != Kind::kCall) return false;
    const absl::optional<Global> function = GlobalOf(pickle_, value.items[PickleValue::kFunction]);
    return function.has_value() && absl::StartsWith(function->name, "_rebuild_") &&
           (function->module == "torch._utils" || function->module == "torch._tensor" ||
            function->module == "torch.tensor");
  }

  absl::Status Enter(PickleRef ref, absl::string_view label, Mode mode) {
    if (!Matters(ref)) return absl::OkStatus();
    const bool overlong =
        (!levels_.empty() && levels_.back().overlong) || path_.size() + label.size() + 1 > kMaxNameBytes;
    if (!label.empty() && !overlong) absl::StrAppend(&path_, path_.empty() ? "" : ".", label);
    if (IsTensor(ref)) return AddTensor(ref, overlong);
    levels_.push_back({ref, mode, 0, path_.size(), overlong, tensors_.size()});
    state_[ref].open = true;
    return absl::OkStatus();
  }

  absl::Status Leave() {
    const Level& level = levels_.back();
    state_[level.ref] = {.open = false, .barren = level.tensors_before == tensors_.size()};
    levels_.pop_back();
    return absl::OkStatus();
  }

  absl::Status AddTensor(PickleRef ref, bool overlong) {
    const absl::string_view name = path_.empty() ? lone_ : path_;
    if (overlong) {
      return absl::UnimplementedError(absl::StrCat(who_, ": the name of a tensor within ",
                                                   QuotedForError(name), " has more than ", kMaxNameBytes,
                                                   " bytes"));
    }
    const auto [same, added] = names_.try_emplace(std::string(name), ref);
    if (!added) {
      if (same->second == ref) return absl::OkStatus();
      return absl::UnimplementedError(absl::StrCat(who_, ": two tensors are named ", QuotedForError(name)));
    }
    name_bytes_ += name.size();
    // To list a tensor takes a pickle some bytes, unless it lists lists of lists of the same.
    const size_t most = std::min(kMaxTensors, kFewTensors + pickle_.size());
    if (tensors_.size() == most || name_bytes_ > kMaxAllNamesBytes) {
      return absl::UnimplementedError(
          absl::StrCat(who_, ": more than ", most, " tensors, or names of ", kMaxAllNamesBytes, " bytes"));
    }
    ASSIGN_OR_RETURN(TorchTensor tensor, TensorReader(who_, pickle_, name).Read(ref));
    tensors_.push_back(std::move(tensor));
    return absl::OkStatus();
  }

  std::string KeyName(PickleRef key, size_t position) const {
    const PickleValue& value = pickle_[key];
    switch (value.kind) {
      case Kind::kString:
      case Kind::kBytes:
        return std::string(value.text.substr(0, kMaxNameBytes));
      case Kind::kInt:
        return absl::StrCat(value.integer);
      default:
        return absl::StrCat("<key ", position, ">");
    }
  }

  absl::string_view who_;
  const Pickle& pickle_;
  std::string lone_;
  std::vector<ValueState> state_;
  std::vector<Level> levels_;
  std::string path_;
  size_t steps_ = 0, name_bytes_ = 0;
  absl::flat_hash_map<std::string, PickleRef> names_;
  std::vector<TorchTensor> tensors_;
};

}  // namespace

bool IsTorchStorage(const Pickle& pickle, PickleRef id) {
  const std::vector<PickleRef>* items = ItemsOf(pickle, pickle[id].items[0]);
  return items != nullptr && !items->empty() && pickle[items->front()].text == "storage";
}

absl::StatusOr<TorchStorage> TorchStorageOf(absl::string_view who, const Pickle& pickle, PickleRef id) {
  if (!IsTorchStorage(pickle, id)) return Damaged(who, "a value outside the pickle is no storage");
  const std::vector<PickleRef>* items = ItemsOf(pickle, pickle[id].items[0]);
  const absl::optional<Global> type = items->size() < 5 ? absl::nullopt : GlobalOf(pickle, (*items)[1]);
  const absl::optional<int64_t> count = type.has_value() ? CountOf(pickle, (*items)[4]) : absl::nullopt;
  if (!count.has_value() || pickle[(*items)[2]].kind != Kind::kString) {
    return Damaged(who, "a storage's type, key or size is none");
  }
  const auto row = std::find_if(std::begin(kStorageTypes), std::end(kStorageTypes),
                                [&](const StorageType& r) { return r.name == type->name; });
  if (row == std::end(kStorageTypes)) {
    return absl::UnimplementedError(absl::StrCat(who, " has elements of ", type->ToString(),
                                                 "; Halftone reads float64 to float8, integers and bool"));
  }
  TorchStorage storage;
  storage.key = pickle[(*items)[2]].text;
  storage.type = row->type;
  const uint64_t element = SizeOf(row->type);
  if (__builtin_mul_overflow(static_cast<uint64_t>(*count), element, &storage.bytes)) {
    return Damaged(who, absl::StrCat("its storage's ", *count, " elements are larger than any memory"));
  }
  storage.end = storage.bytes;
  if (items->size() < 6 || pickle[(*items)[5]].kind == Kind::kNone) return storage;
  // A view: its own key, its first element in the storage, its size.
  const std::vector<PickleRef>* view = ItemsOf(pickle, (*items)[5]);
  const bool valid = view != nullptr && view->size() == 3;
  const absl::optional<int64_t> first = valid ? CountOf(pickle, (*view)[1]) : absl::nullopt;
  const absl::optional<int64_t> size = valid ? CountOf(pickle, (*view)[2]) : absl::nullopt;
  if (!first.has_value() || !size.has_value() || *first > *count || *size > *count - *first) {
    return Damaged(who, "its view of its storage lies outside of it");
  }
  storage.begin = static_cast<uint64_t>(*first) * element;
  storage.end = storage.begin + static_cast<uint64_t>(*size) * element;
  return storage;
}

absl::StatusOr<std::vector<TorchTensor>> ListTorchTensors(absl::string_view who, const Pickle& pickle,
                                                          absl::string_view lone) {
  return Lister(who, pickle, lone).Run();
}

}  // namespace halftone

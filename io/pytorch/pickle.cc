#include "io/pytorch/pickle.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "io/file_errors.h"

namespace halftone {

using Kind = PickleValue::Kind;

// Every opcode makes a few values at most and copies none, so time and memory are bounded by the pickle's
// size, whatever its lengths and memo indices claim.
class PickleMachine {
 public:
  PickleMachine(absl::string_view who, absl::string_view bytes) : who_(who), bytes_(bytes) {}

  absl::StatusOr<Pickle> Run() {
    for (bool stop = false; !stop;) {
      RETURN_IF_ERROR(Need(1));
      RETURN_IF_ERROR(Step(bytes_[at_++], &stop));
      if (std::max({pickle_.values_.size(), stack_.size(), marks_.size()}) > Pickle::kMaxValues) {
        return absl::UnimplementedError(
            absl::StrCat(who_, ": the pickle has more than ", Pickle::kMaxValues, " values"));
      }
    }
    if (stack_.size() != 1) return Broken(absl::StrCat("it ends with ", stack_.size(), " values, not one"));
    pickle_.root_ = stack_[0];
    pickle_.size_ = at_;
    return std::move(pickle_);
  }

 private:
  absl::Status Broken(absl::string_view what) const {
    return Damaged(who_, absl::StrCat("no valid pickle at its byte ", at_, ": ", what));
  }

  absl::Status Need(uint64_t bytes) const {
    if (bytes <= bytes_.size() - at_) return absl::OkStatus();
    return Broken(absl::StrCat(bytes, " bytes are due, ", bytes_.size() - at_, " are left"));
  }

  absl::StatusOr<uint64_t> Number(int bytes) {
    RETURN_IF_ERROR(Need(bytes));
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes_[at_ + i]);
    at_ += bytes;
    return value;
  }

  // As many bytes as a number before them says.
  absl::StatusOr<absl::string_view> Counted(int length_bytes) {
    ASSIGN_OR_RETURN(const uint64_t length, Number(length_bytes));
    RETURN_IF_ERROR(Need(length));
    const absl::string_view text = bytes_.substr(at_, length);
    at_ += length;
    return text;
  }

  absl::StatusOr<absl::string_view> Line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == absl::string_view::npos) return Broken("a name without an end");
    const absl::string_view text = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  // ---- Values

  PickleRef Make(Kind kind, absl::string_view text = {}, std::vector<PickleRef> items = {}) {
    PickleValue value;
    value.kind = kind;
    value.text = text;
    value.items = std::move(items);
    pickle_.values_.push_back(std::move(value));
    return static_cast<PickleRef>(pickle_.values_.size() - 1);
  }

  absl::Status Push(PickleRef ref) {
    stack_.push_back(ref);
    return absl::OkStatus();
  }

  absl::Status PushInteger(Kind kind, int64_t value) {
    const PickleRef ref = Make(kind);
    pickle_.values_[ref].integer = value;
    return Push(ref);
  }

  absl::Status PushText(Kind kind, int length_bytes) {
    ASSIGN_OR_RETURN(const absl::string_view text, Counted(length_bytes));
    return Push(Make(kind, text));
  }

  absl::Status PushLong(int length_bytes) {
    ASSIGN_OR_RETURN(const absl::string_view text, Counted(length_bytes));
    if (text.size() > 8) return Push(Make(Kind::kLong, text));
    uint64_t value = 0;
    for (size_t i = text.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(text[i]);
    const int unused = 64 - 8 * static_cast<int>(text.size());
    if (unused == 64) return PushInteger(Kind::kInt, 0);
    return PushInteger(Kind::kInt, static_cast<int64_t>(value << unused) >> unused);
  }

  // The stack's values from the last mark on, or its `n` last ones.
  absl::StatusOr<std::vector<PickleRef>> PopMark() {
    if (marks_.empty()) return Broken("a mark is missing");
    const size_t begin = marks_.back();
    marks_.pop_back();
    return PopFrom(begin);
  }

  absl::StatusOr<std::vector<PickleRef>> Pop(size_t n) {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < n) return Broken("its stack has too few values");
    return PopFrom(stack_.size() - n);
  }

  std::vector<PickleRef> PopFrom(size_t begin) {
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(begin);
    std::vector<PickleRef> refs(first, stack_.end());
    stack_.erase(first, stack_.end());
    return refs;
  }

  absl::Status Collect(Kind kind, absl::StatusOr<std::vector<PickleRef>> items) {
    if (!items.ok()) return std::move(items).status();
    if (kind == Kind::kDict && items->size() % 2 != 0) return Broken("a key without a value");
    return Push(Make(kind, {}, *std::move(items)));
  }

  absl::Status Call(PickleRef function, PickleRef arguments) {
    return Push(Make(Kind::kCall, {}, {function, arguments, kNoPickleRef, kNoPickleRef, kNoPickleRef}));
  }

  // The values onto the end of the container below them: a list or a dict, or those within an object.
  absl::Status Extend(Kind kind, absl::StatusOr<std::vector<PickleRef>> items) {
    if (!items.ok()) return std::move(items).status();
    if (kind == Kind::kDict && items->size() % 2 != 0) return Broken("a key without a value");
    ASSIGN_OR_RETURN(const std::vector<PickleRef> top, Pop(1));
    stack_.push_back(top[0]);
    PickleRef to = top[0];
    if (pickle_.values_[to].kind == Kind::kCall) {
      const auto item = kind == Kind::kList ? PickleValue::kElements : PickleValue::kEntries;
      PickleRef within = pickle_.values_[to].items[item];
      if (within == kNoPickleRef) within = Make(kind);
      pickle_.values_[to].items[item] = within;
      to = within;
    }
    if (pickle_.values_[to].kind != kind) return Broken("items for a value that holds none");
    std::vector<PickleRef>& has = pickle_.values_[to].items;
    has.insert(has.end(), items->begin(), items->end());
    return absl::OkStatus();
  }

  // ---- Memo

  absl::Status Put(uint64_t index) {
    ASSIGN_OR_RETURN(const std::vector<PickleRef> top, Pop(1));
    stack_.push_back(top[0]);
    memo_[index] = top[0];
    return absl::OkStatus();
  }

  absl::Status Get(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) return Broken(absl::StrCat("nothing was memoised as ", index));
    return Push(found->second);
  }

  // ---- Opcodes

  absl::Status Step(char opcode, bool* stop) {
    switch (opcode) {
      case '\x80': {  // PROTO
        ASSIGN_OR_RETURN(const uint64_t version, Number(1));
        if (version >= 2 && version <= 5) return absl::OkStatus();
        return absl::UnimplementedError(
            absl::StrCat(who_, ": pickle protocol ", version, "; Halftone reads 2 to 5"));
      }
      case '\x95':  // FRAME: how much to read at once
        return Number(8).status();
      case '.':  // STOP
        *stop = true;
        return absl::OkStatus();
      case '(':  // MARK
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case '0':  // POP
        if (!marks_.empty() && marks_.back() == stack_.size()) return PopMark().status();
        return Pop(1).status();
      case '1':  // POP_MARK
        return PopMark().status();
      case '2': {  // DUP
        ASSIGN_OR_RETURN(const std::vector<PickleRef> top, Pop(1));
        stack_.push_back(top[0]);
        return Push(top[0]);
      }
      case 'N':  // NONE
        return Push(Make(Kind::kNone));
      case '\x88':  // NEWTRUE
        return PushInteger(Kind::kBool, 1);
      case '\x89':  // NEWFALSE
        return PushInteger(Kind::kBool, 0);
      default:
        return StepNumberOrText(opcode);
    }
  }

  absl::Status StepNumberOrText(char opcode) {
    switch (opcode) {
      case 'J': {  // BININT
        ASSIGN_OR_RETURN(const uint64_t value, Number(4));
        return PushInteger(Kind::kInt, static_cast<int32_t>(value));
      }
      case 'K':    // BININT1
      case 'M': {  // BININT2
        ASSIGN_OR_RETURN(const uint64_t value, Number(opcode == 'K' ? 1 : 2));
        return PushInteger(Kind::kInt, static_cast<int64_t>(value));
      }
      case '\x8a':  // LONG1
        return PushLong(1);
      case '\x8b':  // LONG4
        return PushLong(4);
      case 'G': {  // BINFLOAT, big endian
        ASSIGN_OR_RETURN(const uint64_t bits, Number(8));
        const PickleRef ref = Make(Kind::kFloat);
        pickle_.values_[ref].number = std::bit_cast<double>(__builtin_bswap64(bits));
        return Push(ref);
      }
      case 'X':  // BINUNICODE
      case 'T':  // BINSTRING
        return PushText(Kind::kString, 4);
      case '\x8c':  // SHORT_BINUNICODE
      case 'U':     // SHORT_BINSTRING
        return PushText(Kind::kString, 1);
      case '\x8d':  // BINUNICODE8
        return PushText(Kind::kString, 8);
      case 'B':  // BINBYTES
        return PushText(Kind::kBytes, 4);
      case 'C':  // SHORT_BINBYTES
        return PushText(Kind::kBytes, 1);
      case '\x8e':  // BINBYTES8
      case '\x96':  // BYTEARRAY8
        return PushText(Kind::kBytes, 8);
      default:
        return StepContainer(opcode);
    }
  }

  absl::Status StepContainer(char opcode) {
    switch (opcode) {
      case ')':  // EMPTY_TUPLE
        return Push(Make(Kind::kTuple));
      case ']':     // EMPTY_LIST
      case '\x8f':  // EMPTY_SET
        return Push(Make(Kind::kList));
      case '}':  // EMPTY_DICT
        return Push(Make(Kind::kDict));
      case 't':  // TUPLE
        return Collect(Kind::kTuple, PopMark());
      case '\x85':  // TUPLE1
      case '\x86':  // TUPLE2
      case '\x87':  // TUPLE3
        return Collect(Kind::kTuple, Pop(static_cast<uint8_t>(opcode) - 0x84));
      case 'l':     // LIST
      case '\x91':  // FROZENSET
        return Collect(Kind::kList, PopMark());
      case 'd':  // DICT
        return Collect(Kind::kDict, PopMark());
      case 'a':  // APPEND
        return Extend(Kind::kList, Pop(1));
      case 'e':     // APPENDS
      case '\x90':  // ADDITEMS
        return Extend(Kind::kList, PopMark());
      case 's':  // SETITEM
        return Extend(Kind::kDict, Pop(2));
      case 'u':  // SETITEMS
        return Extend(Kind::kDict, PopMark());
      case 'q':    // BINPUT
      case 'r': {  // LONG_BINPUT
        ASSIGN_OR_RETURN(const uint64_t index, Number(opcode == 'q' ? 1 : 4));
        return Put(index);
      }
      case '\x94':  // MEMOIZE
        return Put(memo_.size());
      case 'h':    // BINGET
      case 'j': {  // LONG_BINGET
        ASSIGN_OR_RETURN(const uint64_t index, Number(opcode == 'h' ? 1 : 4));
        return Get(index);
      }
      default:
        return StepObject(opcode);
    }
  }

  absl::Status StepObject(char opcode) {
    switch (opcode) {
      case 'c': {  // GLOBAL
        ASSIGN_OR_RETURN(const absl::string_view module, Line());
        ASSIGN_OR_RETURN(const absl::string_view name, Line());
        const PickleRef first = Make(Kind::kString, module);
        return Push(Make(Kind::kGlobal, {}, {first, Make(Kind::kString, name)}));
      }
      case '\x93': {  // STACK_GLOBAL
        ASSIGN_OR_RETURN(const std::vector<PickleRef> names, Pop(2));
        for (const PickleRef ref : names) {
          if (pickle_.values_[ref].kind != Kind::kString) return Broken("a global's name is no string");
        }
        return Push(Make(Kind::kGlobal, {}, names));
      }
      case 'Q': {  // BINPERSID
        ASSIGN_OR_RETURN(const std::vector<PickleRef> id, Pop(1));
        pickle_.persistent_.push_back(Make(Kind::kPersistent, {}, id));
        return Push(pickle_.persistent_.back());
      }
      case 'R':     // REDUCE
      case '\x81':  // NEWOBJ
      {
        ASSIGN_OR_RETURN(const std::vector<PickleRef> call, Pop(2));
        return Call(call[0], call[1]);
      }
      case '\x92': {  // NEWOBJ_EX, whose third value names arguments
        ASSIGN_OR_RETURN(const std::vector<PickleRef> call, Pop(3));
        return Call(call[0], call[1]);
      }
      case 'b': {  // BUILD
        ASSIGN_OR_RETURN(const std::vector<PickleRef> refs, Pop(2));
        PickleValue& object = pickle_.values_[refs[0]];
        if (object.kind == Kind::kCall) object.items[PickleValue::kState] = refs[1];
        return Push(refs[0]);
      }
      case '\x82':  // EXT1
      case '\x83':  // EXT2
      case '\x84':  // EXT4
      case '\x97':  // NEXT_BUFFER
      case '\x98':  // READONLY_BUFFER
        return Refuse(opcode, "which names values outside the file");
      case 'I':  // INT
      case 'L':  // LONG
      case 'F':  // FLOAT
      case 'S':  // STRING
      case 'V':  // UNICODE
      case 'p':  // PUT
      case 'g':  // GET
      case 'P':  // PERSID
      case 'i':  // INST
      case 'o':  // OBJ
        return Refuse(opcode, "of protocol 0 or 1; save the file with protocol 2 to 5");
      default:
        --at_;
        return Broken(absl::StrFormat("0x%02x is no opcode", static_cast<uint8_t>(opcode)));
    }
  }

  absl::Status Refuse(char opcode, absl::string_view what) const {
    return absl::UnimplementedError(absl::StrCat(who_, ": the pickle has opcode ",
                                                 absl::StrFormat("0x%02x", static_cast<uint8_t>(opcode)),
                                                 ", ", what));
  }

  absl::string_view who_, bytes_;
  size_t at_ = 0;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::vector<size_t> marks_;  // the stack's sizes
  absl::flat_hash_map<uint64_t, PickleRef> memo_;
};

absl::StatusOr<Pickle> Pickle::Parse(absl::string_view who, absl::string_view bytes) {
  return PickleMachine(who, bytes).Run();
}

}  // namespace halftone

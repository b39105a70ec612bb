// A WordPiece vocabulary, from the vocab.txt that comes with a BERT: one token a line, whose number is the
// line's, counted from 0. A token that continues a word starts with "##".
#ifndef HALFTONE_DATASETS_TEXT_VOCABULARY_H_
#define HALFTONE_DATASETS_TEXT_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace halftone {

// Moves, and does not copy: the maps point into the text.
class Vocabulary {
 public:
  static constexpr int32_t kNone = -1;
  static constexpr int64_t kMaxFileBytes = int64_t{64} << 20;  // the largest in use have some megabytes
  static constexpr int64_t kMaxTokenBytes = 1000;

  // Errors, of one line that names the file and the line: no file, or one that is empty or above
  // kMaxFileBytes; a token that is empty, longer than kMaxTokenBytes, no valid UTF-8 or there twice; a
  // vocabulary without [PAD], [UNK], [CLS] or [SEP]. Lines may end in CRLF.
  static absl::StatusOr<Vocabulary> Load(const std::string& path);
  // The same of a file's bytes; path: for messages.
  static absl::StatusOr<Vocabulary> Parse(absl::string_view bytes, absl::string_view path);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  // id: in [0, size()).
  absl::string_view token(int32_t id) const;

  // A token's number by its whole text, or kNone.
  int32_t Find(absl::string_view token) const { return FindIn(tokens_by_text_, token); }
  // Of "##" + piece.
  int32_t FindContinuation(absl::string_view piece) const { return FindIn(continuations_, piece); }
  // No token is longer; "##" not counted.
  size_t max_piece_bytes() const { return max_piece_bytes_; }

  int32_t pad() const { return pad_; }
  int32_t unk() const { return unk_; }
  int32_t cls() const { return cls_; }
  int32_t sep() const { return sep_; }

 private:
  using Map = absl::flat_hash_map<absl::string_view, int32_t>;

  Vocabulary() = default;
  static int32_t FindIn(const Map& map, absl::string_view key) {
    const auto found = map.find(key);
    return found == map.end() ? kNone : found->second;
  }

  std::vector<char> text_;  // the file: moving leaves its bytes where they are
  std::vector<absl::string_view> tokens_;
  Map tokens_by_text_, continuations_;
  size_t max_piece_bytes_ = 0;
  int32_t pad_ = kNone, unk_ = kNone, cls_ = kNone, sep_ = kNone;
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_VOCABULARY_H_

#include "datasets/text/vocabulary.h"

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "datasets/text/text_file.h"
#include "datasets/text/unicode.h"

namespace halftone {
namespace {

constexpr absl::string_view kExpected = "a WordPiece vocabulary, vocab.txt, of one token a line";
constexpr absl::string_view kContinuation = "##";

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const auto [value, bytes] = DecodeCodePoint(text);
    if (value < 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadTextFile(path, kExpected, kMaxFileBytes));
  return Parse(bytes, path);
}

absl::StatusOr<Vocabulary> Vocabulary::Parse(absl::string_view bytes, absl::string_view path) {
  Vocabulary vocabulary;
  vocabulary.text_.assign(bytes.begin(), bytes.end());
  LineReader lines(absl::string_view(vocabulary.text_.data(), vocabulary.text_.size()));
  while (lines.Next()) {
    const absl::string_view token = lines.line();
    if (token.empty()) {
      return LineError(path, lines.number(),
                       "the line is empty, expected a token; remove the line only if it "
                       "is the last, for lines number the tokens");
    }
    if (token.size() > kMaxTokenBytes) {
      return LineError(path, lines.number(), "the line has ", token.size(),
                       " bytes, expected a token of at most ", kMaxTokenBytes, "; check that the file is ",
                       kExpected);
    }
    if (!IsUtf8(token)) {
      return LineError(path, lines.number(), Quote(token),
                       " is no valid UTF-8; convert the file to UTF-8 or get it again");
    }
    const int32_t id = vocabulary.size();
    const auto [first, is_new] = vocabulary.tokens_by_text_.emplace(token, id);
    if (!is_new) {
      return LineError(path, lines.number(), "the token ", Quote(token), " is there already, in line ",
                       first->second + 1, "; expected each token once: get the model's own vocab.txt again");
    }
    vocabulary.tokens_.push_back(token);
    absl::string_view piece = token;
    if (absl::ConsumePrefix(&piece, kContinuation)) vocabulary.continuations_.emplace(piece, id);
    vocabulary.max_piece_bytes_ = std::max(vocabulary.max_piece_bytes_, piece.size());
  }
  if (vocabulary.size() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file is empty, expected ", kExpected));
  }
  for (const auto& [token, id] :
       {std::pair{"[PAD]", &vocabulary.pad_}, std::pair{"[UNK]", &vocabulary.unk_},
        std::pair{"[CLS]", &vocabulary.cls_}, std::pair{"[SEP]", &vocabulary.sep_}}) {
    *id = vocabulary.Find(token);
    if (*id == kNone) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": none of the ", vocabulary.size(), " lines is ",
                                                     token, "; expected ", kExpected,
                                                     " with [PAD], [UNK], [CLS] and [SEP]"));
    }
  }
  return vocabulary;
}

absl::string_view Vocabulary::token(int32_t id) const {
  HALFTONE_CHECK(id >= 0 && id < size());
  return tokens_[id];
}

}  // namespace halftone

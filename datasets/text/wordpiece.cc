#include "datasets/text/wordpiece.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "base/check.h"

namespace halftone {
namespace {

constexpr int64_t kMaxWordCodePoints = 100;

bool IsContinuationByte(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// How many pieces of each text remain of n1 and n2 when both have `room`. An odd one is the longer text's.
std::pair<size_t, size_t> LongestFirst(size_t n1, size_t n2, size_t room) {
  if (n1 + n2 <= room) return {n1, n2};
  const size_t shorter = std::min({n1, n2, room / 2});
  return n1 > n2 ? std::pair{room - shorter, shorter} : std::pair{shorter, room - shorter};
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(Vocabulary vocabulary, const WordPieceOptions& options)
    : vocabulary_(std::move(vocabulary)),
      normalization_{.lower_case = options.lower_case,
                     .strip_accents = options.strip_accents.value_or(options.lower_case),
                     .split_cjk = options.split_cjk} {
  for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    if (const int32_t id = vocabulary_.Find(token); id != Vocabulary::kNone) special_.emplace_back(token, id);
  }
}

void WordPieceTokenizer::Tokenize(absl::string_view text, std::vector<int32_t>& ids) const {
  std::string normalized;
  size_t words = 0;  // where what is not yet tokenized begins
  for (size_t at = text.find('['); at != text.npos; at = text.find('[', at)) {
    const auto special = std::find_if(special_.begin(), special_.end(), [&](const auto& candidate) {
      return absl::StartsWith(text.substr(at), candidate.first);
    });
    if (special == special_.end()) {
      ++at;
      continue;
    }
    TokenizeWords(text.substr(words, at - words), normalized, ids);
    ids.push_back(special->second);
    words = at += special->first.size();
  }
  TokenizeWords(text.substr(words), normalized, ids);
}

void WordPieceTokenizer::TokenizeWords(absl::string_view text, std::string& normalized,
                                       std::vector<int32_t>& ids) const {
  normalized.clear();
  NormalizeForBert(text, normalization_, normalized);
  const absl::string_view words = normalized;
  size_t begin = 0;  // of the word under way
  const auto end_word = [&](size_t end) {
    if (end > begin) AppendWord(words.substr(begin, end - begin), ids);
  };
  for (size_t at = 0; at < words.size();) {
    const char byte = words[at];
    const CodePoint c =
        static_cast<uint8_t>(byte) < 0x80 ? CodePoint{byte, 1} : DecodeCodePoint(words.substr(at));
    if (c.value == ' ') {
      end_word(at);
      begin = at + 1;
    } else if (IsBertPunctuation(c.value)) {
      end_word(at);
      AppendWord(words.substr(at, c.bytes), ids);
      begin = at + c.bytes;
    }
    at += c.bytes;
  }
  end_word(words.size());
}

void WordPieceTokenizer::AppendWord(absl::string_view word, std::vector<int32_t>& ids) const {
  // Most words are one piece.
  if (const int32_t id = vocabulary_.Find(word);
      id != Vocabulary::kNone && word.size() <= kMaxWordCodePoints) {
    ids.push_back(id);
    return;
  }
  if (static_cast<int64_t>(word.size()) - std::count_if(word.begin(), word.end(), IsContinuationByte) >
      kMaxWordCodePoints) {
    ids.push_back(vocabulary_.unk());
    return;
  }
  const size_t before = ids.size();
  while (!word.empty()) {
    size_t end = std::min(word.size(), vocabulary_.max_piece_bytes());
    int32_t id = Vocabulary::kNone;
    for (; end > 0; --end) {
      if (end < word.size() && IsContinuationByte(word[end])) continue;
      const absl::string_view piece = word.substr(0, end);
      id = ids.size() == before ? vocabulary_.Find(piece) : vocabulary_.FindContinuation(piece);
      if (id != Vocabulary::kNone) break;
    }
    if (id == Vocabulary::kNone) {
      ids.resize(before);
      ids.push_back(vocabulary_.unk());
      return;
    }
    ids.push_back(id);
    word.remove_prefix(end);
  }
}

Encoding WordPieceTokenizer::Encode(absl::string_view text, int64_t max_length) const {
  HALFTONE_CHECK(max_length >= 2);
  Encoding encoding;
  encoding.ids.push_back(vocabulary_.cls());
  Tokenize(text, encoding.ids);
  const size_t room = static_cast<size_t>(max_length) - 1;
  encoding.truncated = encoding.ids.size() > room;
  if (encoding.truncated) encoding.ids.resize(room);
  encoding.ids.push_back(vocabulary_.sep());
  encoding.token_types.assign(encoding.ids.size(), 0);
  return encoding;
}

Encoding WordPieceTokenizer::EncodePair(absl::string_view a, absl::string_view b, int64_t max_length) const {
  HALFTONE_CHECK(max_length >= 3);
  std::vector<int32_t> first, second;
  Tokenize(a, first);
  Tokenize(b, second);
  const auto [n1, n2] = LongestFirst(first.size(), second.size(), static_cast<size_t>(max_length) - 3);
  Encoding encoding;
  encoding.truncated = n1 < first.size() || n2 < second.size();
  encoding.ids.push_back(vocabulary_.cls());
  encoding.ids.insert(encoding.ids.end(), first.begin(), first.begin() + static_cast<int64_t>(n1));
  encoding.ids.push_back(vocabulary_.sep());
  encoding.token_types.assign(encoding.ids.size(), 0);
  encoding.ids.insert(encoding.ids.end(), second.begin(), second.begin() + static_cast<int64_t>(n2));
  encoding.ids.push_back(vocabulary_.sep());
  encoding.token_types.resize(encoding.ids.size(), 1);
  return encoding;
}

}  // namespace halftone

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "datasets/text/wordpiece.h"

namespace {

using halftone::Encoding;
using halftone::Vocabulary;
using halftone::WordPieceTokenizer;

Vocabulary Letters() {
  std::string tokens =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfilm\n##ing\n\xc3\xa9\n##\xc3\xa9\n##\xcc\x81\n\xe4\xb8\xad";
  for (char c = '!'; c <= '~'; ++c)
    absl::StrAppend(&tokens, "\n", std::string(1, c), "\n##", std::string(1, c));
  return Vocabulary::Parse(tokens, "vocab.txt").value();
}

std::vector<WordPieceTokenizer> OneOfEachOption() {
  std::vector<WordPieceTokenizer> tokenizers;
  for (int flags = 0; flags < 8; ++flags) {
    tokenizers.push_back(WordPieceTokenizer(
        Letters(),
        {.lower_case = (flags & 1) != 0, .strip_accents = (flags & 2) != 0, .split_cjk = (flags & 4) != 0}));
  }
  return tokenizers;
}

void Check(const Encoding& encoding, int64_t max_length, int32_t tokens) {
  HALFTONE_CHECK(std::ssize(encoding.ids) <= max_length &&
                 encoding.ids.size() == encoding.token_types.size());
  for (const int32_t id : encoding.ids) HALFTONE_CHECK(id >= 0 && id < tokens);
}

}  // namespace

// The first byte: options and the greatest length. The rest: a text, and a pair about its middle.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t flags = data[0];
  static const std::vector<WordPieceTokenizer> tokenizers = OneOfEachOption();
  const WordPieceTokenizer& tokenizer = tokenizers[flags & 7];
  const int32_t tokens = tokenizer.vocabulary().size();
  const int64_t max_length = 3 + (flags >> 3);
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const absl::string_view a = text.substr(0, text.size() / 2), b = text.substr(a.size());

  Check(tokenizer.Encode(text, max_length), max_length, tokens);
  Check(tokenizer.EncodePair(a, b, max_length), max_length, tokens);
  // A special token ends a word and stays whole: what is before and after it does not matter to the other.
  std::vector<int32_t> apart, together;
  tokenizer.Tokenize(a, apart);
  apart.push_back(tokenizer.vocabulary().sep());
  tokenizer.Tokenize(b, apart);
  tokenizer.Tokenize(absl::StrCat(a, "[SEP]", b), together);
  HALFTONE_CHECK(apart == together);
  return 0;
}

// BERT's view of Unicode: what its tokenizer does to a text before it looks for words.
//
// J. Devlin, M.-W. Chang, K. Lee, K. Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers for
// Language Understanding", 2018, and the BasicTokenizer published with it; where that leaves room, the
// BertNormalizer of Hugging Face's tokenizers.
#ifndef HALFTONE_DATASETS_TEXT_UNICODE_H_
#define HALFTONE_DATASETS_TEXT_UNICODE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace halftone {

struct BertNormalization {
  bool lower_case = true;     // each code point by itself: a final sigma is any sigma
  bool strip_accents = true;  // canonical decomposition (NFD), then without nonspacing marks (Mn)
  bool split_cjk = true;      // spaces around each CJK ideograph
};

// Appends the text as BERT reads it, in UTF-8: without control, format and private characters (Cc, Cf, Co),
// U+0000 and U+FFFD; every white space is one ' '; then as `options` say. Bytes that are no UTF-8 count as
// U+FFFD, and so are left out. Linear in the length but for runs of combining marks, n log n in theirs.
void NormalizeForBert(absl::string_view text, const BertNormalization& options, std::string& normalized);

// The code point at the start of `text`, which is not empty, and the bytes that it takes; -1 and 1 byte where
// there is no valid UTF-8.
struct CodePoint {
  int32_t value;
  int bytes;
};
CodePoint DecodeCodePoint(absl::string_view text);

// Unicode's punctuation (P*), and what is neither letter, digit, space nor control in ASCII: $ ^ ` and
// others.
bool IsBertPunctuation(int32_t code_point);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_UNICODE_H_

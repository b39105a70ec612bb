// BERT's tokenizer: text to the numbers of WordPieces.
//
// Y. Wu et al., "Google's Neural Machine Translation System", 2016 (WordPiece); J. Devlin et al., "BERT:
// Pre-training of Deep Bidirectional Transformers for Language Understanding", 2018. The numbers are those of
// Hugging Face's BertTokenizer, but for some hundred rare characters that Unicode has named or moved since
// the tables there were made (and CJK extension E's first 256, which the published BERT splits as we do).
//
//   ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::Load("vocab.txt"));
//   const WordPieceTokenizer tokenizer(std::move(vocabulary));
//   const Encoding encoding = tokenizer.Encode("an unaffected , witty film");   // [CLS] an una ##ffe ##cted
//   ...
#ifndef HALFTONE_DATASETS_TEXT_WORDPIECE_H_
#define HALFTONE_DATASETS_TEXT_WORDPIECE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "datasets/text/unicode.h"
#include "datasets/text/vocabulary.h"

namespace halftone {

struct WordPieceOptions {
  bool lower_case = true;             // false for a "cased" vocabulary
  std::optional<bool> strip_accents;  // unset: as lower_case
  bool split_cjk = true;              // each Chinese, Japanese or Korean ideograph is a word
};

// What a model reads of one text or of two. The attention mask of each of these is 1; padding, whose is 0,
// comes with the batch (text_batch.h).
struct Encoding {
  std::vector<int32_t> ids;          // [CLS] a [SEP], or [CLS] a [SEP] b [SEP]
  std::vector<int32_t> token_types;  // as many: 1 for b and the [SEP] after it, else 0
  bool truncated = false;            // to max_length
};

// Immutable: any number of threads may use it. Texts may hold any bytes and be of any length.
class WordPieceTokenizer {
 public:
  static constexpr int64_t kMaxLength = 512;  // the positions of BERT as published

  explicit WordPieceTokenizer(Vocabulary vocabulary, const WordPieceOptions& options = {});

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Appends the pieces of `text`. A word of which a part is no piece, or of more than 100 code points, is one
  // [UNK]. [PAD], [UNK], [CLS], [SEP] and [MASK] written out, in capitals, are the tokens of that name.
  void Tokenize(absl::string_view text, std::vector<int32_t>& ids) const;

  // At most max_length (2 or more) tokens: the text's last pieces are left out.
  Encoding Encode(absl::string_view text, int64_t max_length = kMaxLength) const;
  // At most max_length (3 or more): the longer text's last pieces, until both have the same, then of both.
  Encoding EncodePair(absl::string_view a, absl::string_view b, int64_t max_length = kMaxLength) const;

 private:
  void TokenizeWords(absl::string_view text, std::string& normalized, std::vector<int32_t>& ids) const;
  void AppendWord(absl::string_view word, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  BertNormalization normalization_;
  std::vector<std::pair<absl::string_view, int32_t>> special_;  // of the vocabulary, and their numbers
};

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_WORDPIECE_H_

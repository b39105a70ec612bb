// SST-2, sentences of film reviews with their sentiment: R. Socher et al., "Recursive Deep Models for
// Semantic Compositionality Over a Sentiment Treebank", 2013, in the files of GLUE (A. Wang et al., 2018).
//
// A file is UTF-8 text: a header that names two columns, then one example a line, tab-separated. The columns
// are "sentence" (or "content", or "text") and "label" (0: negative, 1: positive), in either order. Nothing
// is quoted or escaped. Lines may end in CRLF.
#ifndef HALFTONE_DATASETS_TEXT_SST2_H_
#define HALFTONE_DATASETS_TEXT_SST2_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "datasets/text/text_dataset.h"
#include "datasets/text/wordpiece.h"

namespace halftone {

struct LabelledSentence {
  absl::string_view sentence;  // not blank; of any bytes but tab and line end
  int32_t label = 0;           // 0 or 1
};

// The examples of a file's bytes, which must outlive them; path: for messages. Errors, of one line that names
// the file, the line, what was expected and what to do: an empty file, a header that lacks one of the
// columns, no examples, a line of other than two columns, a blank sentence, a label other than 0 and 1.
absl::StatusOr<std::vector<LabelledSentence>> ParseSst2(absl::string_view bytes, absl::string_view path);

// root: the folder of train.tsv and dev.tsv, which becomes the test split (GLUE's test.tsv has no labels).
// max_length: tokens a sentence, [CLS] and [SEP] among them, 3 or more; longer sentences are cut, and
// counted. limit: only the first so many training sentences (0: all). Errors: as ParseSst2; a missing file.
absl::StatusOr<TextDataset> LoadSst2(const std::string& root, const WordPieceTokenizer& tokenizer,
                                     int64_t max_length, int64_t limit = 0);

}  // namespace halftone

#endif  // HALFTONE_DATASETS_TEXT_SST2_H_

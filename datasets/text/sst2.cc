#include "datasets/text/sst2.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "datasets/text/text_file.h"

namespace halftone {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 30;  // the official training file has 4 MB
constexpr absl::string_view kExpected = "sentences of SST-2, tab-separated under a header";

using Columns = std::array<absl::string_view, 2>;

// False where there are not exactly two.
bool SplitColumns(absl::string_view line, Columns& columns) {
  const size_t tab = line.find('\t');
  if (tab == line.npos || line.find('\t', tab + 1) != line.npos) return false;
  columns = {line.substr(0, tab), line.substr(tab + 1)};
  return true;
}

bool NamesSentence(absl::string_view column) {
  return column == "sentence" || column == "content" || column == "text";
}

// Which of the two columns holds the label.
absl::StatusOr<int> LabelColumn(absl::string_view header, absl::string_view path) {
  Columns names;
  if (SplitColumns(header, names)) {
    if (NamesSentence(names[0]) && names[1] == "label") return 1;
    if (names[0] == "label" && NamesSentence(names[1])) return 0;
  }
  return LineError(path, 1, "the header is ", Quote(header),
                   ", expected 'sentence', a tab and 'label'; add it, or name the file that has labels");
}

absl::StatusOr<TextSplit> LoadSplit(const std::string& path, const WordPieceTokenizer& tokenizer,
                                    int64_t max_length, int64_t limit) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadTextFile(path, kExpected, kMaxFileBytes));
  ASSIGN_OR_RETURN(std::vector<LabelledSentence> examples, ParseSst2(bytes, path));
  if (limit > 0) examples.resize(std::min<size_t>(limit, examples.size()));
  TextSplit split;
  split.begins.reserve(examples.size() + 1);
  split.labels.reserve(examples.size());
  for (const LabelledSentence& example : examples) {
    const Encoding encoding = tokenizer.Encode(example.sentence, max_length);
    split.ids.insert(split.ids.end(), encoding.ids.begin(), encoding.ids.end());
    split.begins.push_back(static_cast<int64_t>(split.ids.size()));
    split.labels.push_back(example.label);
    split.truncated += encoding.truncated;
  }
  split.ids.shrink_to_fit();
  return split;
}

}  // namespace

absl::StatusOr<std::vector<LabelledSentence>> ParseSst2(absl::string_view bytes, absl::string_view path) {
  LineReader lines(bytes);
  if (!lines.Next()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the file is empty, expected ", kExpected, "; get it again"));
  }
  ASSIGN_OR_RETURN(const int label_column, LabelColumn(lines.line(), path));
  std::vector<LabelledSentence> examples;
  while (lines.Next()) {
    Columns columns;
    if (!SplitColumns(lines.line(), columns)) {
      return LineError(
          path, lines.number(), "the line has ", std::count(lines.line().begin(), lines.line().end(), '\t'),
          " tabs, expected one, between ", label_column == 0 ? "label and sentence" : "sentence and label",
          "; correct or remove the line");
    }
    const absl::string_view label = columns[label_column];
    const absl::string_view sentence = columns[1 - label_column];
    if (label != "0" && label != "1") {
      return LineError(path, lines.number(), "the label is ", Quote(label),
                       ", expected 0 (negative) or 1 (positive); correct or remove the line");
    }
    if (absl::StripAsciiWhitespace(sentence).empty()) {
      return LineError(path, lines.number(),
                       "the sentence is empty, expected some text; correct or remove the line");
    }
    examples.push_back({sentence, label == "1"});
  }
  if (examples.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": there is nothing after the header, expected ",
                                                   kExpected, "; get the file again"));
  }
  return examples;
}

absl::StatusOr<TextDataset> LoadSst2(const std::string& root, const WordPieceTokenizer& tokenizer,
                                     int64_t max_length, int64_t limit) {
  if (max_length < 3) {
    return absl::InvalidArgumentError(absl::StrCat("the greatest length of a sentence is ", max_length,
                                                   " tokens, expected 3 or more: [CLS], a piece and [SEP]"));
  }
  TextDataset dataset;
  dataset.name = "sst2";
  dataset.num_classes = 2;
  dataset.pad_id = tokenizer.vocabulary().pad();
  dataset.vocabulary = tokenizer.vocabulary().size();
  ASSIGN_OR_RETURN(dataset.train, LoadSplit(root + "/train.tsv", tokenizer, max_length, limit));
  ASSIGN_OR_RETURN(dataset.test, LoadSplit(root + "/dev.tsv", tokenizer, max_length, /*limit=*/0));
  for (const TextSplit* split : {&dataset.train, &dataset.test}) {
    for (int64_t i = 0; i < split->size(); ++i) {
      dataset.max_length = std::max(dataset.max_length, split->length(i));
    }
  }
  return dataset;
}

}  // namespace halftone

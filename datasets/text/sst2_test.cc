#include "datasets/text/sst2.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "datasets/text/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

constexpr char kSample[] = "datasets/text/testdata/sst2";

std::string ParseError(const std::string& bytes) {
  const auto examples = ParseSst2(bytes, "dev.tsv");
  if (examples.ok()) return "";
  const std::string message(examples.status().message());
  EXPECT_EQ(message.find('\n'), message.npos) << message;
  return message;
}

TEST(Sst2Test, LoadsTheSample) {
  const WordPieceTokenizer tokenizer = SmallTokenizer();
  const TextDataset data = LoadSst2(kSample, tokenizer, 64).value();
  EXPECT_EQ(data.name, "sst2");
  EXPECT_EQ(data.num_classes, 2);
  EXPECT_EQ(data.pad_id, tokenizer.vocabulary().pad());
  EXPECT_EQ(data.train.size(), 160);
  EXPECT_EQ(data.test.size(), 40);
  for (const TextSplit* split : {&data.train, &data.test}) {
    EXPECT_EQ(std::count(split->labels.begin(), split->labels.end(), 1) * 2, split->size());
    EXPECT_EQ(split->truncated, 0);
    ASSERT_EQ(std::ssize(split->begins), split->size() + 1);
    EXPECT_EQ(split->begins.back(), std::ssize(split->ids));
  }
  const absl::Span<const int32_t> first = data.test.sentence(0);
  EXPECT_EQ(std::vector<int32_t>(first.begin(), first.end()),
            tokenizer.Encode("one long string of cliches .").ids);
  EXPECT_EQ(data.test.labels[0], 0);
}

TEST(Sst2Test, CutsLongSentencesAndCountsThem) {
  const WordPieceTokenizer tokenizer = SmallTokenizer();
  const TextDataset whole = LoadSst2(kSample, tokenizer, 512).value();
  const TextDataset cut = LoadSst2(kSample, tokenizer, 12).value();
  int64_t longer = 0;
  for (int64_t i = 0; i < whole.train.size(); ++i) {
    longer += whole.train.length(i) > 12;
    EXPECT_EQ(cut.train.length(i), std::min<int64_t>(12, whole.train.length(i)));
    EXPECT_EQ(cut.train.sentence(i).back(), tokenizer.vocabulary().sep());
  }
  EXPECT_GT(longer, 0);
  EXPECT_EQ(cut.train.truncated, longer);
  EXPECT_EQ(LoadSst2(kSample, tokenizer, 2).status().message(),
            "the greatest length of a sentence is 2 tokens, expected 3 or more: [CLS], a piece and [SEP]");
}

TEST(Sst2Test, LimitIsOfTrainingSentences) {
  const WordPieceTokenizer tokenizer = SmallTokenizer();
  const TextDataset all = LoadSst2(kSample, tokenizer, 64).value();
  const TextDataset few = LoadSst2(kSample, tokenizer, 64, 7).value();
  EXPECT_EQ(few.train.size(), 7);
  EXPECT_EQ(few.test.size(), 40);
  EXPECT_EQ(few.train.ids,
            std::vector<int32_t>(all.train.ids.begin(), all.train.ids.begin() + all.train.begins[7]));
  EXPECT_EQ(LoadSst2(kSample, tokenizer, 64, 1000).value().train.size(), 160);
}

TEST(Sst2Test, ReadsEitherOrderOfColumnsAndEitherLineEnd) {
  for (const std::string name : {"sentence", "content", "text"}) {
    for (const std::string end : {"\n", "\r\n"}) {
      const std::string first =
          absl::StrCat(name, "\tlabel", end, "a \"fine\" film ", "\t1", end, "dull", "\t0", end);
      const std::string last =
          absl::StrCat("\xef\xbb\xbflabel\t", name, end, "1\ta \"fine\" film ", end, "0\tdull");
      for (const std::string& bytes : {first, last}) {
        const auto examples = ParseSst2(bytes, "x").value();
        ASSERT_EQ(examples.size(), 2u) << bytes;
        EXPECT_EQ(examples[0].sentence, "a \"fine\" film ");
        EXPECT_EQ(examples[0].label, 1);
        EXPECT_EQ(examples[1].sentence, "dull");
        EXPECT_EQ(examples[1].label, 0);
      }
    }
  }
}

TEST(Sst2Test, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(
      ParseError(""),
      "dev.tsv: the file is empty, expected sentences of SST-2, tab-separated under a header; get it again");
  EXPECT_EQ(ParseError("sentence\tlabel\r\n"),
            "dev.tsv: there is nothing after the header, expected sentences of SST-2, tab-separated under a "
            "header; get "
            "the file again");
  for (const std::string header :
       {"dull\t0", "index\tsentence", "sentence", "label\tlabel", "a\tsentence\tlabel", ""}) {
    const std::string message = ParseError(header + "\ndull\t0\n");
    EXPECT_EQ(message.find("dev.tsv, line 1: the header is '"), 0u) << message;
    EXPECT_NE(message.find("expected 'sentence', a tab and 'label'"), message.npos) << message;
  }
  const std::string header = "sentence\tlabel\n";
  EXPECT_EQ(ParseError(header + "good\t1\nbad\n"),
            "dev.tsv, line 3: the line has 0 tabs, expected one, between sentence and label; correct or "
            "remove the line");
  EXPECT_EQ(ParseError(header + "a\tb\t1\n"),
            "dev.tsv, line 2: the line has 2 tabs, expected one, between sentence and label; correct or "
            "remove the line");
  EXPECT_EQ(ParseError("label\tsentence\n\n"),
            "dev.tsv, line 2: the line has 0 tabs, expected one, between label and sentence; correct or "
            "remove the line");
  EXPECT_EQ(
      ParseError(header + "good\t2\n"),
      "dev.tsv, line 2: the label is '2', expected 0 (negative) or 1 (positive); correct or remove the line");
  for (const std::string label : {"", "-1", "01", "1 ", "one", "1.0"}) {
    EXPECT_NE(ParseError(header + "good\t" + label + "\n").find("line 2: the label is '" + label + "'"),
              std::string::npos);
  }
  for (const std::string sentence : {"", " ", " \v "}) {
    EXPECT_EQ(ParseError(header + "good\t1\n" + sentence + "\t1\n"),
              "dev.tsv, line 3: the sentence is empty, expected some text; correct or remove the line");
  }
  // One line, and not a long one, whatever the file holds.
  EXPECT_LT(ParseError(std::string(1 << 20, '\v')).size(), 400u);
}

TEST(Sst2Test, NamesTheFileThatIsMissing) {
  const std::string root = FreshFolder();
  const WordPieceTokenizer tokenizer = SmallTokenizer();
  Write(root + "/train.tsv", "sentence\tlabel\ngood\t1\n");
  EXPECT_EQ(LoadSst2(root, tokenizer, 64).status().message(),
            "there is no " + root +
                "/dev.tsv (sentences of SST-2, tab-separated under a header): put it there, or name "
                "the one to use");
  Write(root + "/dev.tsv", "sentence\tlabel\n\xff\xfe bad\t0\n");
  EXPECT_EQ(LoadSst2(root, tokenizer, 64).value().test.size(), 1);
}

TEST(Sst2Test, LoadsTheSharedFiles) {
  if (SharedFolder().empty()) GTEST_SKIP() << "HALFTONE_SHARED is not set";
  const TextDataset data = LoadSst2(SharedFolder() + "/data/sst2", SmallTokenizer(), 128).value();
  EXPECT_EQ(data.train.size(), 20'000);
  EXPECT_EQ(data.test.size(), 436);
}

}  // namespace
}  // namespace halftone

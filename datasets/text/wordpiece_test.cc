#include "datasets/text/wordpiece.h"

#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "datasets/text/fixture.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace halftone {
namespace {

using Json = nlohmann::json;

std::string Pieces(const WordPieceTokenizer& tokenizer, absl::Span<const int32_t> ids) {
  return absl::StrJoin(ids, " ", [&](std::string* out, int32_t id) {
    absl::StrAppend(out, tokenizer.vocabulary().token(id));
  });
}

std::string Pieces(const WordPieceTokenizer& tokenizer, absl::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.Tokenize(text, ids);
  return Pieces(tokenizer, ids);
}

WordPieceTokenizer Tokenizer(const std::string& tokens, const WordPieceOptions& options = {}) {
  std::vector<std::string> lines = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  for (const auto token : absl::StrSplit(tokens, ' ')) lines.emplace_back(token);
  return WordPieceTokenizer(Vocabulary::Parse(absl::StrJoin(lines, "\n"), "v").value(), options);
}

// The example of the paper and of BERT's own tests.
TEST(WordPieceTest, TakesTheLongestPieceFirst) {
  const WordPieceTokenizer t = Tokenizer("want ##want ##ed wa un runn ##ing ,");
  EXPECT_EQ(Pieces(t, "unwanted running"), "un ##want ##ed runn ##ing");
  EXPECT_EQ(Pieces(t, "UNwant\u00c9d,running"), "un ##want ##ed , runn ##ing");
  EXPECT_EQ(Pieces(t, "unwantedX running"), "[UNK] runn ##ing");
  EXPECT_EQ(Pieces(t, "wanting wan"), "want ##ing [UNK]");
  EXPECT_EQ(Pieces(t, ""), "");
}

TEST(WordPieceTest, APieceNeverEndsWithinACharacter) {
  // The bytes of U+00E9 are C3 A9, of U+00E8 C3 A8.
  const WordPieceTokenizer t = Tokenizer("x\u00e9 x ##\u00e8", {.strip_accents = false});
  EXPECT_EQ(Pieces(t, "x\u00e9 x\u00e8 x\u00ea"), "x\u00e9 x ##\u00e8 [UNK]");
}

TEST(WordPieceTest, WordsAboveAHundredCharactersAreUnknown) {
  const WordPieceTokenizer t = Tokenizer("a ##a \u0436 ##\u0436 " + std::string(101, 'b'));
  std::vector<int32_t> ids;
  t.Tokenize(std::string(100, 'a'), ids);
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(Pieces(t, std::string(101, 'a')), "[UNK]");
  EXPECT_EQ(Pieces(t, std::string(101, 'b')), "[UNK]");
  std::string word;
  for (int i = 0; i < 100; ++i) word += "\u0436";
  ids.clear();
  t.Tokenize(word, ids);
  EXPECT_EQ(ids.size(), 100u);  // of 200 bytes
  EXPECT_EQ(Pieces(t, word + "\u0436"), "[UNK]");
}

TEST(WordPieceTest, SpecialTokensStayWhole) {
  const WordPieceTokenizer t = Tokenizer("a b [ ] ##b cls ma ##sk");
  EXPECT_EQ(Pieces(t, "a[MASK]b [SEP]"), "a [MASK] b [SEP]");
  EXPECT_EQ(Pieces(t, "[cls] [[CLS]] ["), "[ cls ] [ [CLS] ] [");
  const WordPieceTokenizer without(Vocabulary::Parse("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[\n]\nmask", "v").value());
  EXPECT_EQ(Pieces(without, "[MASK]"), "[ mask ]");
}

TEST(WordPieceTest, MatchesHuggingFaceOnTrickyTexts) {
  std::ifstream file(std::string(kTestData) + "/pieces.json");
  const Json groups = Json::parse(file);
  int cases = 0;
  for (const Json& group : groups) {
    WordPieceOptions options = {.lower_case = group["lower_case"], .split_cjk = group["split_cjk"]};
    if (!group["strip_accents"].is_null()) options.strip_accents = group["strip_accents"].get<bool>();
    const WordPieceTokenizer t = SmallTokenizer(options);
    for (const Json& pair : group["cases"]) {
      std::string text = pair[0];
      if (group["form"] == "hex") text = absl::HexStringToBytes(text);
      EXPECT_EQ(Pieces(t, t.Encode(text).ids), pair[1].get<std::string>())
          << group["name"] << ", lower_case " << group["lower_case"] << ": " << pair[0];
      ++cases;
    }
  }
  EXPECT_EQ(cases, 342);
}

TEST(WordPieceTest, EncodesOneText) {
  const WordPieceTokenizer t = Tokenizer("a b c d");
  const Encoding whole = t.Encode("a b c d", 6);
  EXPECT_EQ(Pieces(t, whole.ids), "[CLS] a b c d [SEP]");
  EXPECT_EQ(whole.token_types, std::vector<int32_t>(6, 0));
  EXPECT_FALSE(whole.truncated);
  const Encoding cut = t.Encode("a b c d", 5);
  EXPECT_EQ(Pieces(t, cut.ids), "[CLS] a b c [SEP]");
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(Pieces(t, t.Encode("a b", 2).ids), "[CLS] [SEP]");
  EXPECT_EQ(Pieces(t, t.Encode("").ids), "[CLS] [SEP]");
  EXPECT_FALSE(t.Encode("", 2).truncated);
}

TEST(WordPieceTest, EncodesAPairLongestFirst) {
  const WordPieceTokenizer t = Tokenizer("a b c d e f g h");
  struct Case {
    std::string a, b;
    int64_t max_length;
    std::string pieces, token_types;
    bool truncated;
  };
  for (const Case& c : std::vector<Case>{
           {"a b", "c d e", 8, "[CLS] a b [SEP] c d e [SEP]", "00001111", false},
           {"a b", "c d e f", 8, "[CLS] a b [SEP] c d e [SEP]", "00001111", true},
           {"a b c d", "e f", 8, "[CLS] a b c [SEP] e f [SEP]", "00000111", true},
           {"a b c d", "e f g h", 8, "[CLS] a b [SEP] e f g [SEP]", "00001111", true},
           {"a b c d e", "f g h", 8, "[CLS] a b c [SEP] f g [SEP]", "00000111", true},
           {"a b c", "d e f", 7, "[CLS] a b [SEP] d e [SEP]", "0000111", true},
           {"a", "b c", 3, "[CLS] [SEP] [SEP]", "001", true},
           {"a", "", 9, "[CLS] a [SEP] [SEP]", "0001", false},
       }) {
    const Encoding encoding = t.EncodePair(c.a, c.b, c.max_length);
    EXPECT_EQ(Pieces(t, encoding.ids), c.pieces);
    EXPECT_EQ(absl::StrJoin(encoding.token_types, ""), c.token_types) << c.pieces;
    EXPECT_EQ(encoding.truncated, c.truncated) << c.pieces;
  }
}

}  // namespace
}  // namespace halftone

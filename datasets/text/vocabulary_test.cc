#include "datasets/text/vocabulary.h"

#include <utility>

#include "datasets/text/fixture.h"
#include "gtest/gtest.h"

namespace halftone {
namespace {

constexpr char kSpecial[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";

std::string ParseError(const std::string& bytes) {
  const auto vocabulary = Vocabulary::Parse(bytes, "some/vocab.txt");
  if (vocabulary.ok()) return "";
  const std::string message(vocabulary.status().message());
  EXPECT_EQ(message.find('\n'), message.npos) << message;
  return message;
}

TEST(VocabularyTest, NumbersTokensByLine) {
  const Vocabulary v =
      Vocabulary::Parse("x\n[UNK]\n##ing\n[PAD]\n[SEP]\n[CLS]\n##\n\xc3\xa9t\xc3\xa9", "v").value();
  EXPECT_EQ(v.size(), 8);
  EXPECT_EQ(v.unk(), 1);
  EXPECT_EQ(v.pad(), 3);
  EXPECT_EQ(v.sep(), 4);
  EXPECT_EQ(v.cls(), 5);
  EXPECT_EQ(v.token(2), "##ing");
  EXPECT_EQ(v.Find("x"), 0);
  EXPECT_EQ(v.Find("\xc3\xa9t\xc3\xa9"), 7);
  EXPECT_EQ(v.Find("##ing"), 2);
  EXPECT_EQ(v.FindContinuation("ing"), 2);
  EXPECT_EQ(v.Find("ing"), Vocabulary::kNone);
  EXPECT_EQ(v.FindContinuation("x"), Vocabulary::kNone);
  EXPECT_EQ(v.max_piece_bytes(), 5u);
}

TEST(VocabularyTest, LineEndsOfWindowsAndAByteOrderMarkChangeNothing) {
  std::string windows = "\xef\xbb\xbf";
  for (const char c : std::string(kSpecial) + "film") windows += c == '\n' ? "\r\n" : std::string(1, c);
  const Vocabulary v = Vocabulary::Parse(windows, "v").value();
  EXPECT_EQ(v.size(), 5);
  EXPECT_EQ(v.pad(), 0);
  EXPECT_EQ(v.token(4), "film");
}

TEST(VocabularyTest, OutlivesTheBytesAndMoves) {
  auto bytes = std::make_unique<std::string>(std::string(kSpecial) + "film\n");
  Vocabulary first = Vocabulary::Parse(*bytes, "v").value();
  bytes.reset();
  const Vocabulary second = std::move(first);
  EXPECT_EQ(second.Find("film"), 4);
  EXPECT_EQ(second.token(4), "film");
}

TEST(VocabularyTest, SaysWhatIsWrongAndWhere) {
  const std::string special = kSpecial;
  EXPECT_EQ(
      ParseError(""),
      "some/vocab.txt: the file is empty, expected a WordPiece vocabulary, vocab.txt, of one token a line");
  EXPECT_EQ(ParseError(special + "film\ngood\nfilm\n"),
            "some/vocab.txt, line 7: the token 'film' is there already, in line 5; expected each token once: "
            "get the "
            "model's own vocab.txt again");
  EXPECT_EQ(ParseError(special + "film\n\ngood\n"),
            "some/vocab.txt, line 6: the line is empty, expected a token; remove the line only if it is the "
            "last, for "
            "lines number the tokens");
  EXPECT_EQ(
      ParseError(special + "fi\xfflm\n"),
      "some/vocab.txt, line 5: 'fi\\xfflm' is no valid UTF-8; convert the file to UTF-8 or get it again");
  EXPECT_EQ(ParseError("[PAD]\n[UNK]\n[CLS]\n"),
            "some/vocab.txt: none of the 3 lines is [SEP]; expected a WordPiece vocabulary, vocab.txt, of "
            "one token a "
            "line with [PAD], [UNK], [CLS] and [SEP]");
  for (const std::string name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}) {
    std::string without = special;
    without.replace(without.find(name), name.size(), "other");
    EXPECT_NE(ParseError(without).find("none of the 4 lines is " + name), std::string::npos) << name;
  }
  EXPECT_EQ(ParseError(special + std::string(1001, 'x')),
            "some/vocab.txt, line 5: the line has 1001 bytes, expected a token of at most 1000; check that "
            "the file is a "
            "WordPiece vocabulary, vocab.txt, of one token a line");
  EXPECT_EQ(ParseError(special + std::string(1000, 'x')), "");
}

TEST(VocabularyTest, RefusesFilesThatAreNotThereOrTooLarge) {
  const std::string path = FreshFolder() + "/vocab.txt";
  EXPECT_EQ(
      Vocabulary::Load(path).status().message(),
      "there is no " + path +
          " (a WordPiece vocabulary, vocab.txt, of one token a line): put it there, or name the one to use");
  Write(path, kSpecial);
  EXPECT_EQ(Vocabulary::Load(path).value().size(), 4);
  std::filesystem::resize_file(path, Vocabulary::kMaxFileBytes + 1);
  EXPECT_EQ(Vocabulary::Load(path).status().message(),
            path +
                ": the file has 67108865 bytes, expected a WordPiece vocabulary, vocab.txt, of one token a "
                "line in at most "
                "67108864; check what it is");
  EXPECT_FALSE(Vocabulary::Load(FreshFolder()).ok());
}

}  // namespace
}  // namespace halftone

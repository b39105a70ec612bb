#include "io/pytorch/pickle.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::HasSubstr;
using Kind = PickleValue::Kind;

// A value in the notation of Python's repr, but for calls: "module.name(arguments)", then what was put in.
std::string Text(const Pickle& pickle, PickleRef ref, int depth = 0) {
  const PickleValue& value = pickle[ref];
  const auto list = [&](const std::vector<PickleRef>& refs) {
    std::string text;
    for (const PickleRef item : refs)
      absl::StrAppend(&text, text.empty() ? "" : ",", Text(pickle, item, depth + 1));
    return text;
  };
  if (depth > 8) return "...";
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.integer != 0 ? "True" : "False";
    case Kind::kInt:
      return absl::StrCat(value.integer);
    case Kind::kLong:
      return absl::StrCat("long", value.text.size());
    case Kind::kFloat:
      return absl::StrCat(value.number);
    case Kind::kString:
      return absl::StrCat("'", value.text, "'");
    case Kind::kBytes:
      return absl::StrCat("b'", value.text, "'");
    case Kind::kTuple:
      return absl::StrCat("(", list(value.items), ")");
    case Kind::kList:
      return absl::StrCat("[", list(value.items), "]");
    case Kind::kDict:
      return absl::StrCat("{", list(value.items), "}");
    case Kind::kGlobal:
      return absl::StrCat(pickle[value.items[0]].text, ".", pickle[value.items[1]].text);
    case Kind::kPersistent:
      return absl::StrCat("<", Text(pickle, value.items[0], depth + 1), ">");
    case Kind::kCall: {
      std::string text;
      for (const PickleRef item : value.items) {
        if (item != kNoPickleRef) absl::StrAppend(&text, Text(pickle, item, depth + 1));
      }
      return text;
    }
  }
  return "?";
}

std::string Read(absl::string_view bytes) {
  const auto pickle = Pickle::Parse("file", bytes);
  if (pickle.ok()) return Text(*pickle, pickle->root());
  EXPECT_TRUE(absl::StartsWith(pickle.status().message(), "file: ")) << pickle.status();
  EXPECT_FALSE(absl::StrContains(pickle.status().message(), '\n')) << pickle.status();
  return std::string(pickle.status().message());
}

// With the bytes as they are, those of value 0 too.
template <size_t n>
std::string Read(const char (&bytes)[n]) {
  return Read(absl::string_view(bytes, n - 1));
}

TEST(PickleTest, Values) {
  EXPECT_EQ(Read("N."), "None");
  EXPECT_EQ(Read("\x80\2(\x88\x89t."), "(True,False)");
  EXPECT_EQ(Read("(J\xff\xff\xff\xffK\xffM\1\2t."), "(-1,255,513)");
  EXPECT_EQ(
      Read("(\x8a\0\x8a\1\xff\x8a\2\xff\0\x8a\x8\0\0\0\0\0\0\0\x80\x8a\x9\0\0\0\0\0\0\0\0\1\x8b\1\0\0\0\5t."),
      "(0,-1,255,-9223372036854775808,long9,5)");
  EXPECT_EQ(Read("G\x3f\xf8\0\0\0\0\0\0."), "1.5");
  EXPECT_EQ(Read("(X\2\0\0\0hiU\1aT\1\0\0\0b\x8c\1c\x8d\1\0\0\0\0\0\0\0dt."), "('hi','a','b','c','d')");
  EXPECT_EQ(Read("(B\1\0\0\0aC\1b\x8e\1\0\0\0\0\0\0\0c\x96\1\0\0\0\0\0\0\0dt."), "(b'a',b'b',b'c',b'd')");
  EXPECT_EQ(Read("\x80\4\x95\2\0\0\0\0\0\0\0N."), "None");  // in a frame
}

TEST(PickleTest, Containers) {
  EXPECT_EQ(Read("()](K\1K\2e]K\3a(lt."), "((),[1,2],[3],[])");
  EXPECT_EQ(Read("(K\1\x85K\1K\2\x86K\1K\2K\3\x87t."), "((1),(1,2),(1,2,3))");
  EXPECT_EQ(Read("(}U\1aK\1s}(U\1bK\2U\1cK\3u(U\1dK\4dt."), "({'a',1},{'b',2,'c',3},{'d',4})");
  EXPECT_EQ(Read("(\x8f(K\1K\2\x90(K\3\x91t."), "([1,2],[3])");
  EXPECT_EQ(Read("K\1K\2"
                 "0."),
            "1");
  EXPECT_EQ(Read("K\1(K\2K\3"
                 "1."),
            "1");
  EXPECT_EQ(Read("K\1(0."), "1");
  EXPECT_EQ(Read("K\1"
                 "2\x86."),
            "(1,1)");
}

TEST(PickleTest, Memo) {
  EXPECT_EQ(Read("U\1aq\5h\5\x86."), "('a','a')");
  EXPECT_EQ(Read("U\1ar\xff\xff\xff\xffj\xff\xff\xff\xff\x86."), "('a','a')");
  EXPECT_EQ(Read("U\1a\x94U\1b\x94h\0h\1\x86\x86\x86."), "('a',('b',('a','b')))");
  EXPECT_EQ(Read("]q\0h\0a."), "[[[[[[[[[...]]]]]]]]]");  // a list in itself
}

TEST(PickleTest, CallsAreKeptAndNotMade) {
  EXPECT_EQ(Read("cos\nsystem\nU\4true\x85R."), "os.system('true')");
  EXPECT_EQ(Read("U\2os"
                 "U\6system\x93U\4true\x85R."),
            "os.system('true')");
  EXPECT_EQ(Read("cm\nC\n)\x81}U\1aK\1sb."), "m.C(){'a',1}");
  EXPECT_EQ(Read("cm\nC\n)}\x92."), "m.C()");
  EXPECT_EQ(Read("cm\nC\n)RU\1kK\1sK\2a(K\3eU\1lK\4s."), "m.C()[2,3]{'k',1,'l',4}");
  EXPECT_EQ(Read("U\1aQ."), "<'a'>");
  EXPECT_EQ(Read("}N"
                 "b."),
            "{}");  // a state for what has none is nothing
}

TEST(PickleTest, SizeAndRest) {
  const auto pickle = Pickle::Parse("file", "\x80\2K\7.more");
  ASSERT_TRUE(pickle.ok());
  EXPECT_EQ(pickle->size(), 5u);
  EXPECT_EQ((*pickle)[pickle->root()].integer, 7);
}

TEST(PickleTest, WhatIsNoPickle) {
  EXPECT_THAT(Read(""), HasSubstr("at its byte 0: 1 bytes are due, 0 are left"));
  EXPECT_THAT(Read("N"), HasSubstr("1 bytes are due"));
  EXPECT_THAT(Read("."), HasSubstr("it ends with 0 values"));
  EXPECT_THAT(Read("NN."), HasSubstr("it ends with 2 values"));
  EXPECT_THAT(Read("\xff"), HasSubstr("at its byte 0: 0xff is no opcode"));
  EXPECT_THAT(Read("t."), HasSubstr("a mark is missing"));
  EXPECT_THAT(Read("0."), HasSubstr("too few values"));
  EXPECT_THAT(Read("N(\x85."), HasSubstr("too few values"));  // not from below the mark
  EXPECT_THAT(Read("q\1."), HasSubstr("too few values"));
  EXPECT_THAT(Read("h\1."), HasSubstr("nothing was memoised as 1"));
  EXPECT_THAT(Read("}(Nu."), HasSubstr("a key without a value"));
  EXPECT_THAT(Read("(Nd."), HasSubstr("a key without a value"));
  EXPECT_THAT(Read("NNa."), HasSubstr("items for a value that holds none"));
  EXPECT_THAT(Read("}Na."), HasSubstr("items for a value that holds none"));
  EXPECT_THAT(Read("NN\x93."), HasSubstr("a global's name is no string"));
  EXPECT_THAT(Read("cos\nsystem"), HasSubstr("a name without an end"));
}

TEST(PickleTest, LyingLengthsTakeNoMemory) {
  for (const char* opcode : {"X", "T", "B", "\x8b"}) {
    EXPECT_THAT(Read(absl::StrCat(opcode, "\xff\xff\xff\x7f.")),
                HasSubstr("2147483647 bytes are due, 1 are left"));
  }
  for (const char* opcode : {"\x8d", "\x8e", "\x96"}) {
    EXPECT_THAT(Read(absl::StrCat(opcode, std::string(8, '\xff'))),
                HasSubstr("18446744073709551615 bytes are due"));
  }
}

TEST(PickleTest, TooManyValues) {
  EXPECT_THAT(Read(std::string(Pickle::kMaxValues + 1, 'N')), HasSubstr("more than 4194304 values"));
  EXPECT_THAT(Read(std::string(Pickle::kMaxValues + 1, '(')), HasSubstr("more than 4194304 values"));
  EXPECT_THAT(Read(absl::StrCat("N", std::string(Pickle::kMaxValues, '2'))),
              HasSubstr("more than 4194304 values"));
}

TEST(PickleTest, WhatIsNotRead) {
  EXPECT_THAT(Read("\x80\1N."), HasSubstr("pickle protocol 1; Halftone reads 2 to 5"));
  EXPECT_THAT(Read("\x80\6N."), HasSubstr("pickle protocol 6"));
  EXPECT_THAT(Read("I1\n."), HasSubstr("opcode 0x49, of protocol 0 or 1"));
  EXPECT_THAT(Read("\x82\1."), HasSubstr("opcode 0x82, which names values outside the file"));
}

TEST(PickleTest, EveryOpcodeAndEveryPairOfThem) {
  int read = 0;
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string end("N\0\0\0\0\0\0\0\0.", 10);
      read += Pickle::Parse("file", absl::StrCat("(}N", std::string(1, static_cast<char>(a)),
                                                 std::string(1, static_cast<char>(b)), end))
                  .ok();
      Read(absl::StrCat(std::string(1, static_cast<char>(a)), std::string(1, static_cast<char>(b)), end));
    }
  }
  EXPECT_LT(read, 1000);
}

}  // namespace
}  // namespace halftone

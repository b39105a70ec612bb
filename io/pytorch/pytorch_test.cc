#include "io/pytorch/pytorch.h"

#include <zip.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/parallel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/test_files.h"
#include "io/zip/zip_testing.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kZip[] = "io/testdata/zip.pt";
constexpr char kLegacy[] = "io/testdata/legacy.pt";

std::vector<std::string> Names(const ArrayFile& file) {
  std::vector<std::string> names;
  for (const FileArray& array : file.arrays()) names.push_back(array.name);
  return names;
}

TEST(PytorchTest, WhatTorchWrote) {
  for (const char* path : {kZip, kLegacy}) {
    const auto opened = OpenArrayFile(path);
    ASSERT_TRUE(opened.ok()) << opened.status();
    const ArrayFile& file = **opened;
    EXPECT_EQ(file.format(), "pytorch");
    EXPECT_TRUE(file.random_access());
    ASSERT_THAT(Names(file), ElementsAre("model.weight", "model.transposed", "model.column", "model.expanded",
                                         "model.scale", "states.0.step", "states.0.fp8", "states.1.none",
                                         "states.1.mask"));
    EXPECT_EQ(file.arrays()[0].shape, Shape({2, 3}));
    EXPECT_EQ(file.arrays()[0].type, ElementType::kF32);
    EXPECT_THAT(Values(file, 0), ElementsAre(-2, -1.5, -1, -0.5, 0, 0.5));
    EXPECT_EQ(file.arrays()[1].shape, Shape({3, 2}));
    EXPECT_THAT(Values(file, 1), ElementsAre(-2, -0.5, -1.5, 0, -1, 0.5));
    EXPECT_THAT(Values(file, 2), ElementsAre(-1.5, 0));
    EXPECT_EQ(file.arrays()[3].shape, Shape({2, 2}));
    EXPECT_THAT(Values(file, 3), ElementsAre(0, 0, 0, 0));
    EXPECT_EQ(file.arrays()[4].type, ElementType::kBF16);
    EXPECT_THAT(Values(file, 4), ElementsAre(-2, -1.5));
    EXPECT_EQ(file.arrays()[5].shape, Shape({}));
    EXPECT_EQ(file.arrays()[5].type, ElementType::kI64);
    EXPECT_THAT(Values(file, 5), ElementsAre(-2));
    EXPECT_EQ(file.arrays()[6].type, ElementType::kF8E4M3FN);
    EXPECT_THAT(Values(file, 6), ElementsAre(-2, -1.5, -1, -0.5));
    EXPECT_EQ(file.arrays()[7].shape, Shape({0, 3}));
    EXPECT_THAT(Values(file, 7), IsEmpty());
    EXPECT_EQ(file.arrays()[8].type, ElementType::kBool);
    EXPECT_THAT(Values(file, 8), ElementsAre(1, 0));
  }
}

TEST(PytorchTest, ALoneTensorHasTheFilesName) {
  const auto file = OpenArrayFile("io/testdata/lone.pt");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Names(**file), ElementsAre("lone"));
  EXPECT_THAT(Values(**file, 0), ElementsAre(-2, -1.5, -1, -0.5, 0, 0.5));
}

TEST(PytorchTest, ToldByContent) {
  for (const char* path : {kZip, kLegacy}) {
    const auto file = OpenArrayFile(TempFile("no_extension", *ReadFile(path)));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->format(), "pytorch");
  }
  const auto message = [](absl::string_view name, const std::string& bytes) {
    const std::string path = TempFile(name, bytes);
    const absl::Status status = ReadAll(path);
    ExpectOneLine(status, path);
    return std::string(status.message());
  };
  EXPECT_THAT(message("a.pth", "hello"), HasSubstr("neither a zip archive nor torch.save's older format"));
  EXPECT_THAT(message("b.pth", MakeZip({{"a", "b"}}, ZIP_CM_STORE)), HasSubstr("without data.pkl"));
  EXPECT_THAT(message("c.pt", std::string(257, 'a') + "ustar" + std::string(300, 'a')),
              HasSubstr("a tar archive, as PyTorch wrote before 0.1.10"));
}

// ---- Pickles of our own

std::string Text(absl::string_view text) { return absl::StrCat("X", LittleEndian(text.size(), 4), text); }
std::string Int(int64_t value) {
  return absl::StrCat("\x8a\x8", LittleEndian(static_cast<uint64_t>(value), 8));
}
std::string Tuple(const std::string& items) { return absl::StrCat("(", items, "t"); }
std::string Counts(const std::vector<int64_t>& counts) {
  std::string items;
  for (const int64_t count : counts) items += Int(count);
  return Tuple(items);
}
std::string Global(absl::string_view module, absl::string_view name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}
std::string Storage(absl::string_view type, int64_t count, absl::string_view more = "") {
  return Tuple(
             absl::StrCat(Text("storage"), Global("torch", type), Text("0"), Text("cpu"), Int(count), more)) +
         "Q";
}
std::string TensorOf(const std::string& storage, int64_t offset, const std::vector<int64_t>& size,
                     const std::vector<int64_t>& stride, absl::string_view more = "") {
  return absl::StrCat(Global("torch._utils", "_rebuild_tensor_v2"),
                      Tuple(absl::StrCat(storage, Int(offset), Counts(size), Counts(stride), "\x89}", more)),
                      "R");
}
// Of storage 0, four floats.
std::string FourFloats() { return TensorOf(Storage("FloatStorage", 4), 0, {4}, {1}); }
const char kFourFloats[] = "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40";  // 1 2 3 4

std::string PytorchFile(absl::string_view pickle, absl::string_view order = "little") {
  return TempFile("made.pt", MakeZip({{"made/data.pkl", absl::StrCat("\x80\2", pickle, ".")},
                                      {"made/byteorder", std::string(order)},
                                      {"made/data/0", std::string(kFourFloats, 16)}},
                                     ZIP_CM_STORE));
}

std::vector<std::string> NamesIn(const std::string& pickle) {
  const auto file = OpenArrayFile(PytorchFile(pickle));
  if (!file.ok()) return {std::string(file.status().message())};
  for (size_t i = 0; i < (*file)->arrays().size(); ++i)
    EXPECT_THAT(Values(**file, i), ElementsAre(1, 2, 3, 4));
  return Names(**file);
}

TEST(PytorchTest, NamesArePaths) {
  const std::string t = FourFloats();
  EXPECT_THAT(NamesIn("]"), IsEmpty());
  EXPECT_THAT(NamesIn("N"), IsEmpty());
  EXPECT_THAT(NamesIn(t), ElementsAre("made"));
  EXPECT_THAT(NamesIn(Tuple(t + "N" + t)), ElementsAre("0", "2"));
  EXPECT_THAT(NamesIn(absl::StrCat("}(", Text("a.b"), t, Int(-7), t, "C\1b", t, "N", t, "u")),
              ElementsAre("a.b", "-7", "b", "<key 3>"));
  const std::string ordered = Global("collections", "OrderedDict");
  EXPECT_THAT(NamesIn(absl::StrCat(ordered, ")R", Text("a"), t, "s")), ElementsAre("a"));
  EXPECT_THAT(NamesIn(absl::StrCat(ordered, "](](", Text("a"), t, "ee\x85R")), ElementsAre("a"));  // Python 2
  EXPECT_THAT(NamesIn(absl::StrCat(Global("argparse", "Namespace"), ")\x81}", Text("a"), t, "sb")),
              ElementsAre("a"));
  EXPECT_THAT(NamesIn(absl::StrCat(Global("os", "system"), Tuple(t), "R")), IsEmpty());
}

TEST(PytorchTest, AModulesTensorsAreNamedAsInItsStateDict) {
  const std::string parameters = absl::StrCat(Text("_parameters"), "}", Text("weight"), FourFloats(), "s");
  const std::string inner = absl::StrCat(Global("m", "Linear"), ")\x81}", parameters, "sb");
  EXPECT_THAT(NamesIn(absl::StrCat(Global("m", "Net"), ")\x81}(", parameters, Text("_modules"), "}",
                                   Text("fc"), inner, "sub")),
              ElementsAre("weight", "fc.weight"));
}

TEST(PytorchTest, SharedValuesAreListedWithEachName) {
  const std::string t = FourFloats();
  EXPECT_THAT(NamesIn(absl::StrCat("(", t, "q\1h\1t")), ElementsAre("0", "1"));
  EXPECT_THAT(NamesIn(absl::StrCat("(](", t, "eq\1h\1t")), ElementsAre("0.0", "1.0"));
  EXPECT_THAT(NamesIn(absl::StrCat("}(", Text("a"), t, "q\1", Text("a"), "h\1u")), ElementsAre("a"));
  EXPECT_THAT(NamesIn(absl::StrCat("}(", Text("a"), t, Text("a"), t, "u")),
              ElementsAre(HasSubstr("two tensors are named \"a\"")));
  EXPECT_THAT(NamesIn(absl::StrCat("]q\1(h\1", t, "h\1e")), ElementsAre("1"));  // a list in itself
}

TEST(PytorchTest, NoExponentialWork) {
  const auto doubled = [](std::string pickle) {
    for (int i = 0; i < 60; ++i) pickle = absl::StrCat(pickle, "2\x86");
    return pickle;
  };
  EXPECT_THAT(NamesIn(doubled(FourFloats())), ElementsAre(HasSubstr("tensors, or names of")));
  EXPECT_THAT(NamesIn(doubled("N")), IsEmpty());
  // A tensor at the end of a long list, sixty thousand times.
  std::string wide = absl::StrCat("(](", std::string(60000, 'N'), FourFloats(), "eq\1");
  for (int i = 0; i < 60000; ++i) wide += "h\1";
  EXPECT_THAT(NamesIn(wide + "t"), ElementsAre(HasSubstr("refer to one another in too many ways")));
  const std::string deep(300000, ']');
  EXPECT_THAT(NamesIn(absl::StrCat(deep, std::string(deep.size() - 1, 'a'))), IsEmpty());
  EXPECT_THAT(NamesIn(absl::StrCat(deep, FourFloats(), std::string(deep.size(), 'a'))),
              ElementsAre(HasSubstr("has more than 4096 bytes")));
}

TEST(PytorchTest, BigEndianElements) {
  const auto file = OpenArrayFile(PytorchFile(FourFloats(), "big"));
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<double> values = Values(**file, 0);
  EXPECT_EQ(values[1], 64 * 0x1p-149);  // bytes 00 00 00 40
  EXPECT_THAT(std::string(ReadAll(PytorchFile(FourFloats(), "middle")).message()),
              HasSubstr("neither little nor big"));
}

TEST(PytorchTest, StridesOverManyChunks) {
  // [300, 1000] uint16, stored by columns, each row again three times.
  std::string data;
  for (int i = 0; i < 300000; ++i) data += LittleEndian(static_cast<uint64_t>(i) % 65521, 2);
  const std::string tensor = TensorOf(Storage("ShortStorage", 300000), 0, {300, 3, 1000}, {1, 0, 300});
  for (const zip_int32_t method : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    const std::string path = TempFile(
        "big.pt",
        MakeZip({{"big/data.pkl", absl::StrCat("\x80\2", tensor, ".")}, {"big/data/0", data}}, method));
    const auto file = OpenArrayFile(path);
    ASSERT_TRUE(file.ok()) << file.status();
    const auto expected = [&](uint64_t e) { return e % 1000 * 300 + e / 3000; };
    const uint64_t elements = 900000;
    std::vector<uint16_t> whole(elements);
    // By parts that begin and end within chunks, from all threads.
    ParallelFor(7, 1, [&](size_t begin, size_t end) {
      for (size_t part = begin; part < end; ++part) {
        const uint64_t first = elements * part / 7, last = elements * (part + 1) / 7;
        char* to = reinterpret_cast<char*>(&whole[first]);
        const absl::Status status =
            (*file)->ReadRange(0, first * 2, last * 2, [&](absl::Span<const char> bytes) {
              to = std::copy(bytes.begin(), bytes.end(), to);
              return absl::OkStatus();
            });
        EXPECT_TRUE(status.ok()) << status;
      }
    });
    for (uint64_t e = 0; e < elements; ++e) ASSERT_EQ(whole[e], expected(e) % 65521) << e;
  }
}

void ExpectRefused(const std::string& pickle, absl::string_view message) {
  const std::string path = PytorchFile(pickle);
  const absl::Status status = ReadAll(path);
  EXPECT_FALSE(status.ok()) << message;
  EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(message)));
  ExpectOneLine(status, path);
}

TEST(PytorchTest, TensorsThatAreNotRead) {
  ExpectRefused(TensorOf(Storage("ComplexFloatStorage", 2), 0, {2}, {1}),
                "elements of \"torch.ComplexFloatStorage\"");
  ExpectRefused(TensorOf(Storage("FloatStorage", 4), 0, {4}, {1}, absl::StrCat("}", Text("neg"), "\x88s")),
                "store its resolve_neg()");
  ExpectRefused(absl::StrCat(Global("torch._utils", "_rebuild_qtensor"), ")R"), "is quantised");
  ExpectRefused(absl::StrCat(Global("torch._utils", "_rebuild_new_kind"), ")R"),
                "a kind that Halftone does not read (made by \"torch._utils._rebuild_new_kind\")");
  std::string wrapped = FourFloats();
  for (int i = 0; i < 20; ++i) {
    wrapped = absl::StrCat(Global("torch._utils", "_rebuild_parameter"), Tuple(wrapped + "\x88}"), "R");
  }
  ExpectRefused(wrapped, "a parameter of a parameter");
}

TEST(PytorchTest, LiesAboutStorages) {
  const std::string four = Storage("FloatStorage", 4);
  ExpectRefused(TensorOf(four, 0, {5}, {1}), "reaches beyond the 16 bytes of its storage");
  ExpectRefused(TensorOf(four, 1, {4}, {1}), "reaches beyond the 16 bytes");
  ExpectRefused(TensorOf(four, 0, {2, 2}, {3, 1}), "reaches beyond the 16 bytes");
  ExpectRefused(TensorOf(four, 0, {2, 2}, {int64_t{1} << 62, int64_t{1} << 62}),
                "reaches beyond the 16 bytes");
  ExpectRefused(TensorOf(four, 0, {int64_t{1} << 40, int64_t{1} << 40}, {0, 0}), "larger than any memory");
  ExpectRefused(TensorOf(four, 0, {int64_t{1} << 40}, {0}), "repeat their storages' elements");
  ExpectRefused(TensorOf(four, -1, {4}, {1}), "no valid size, stride and storage offset");
  ExpectRefused(TensorOf(four, 0, {4}, {-1}), "no valid size");
  ExpectRefused(TensorOf(four, 0, {4}, {1, 1}), "no valid size");
  ExpectRefused(TensorOf(four, 0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)), "no valid size");
  ExpectRefused(TensorOf(Storage("FloatStorage", 5), 0, {4}, {1}),
                "its storage has 16 bytes, but its pickle gives it 20");
  ExpectRefused(TensorOf(Storage("FloatStorage", int64_t{1} << 62), 0, {4}, {1}), "larger than any memory");
  ExpectRefused(TensorOf(Storage("FloatStorage", 4, Tuple(Text("1") + Int(3) + Int(2))), 0, {1}, {1}),
                "its view of its storage lies outside of it");
  ExpectRefused(TensorOf("N", 0, {4}, {1}), "its storage is none");
  ExpectRefused(TensorOf("NQ", 0, {4}, {1}), "no storage");
  ExpectRefused(absl::StrCat(Global("torch._utils", "_rebuild_tensor_v2"), ")R"), "too few arguments");
  const std::string path = TempFile(
      "missing.pt", MakeZip({{"data.pkl", absl::StrCat("\x80\2", FourFloats(), ".")}}, ZIP_CM_STORE));
  EXPECT_THAT(std::string(ReadAll(path).message()), HasSubstr("the file has no storage \"0\""));
}

TEST(PytorchTest, ViewsOfStoragesInOldFiles) {
  const std::string view = Storage("FloatStorage", 4, Tuple(Text("1") + Int(1) + Int(2)));
  const auto file = OpenArrayFile(PytorchFile(TensorOf(view, 1, {1}, {1})));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Values(**file, 0), ElementsAre(3));
  ExpectRefused(TensorOf(view, 1, {2}, {1}), "reaches beyond the 8 bytes");
}

}  // namespace
}  // namespace halftone

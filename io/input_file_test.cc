#include "io/input_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/array_file_testing.h"
#include "io/element_type.h"
#include "io/open_array_file.h"
#include "io/test_files.h"

namespace halftone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Gives the test another standard input for as long as it lives.
class StandardInput {
 public:
  explicit StandardInput(int fd) : saved_(dup(STDIN_FILENO)) {
    HALFTONE_CHECK(dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    close(fd);
  }
  ~StandardInput() {
    if (saved_ >= 0) dup2(saved_, STDIN_FILENO);
    close(saved_ >= 0 ? saved_ : STDIN_FILENO);
  }

 private:
  int saved_;
};

std::string Contents(const InputFile& file) {
  std::string bytes(file.size(), '\0');
  EXPECT_TRUE(file.ReadAt(0, absl::MakeSpan(bytes)).ok());
  return bytes;
}

void WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    HALFTONE_CHECK(wrote > 0);
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  close(fd);
}

TEST(InputFileTest, AStandardInputThatIsAPipe) {
  const std::string bytes(3'000'001, 'x');  // many times what a pipe holds
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const StandardInput input(ends[0]);
  std::thread writer([&] { WriteAll(ends[1], bytes); });
  const auto file = InputFile::OpenOrSpool("-");
  writer.join();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->path(), "stdin");
  EXPECT_EQ(Contents(**file), bytes);
}

TEST(InputFileTest, AStandardInputThatIsAFile) {
  const std::string path = TempFile("input", "hello");
  {
    const StandardInput input(open(path.c_str(), O_RDONLY));
    const auto file = InputFile::OpenOrSpool("-");
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(Contents(**file), "hello");
  }
  const int fd = open(path.c_str(), O_RDONLY);
  ASSERT_EQ(lseek(fd, 2, SEEK_SET), 2);  // somebody has read the beginning
  const StandardInput input(fd);
  const auto file = InputFile::OpenOrSpool("-");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(Contents(**file), "llo");
}

TEST(InputFileTest, NamedPipesAndDevices) {
  const std::string path = TempPath("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { WriteAll(open(path.c_str(), O_WRONLY), "through"); });
  const auto file = InputFile::OpenOrSpool(path);
  writer.join();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->path(), path);
  EXPECT_EQ(Contents(**file), "through");
  const auto null = InputFile::OpenOrSpool("/dev/null");
  ASSERT_TRUE(null.ok()) << null.status();
  EXPECT_EQ((*null)->size(), 0u);
}

TEST(InputFileTest, WhatIsNoFile) {
  const std::string folder = TempPath("folder");
  std::filesystem::create_directory(folder);
  EXPECT_THAT(std::string(InputFile::OpenOrSpool(folder).status().message()), HasSubstr("is not a file"));
  EXPECT_FALSE(InputFile::OpenOrSpool(TempPath("missing")).ok());
  const StandardInput input(open(folder.c_str(), O_RDONLY));
  EXPECT_EQ(InputFile::OpenOrSpool("-").status().message(), "stdin is not a file");
}

TEST(InputFileTest, NoRoomForTheCopy) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto file = InputFile::OpenOrSpool("/dev/zero");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("name a folder with more room by TMPDIR"));
}

TEST(InputFileTest, TheCopyLeavesNothingBehind) {
  const std::string folder = TempPath("spool");
  std::filesystem::create_directory(folder);
  setenv("TMPDIR", folder.c_str(), 1);
  {
    const auto file = InputFile::OpenOrSpool("/dev/null");
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(std::filesystem::is_empty(folder));
  }
  setenv("TMPDIR", "/missing", 1);
  EXPECT_THAT(std::string(InputFile::OpenOrSpool("/dev/null").status().message()),
              HasSubstr("temporary file in /missing"));
  unsetenv("TMPDIR");
}

TEST(OpenArrayFileTest, FormatsOfTheStandardInput) {
  const auto read = [](const std::string& bytes, const OpenOptions& options) {
    int ends[2];
    HALFTONE_CHECK(pipe(ends) == 0);
    const StandardInput input(ends[0]);
    WriteAll(ends[1], bytes);
    return OpenArrayFile("-", options);
  };
  const auto csv = read("1;2\n", {.format = "csv"});
  EXPECT_THAT(std::string(csv.status().message()), HasSubstr("stdin: "));
  const auto tsv = read("1\t2\n3\t4\n", {.format = "tsv"});
  ASSERT_TRUE(tsv.ok()) << tsv.status();
  EXPECT_EQ((*tsv)->arrays()[0].name, "stdin");
  EXPECT_THAT(Values(**tsv, 0), ElementsAre(1, 2, 3, 4));
  const auto raw = read("\1\2\3", {.raw_type = ElementType::kU8});
  ASSERT_TRUE(raw.ok()) << raw.status();
  EXPECT_THAT(Values(**raw, 0), ElementsAre(1, 2, 3));
  EXPECT_THAT(std::string(read("1,2\n", {}).status().message()), HasSubstr("for raw numbers give --dtype"));
}

TEST(OpenArrayFileTest, FormatOptions) {
  const std::string path = TempFile("numbers.csv", "1,2\n");
  const auto message = [&](const OpenOptions& options) {
    return std::string(OpenArrayFile(path, options).status().message());
  };
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.raw_type = ElementType::kU8, .format = "raw"}), "");
  EXPECT_THAT(message({.format = "npz"}), HasSubstr("does not begin as a zip archive does"));
  EXPECT_THAT(message({.format = "pickle"}), HasSubstr("no format \"pickle\"; Halftone reads safetensors, "));
  EXPECT_THAT(message({.format = "raw"}), HasSubstr("raw numbers need an element type"));
  EXPECT_THAT(message({.raw_type = ElementType::kU8, .format = "csv"}), HasSubstr("the format is not raw"));
}

}  // namespace
}  // namespace halftone

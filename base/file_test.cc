#include "base/file.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace halftone {
namespace {

std::string Fresh(const char* name) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

int Entries(const std::string& directory) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) n += !entry.path().empty();
  return n;
}

TEST(FileTest, WritesAndReadsBack) {
  const std::string dir = Fresh("round_trip"), bytes("a\0b\xff", 4);
  ASSERT_TRUE(WriteFileAtomically(dir + "/f", bytes).ok());
  EXPECT_EQ(ReadFile(dir + "/f").value(), bytes);
  EXPECT_EQ(FileSize(dir + "/f").value(), 4);
  ASSERT_TRUE(WriteFileAtomically(dir + "/f", "").ok());
  EXPECT_EQ(ReadFile(dir + "/f").value(), "");
  EXPECT_EQ(Entries(dir), 1);
}

TEST(FileTest, WithoutCommitNothingIsLeftAndTheOldFileStays) {
  const std::string dir = Fresh("no_commit");
  ASSERT_TRUE(WriteFileAtomically(dir + "/f", "old").ok());
  {
    auto file = AtomicFile::Create(dir + "/f");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append("new").ok());
    EXPECT_EQ(ReadFile(dir + "/f").value(), "old");
  }
  EXPECT_EQ(ReadFile(dir + "/f").value(), "old");
  EXPECT_EQ(Entries(dir), 1);
}

TEST(FileTest, AFullDiskIsAnErrorThatNamesTheFile) {
  auto file = AtomicFile::Create("/dev/full/f");
  EXPECT_FALSE(file.ok());
  const std::string dir = Fresh("full");
  std::filesystem::create_symlink("/dev/full", dir + "/f.tmp" + std::to_string(getpid()));
  const absl::Status status = WriteFileAtomically(dir + "/f", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_NE(status.message().find(dir + "/f: No space left"), std::string::npos) << status;
  EXPECT_EQ(Entries(dir), 0);
}

TEST(FileTest, MissingFilesAndDirectoriesAreErrors) {
  EXPECT_EQ(ReadFile("/no/such/file").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(::testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(MakeDirectories("/proc/nothing/here").ok());
}

TEST(FileTest, UserPathsAreRelativeToTheUser) {
  setenv("BUILD_WORKING_DIRECTORY", "/home/me", 1);
  EXPECT_EQ(ResolveUserPath("data/x"), "/home/me/data/x");
  EXPECT_EQ(ResolveUserPath("/data/x"), "/data/x");
  unsetenv("BUILD_WORKING_DIRECTORY");
  EXPECT_EQ(ResolveUserPath("data/x"), "data/x");
}

TEST(FileTest, InputsThatExistNowhereKeepTheUsersName) {
  setenv("BUILD_WORKING_DIRECTORY", "/home/me", 1);
  EXPECT_EQ(ResolveInputPath("no/such/config"), "/home/me/no/such/config");
  setenv("BUILD_WORKING_DIRECTORY", ::testing::TempDir().c_str(), 1);
  ASSERT_TRUE(WriteFileAtomically(::testing::TempDir() + "/mine", "x").ok());
  EXPECT_EQ(ReadFile(ResolveInputPath("mine")).value(), "x");
  unsetenv("BUILD_WORKING_DIRECTORY");
}

TEST(FileTest, ALinkStaysOne) {
  const std::string dir = Fresh("link");
  ASSERT_TRUE(WriteFileAtomically(dir + "/there", "old").ok());
  std::filesystem::create_symlink("there", dir + "/link");
  ASSERT_TRUE(WriteFileAtomically(dir + "/link", "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(dir + "/link"));
  EXPECT_EQ(ReadFile(dir + "/there").value(), "new");
  EXPECT_EQ(Entries(dir), 2);
}

TEST(FileTest, PipesAndDevicesAreWrittenToAsTheyAre) {
  const std::string dir = Fresh("pipe"), pipe = dir + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] {
    std::ifstream in(pipe);
    std::getline(in, read);
  });
  EXPECT_TRUE(WriteFileAtomically(pipe, "through\n").ok());
  reader.join();
  EXPECT_EQ(read, "through");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_EQ(Entries(dir), 1);

  // By a link, so that nothing is lost where the test fails.
  std::filesystem::create_symlink("/dev/full", dir + "/full");
  EXPECT_EQ(WriteFileAtomically(dir + "/full", "x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(FileTest, AFolderIsNoFileToWrite) {
  const std::string dir = Fresh("folder");
  EXPECT_EQ(WriteFileAtomically(dir, "x").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Entries(dir), 0);
}

}  // namespace
}  // namespace halftone

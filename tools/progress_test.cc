#include "tools/progress.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "gtest/gtest.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;

class ProgressTest : public ::testing::Test {
 protected:
  ~ProgressTest() override { std::fclose(file_); }

  FileProgress Make(size_t width) {
    return FileProgress(file_, width, [this] { return now_; });
  }
  std::string Written() {
    std::string text(static_cast<size_t>(std::ftell(file_)), '\0');
    std::rewind(file_);
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), file_), text.size());
    return text;
  }

  std::FILE* file_ = std::tmpfile();
  FileProgress::Time now_;
};

TEST_F(ProgressTest, ATerminalsLineIsRewrittenAndErased) {
  FileProgress progress = Make(80);
  progress.Start("model");
  now_ += milliseconds(500);
  progress.Update(1'000'000'000, 4'000'000'000);
  now_ += milliseconds(99);
  progress.Update(1'100'000'000, 4'000'000'000);  // too soon
  now_ += milliseconds(401);
  progress.Update(2'000'000'000, 4'000'000'000);
  progress.Finish();
  progress.Finish();
  EXPECT_EQ(Written(),
            "\rmodel: 1.0 of 4.0 GB, 2.0 GB/s, 2 s left\033[K"
            "\rmodel: 2.0 of 4.0 GB, 2.0 GB/s, 1 s left\033[K"
            "\r\033[K");
}

TEST_F(ProgressTest, TheLineFitsTheTerminal) {
  FileProgress progress = Make(50);
  progress.Start("a/very/long/path/to/a/model.safetensors");
  now_ += milliseconds(500);
  progress.Update(1'000'000'000, 4'000'000'000);
  EXPECT_EQ(Written(), "\ra/very...nsors: 1.0 of 4.0 GB, 2.0 GB/s, 2 s left\033[K");
}

TEST_F(ProgressTest, ShortWorkSaysNothing) {
  FileProgress progress = Make(80);
  progress.Start("model");
  now_ += milliseconds(99);
  progress.Update(1, 1);
  progress.Finish();
  EXPECT_EQ(Written(), "");
}

TEST_F(ProgressTest, ALogGetsALineEveryTenSeconds) {
  FileProgress progress = Make(0);
  progress.Start("model");
  for (int second = 1; second <= 25; ++second) {
    now_ += milliseconds(1000);
    progress.Update(static_cast<uint64_t>(second) * 1'000'000'000, 40'000'000'000);
  }
  progress.Finish();
  EXPECT_EQ(Written(),
            "model: 10.0 of 40.0 GB, 1.0 GB/s, 30 s left\n"
            "model: 20.0 of 40.0 GB, 1.0 GB/s, 20 s left\n");
}

TEST(TerminalWidthTest, AFileIsNoTerminal) {
  std::FILE* file = std::tmpfile();
  EXPECT_EQ(TerminalWidth(file), 0u);
  std::fclose(file);
}

}  // namespace
}  // namespace halftone

// The impure corner, against a real folder.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/config.hpp"

namespace ztna::config {
namespace {

class Process : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ztna-config-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  char name_[8] = "program";
  char argument_[7] = "--help";
  char* argv_[2] = {name_, argument_};
};

TEST_F(Process, TakesArgumentsWithoutTheProgramAndTheEnvironment) {
  setenv("ZTNA_PROCESS_TEST", "a=b", 1);
  const Inputs inputs = from_process(2, argv_);
  EXPECT_EQ(inputs.arguments, std::vector<std::string>{"--help"});
  EXPECT_EQ(inputs.environment.at("ZTNA_PROCESS_TEST"), "a=b");
  unsetenv("ZTNA_PROCESS_TEST");
}

TEST_F(Process, ReadsFilesAndSaysWhyNot) {
  const Inputs inputs = from_process(1, argv_);
  std::ofstream(folder_ + "/a") << "text\n";
  EXPECT_EQ(inputs.read_file(folder_ + "/a").value(), "text\n");
  EXPECT_EQ(inputs.read_file(folder_ + "/b").error().message(),
            "\"" + folder_ + "/b\": No such file or directory");
  EXPECT_EQ(inputs.read_file(folder_).error().what, "Is a directory");
  EXPECT_EQ(inputs.read_file("/dev/zero").error().what, "is larger than 1 MiB");
  EXPECT_TRUE(inputs.file_exists(folder_ + "/a"));
  EXPECT_FALSE(inputs.file_exists(folder_ + "/b"));
}

TEST_F(Process, UsableDirectoriesExistOrCanBeMade) {
  const Inputs inputs = from_process(1, argv_);
  std::ofstream(folder_ + "/file") << "";
  EXPECT_TRUE(inputs.directory_usable(folder_));
  EXPECT_TRUE(inputs.directory_usable(folder_ + "/new"));
  EXPECT_FALSE(inputs.directory_usable(folder_ + "/new/deeper"));
  EXPECT_FALSE(inputs.directory_usable(folder_ + "/file"));
  EXPECT_FALSE(inputs.directory_usable(folder_ + "/file/in"));
}

}  // namespace
}  // namespace ztna::config

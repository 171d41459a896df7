// Runs `ztna` commands in a scratch folder, with a clock and randomness of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tool/command_line.hpp"
#include "unit/identity/openssl.hpp"
#include "unit/identity/test_certificates.hpp"

namespace ztna::tool {

struct Outcome {
  int code = -1;
  std::string out, err;
};

class CommandTest : public testing::Test {
 protected:
  // "@x" in an argument is the path of x in the scratch folder.
  Outcome ztna(std::vector<std::string> arguments) {
    for (std::string& argument : arguments) {
      if (argument.starts_with('@')) argument = at(argument.substr(1));
    }
    std::ostringstream out, err;
    Context context{out, err, random_, now_};
    const int code = run_command_line(arguments, context);
    return {code, out.str(), err.str()};
  }
  // The path of a file in the scratch folder.
  [[nodiscard]] std::string at(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] bool has(const std::string& name) const {
    return std::filesystem::exists(folder_ / name);
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& text) const { folder_.file(name, text); }
  [[nodiscard]] unsigned mode(const std::string& name) const {
    struct stat status{};
    return ::stat(at(name).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  // Every file below a folder, with its octets: to see that nothing changed.
  [[nodiscard]] std::string snapshot() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      const std::string name = std::filesystem::relative(entry.path(), folder_.path()).string();
      files.push_back(name + ":" + (entry.is_regular_file() ? read(name) : "") + "\n");
    }
    std::ranges::sort(files);
    std::string all;
    for (const std::string& file : files) all += file;
    return all;
  }

  testing_support::ScratchFolder folder_;
  identity::CountingRandom random_;
  base::WallTime now_ = identity::test_now;
};

}  // namespace ztna::tool

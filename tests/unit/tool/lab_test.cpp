#include "tool/lab_command.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "unit/tool/command_fixture.hpp"

namespace ztna::tool {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Lab : public CommandTest {
 protected:
  [[nodiscard]] fs::path folder(const std::string& name) const {
    fs::create_directories(at(name));
    return at(name);
  }
};

TEST_F(Lab, AnInstallationHasItUnderShare) {
  const fs::path programs = folder("usr/bin");
  write((folder("usr/share/ztna/lab") / "__main__.py").lexically_relative(at("")).string(), "");
  EXPECT_EQ(find_laboratory(programs).value(), fs::path(at("usr/share/ztna/lab")));
}

TEST_F(Lab, ASourceTreeHasItAtItsTop) {
  const fs::path programs = folder("tree/build/dev/bin");
  write((folder("tree/lab") / "__main__.py").lexically_relative(at("")).string(), "");
  EXPECT_EQ(find_laboratory(programs).value(), fs::path(at("tree/lab")));
}

TEST_F(Lab, AMissingOneIsSoughtWhereTheErrorSays) {
  const auto found = find_laboratory(folder("usr/lib/ztna/bin"));
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), AllOf(HasSubstr(at("usr/lib/ztna/share/ztna/lab")),
                                             HasSubstr(" nor in " + at("usr/lab"))));
}

}  // namespace
}  // namespace ztna::tool

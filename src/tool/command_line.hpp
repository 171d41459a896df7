// The command line of `ztna`: every command registered on one root.
#pragma once

#include <string>
#include <vector>

#include "tool/context.hpp"

namespace ztna::tool {

// `arguments` without the program's name. The exit code; wrong usage is one line on context.err
// and 2.
[[nodiscard]] int run_command_line(const std::vector<std::string>& arguments, Context& context);

}  // namespace ztna::tool

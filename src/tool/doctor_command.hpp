// `ztna doctor`: what is right on this machine, what is missing or wrong, and what to do about it.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 all right, warnings allowed, 1 something is wrong, 2 wrong usage. `context`
// outlives `root`.
void add_doctor_command(CLI::App& root, Context& context);

}  // namespace ztna::tool

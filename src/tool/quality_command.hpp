// `ztna quality`: how well the way to a service carries a game.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 measured (and with --at-least, at least of that grade), 1 not, 2 wrong usage.
// `context` outlives `root`.
void add_quality_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
